package org.fhespark.bench;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import org.fhespark.nativelib.PackedParameters;

/**
 * One encrypted layer and what it is compared with, all timed in turns on one thread of one
 * process, but for the peers; seconds are medians of one run over the whole batch, of processor
 * time.
 *
 * @param kernel that computed it
 * @param records T
 * @param evaluateSeconds the server's part, wire bytes in to wire bytes out
 * @param clearSeconds ONNX Runtime's fp32 MatMul
 * @param limbSeconds the same limb products by ONNX Runtime's MatMulInteger; null if they were not
 *     timed
 * @param encryptSeconds float records to wire bytes
 * @param decryptSeconds wire bytes to float outputs
 * @param bytesUp of the block
 * @param bytesDown of its result
 * @param concrete null if it was not asked
 * @param tenseal null if it was not asked
 * @param ahead what went before the records; null if nothing did
 * @param protectedLayer the same with re-randomised results; null if it was not measured
 */
@JsonIgnoreProperties(ignoreUnknown = true)
@JsonInclude(JsonInclude.Include.NON_NULL)
record LayerMeasurement(
    String kernel,
    LayerShape shape,
    int records,
    int weightBits,
    PackedParameters parameters,
    double evaluateSeconds,
    double clearSeconds,
    Double limbSeconds,
    double encryptSeconds,
    double decryptSeconds,
    long bytesUp,
    long bytesDown,
    PeerMeasurement concrete,
    PeerMeasurement tenseal,
    MaskPreparation ahead,
    ProtectedLayer protectedLayer) {

  /** Speed relative to the clear fp32 layer. */
  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  double speedToClear() {
    return clearSeconds / evaluateSeconds;
  }

  /** Speed relative to MatMulInteger on the limbs. */
  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  Double speedToLimbs() {
    return limbSeconds == null ? null : limbSeconds / evaluateSeconds;
  }

  /** Speed a record relative to concrete-ml-extensions. */
  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  Double speedToConcrete() {
    return concrete == null ? null : concrete.secondsPerRecord() * records / evaluateSeconds;
  }

  /** Speed a weight and record relative to TenSEAL. */
  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  Double speedToTenseal() {
    if (tenseal == null) {
      return null;
    }
    double weightRecords = (double) shape.weights() * records;
    return tenseal.secondsPerWeightRecord() * weightRecords / evaluateSeconds;
  }

  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  double encryptNanosPerValue() {
    return encryptSeconds * 1e9 / valuesUp();
  }

  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  double decryptNanosPerValue() {
    return decryptSeconds * 1e9 / valuesDown();
  }

  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  double bytesUpPerValue() {
    return bytesUp / valuesUp();
  }

  @JsonProperty(access = JsonProperty.Access.READ_ONLY)
  double bytesDownPerValue() {
    return bytesDown / valuesDown();
  }

  private double valuesUp() {
    return (double) records * shape.inputs();
  }

  private double valuesDown() {
    return (double) records * shape.outputs();
  }
}
