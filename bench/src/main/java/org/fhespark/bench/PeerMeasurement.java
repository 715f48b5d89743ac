package org.fhespark.bench;

/**
 * What another library takes for the same work, on one core.
 *
 * @param version the library's
 * @param inputs d_in
 * @param outputs d_out that were computed
 * @param records T
 * @param encryptSeconds client
 * @param evaluateSeconds server, the clear weights given as they are
 * @param evaluateHalfSeconds the same for half the outputs, where the cost of all of a layer's is
 *     extrapolated; else 0
 * @param decryptSeconds client
 * @param bytesUp all of the request, serialised
 * @param bytesDown all of the result, serialised
 */
record PeerMeasurement(
    String version,
    int inputs,
    int outputs,
    int records,
    double encryptSeconds,
    double evaluateSeconds,
    double evaluateHalfSeconds,
    double decryptSeconds,
    long bytesUp,
    long bytesDown) {

  /** Server seconds of one record of a layer of as many outputs. */
  double secondsPerRecord() {
    return evaluateSeconds / records;
  }

  /** Server seconds of one weight and record. */
  double secondsPerWeightRecord() {
    return evaluateSeconds / ((double) inputs * outputs * records);
  }

  /** What twice the outputs cost relative to half of them; 2 if the cost is linear. */
  double costOfDoubling() {
    return evaluateSeconds / evaluateHalfSeconds;
  }

  double bytesUpPerValue() {
    return (double) bytesUp / ((double) inputs * records);
  }
}
