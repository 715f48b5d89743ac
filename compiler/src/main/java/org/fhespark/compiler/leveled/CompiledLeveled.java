package org.fhespark.compiler.leveled;

import java.util.List;
import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.nativelib.LeveledChain;
import org.fhespark.nativelib.LeveledCircuit;
import org.fhespark.nativelib.LeveledParameters;

/**
 * A module as a leveled circuit.
 *
 * @param parameters of the ring
 * @param chain what the server computes
 * @param recordShape the input's axes without the batch axis, if a row is a whole record; else null
 * @param outputShape the output's, in that case; else null
 * @param ball records that it is made for
 * @param outputRanges what an output of 1 is worth
 * @param layers its activations, in order
 * @param allowedError of outputs that was asked for, relative to their spread
 * @param error of outputs, on calibration rows that no weight and no polynomial was fitted to
 * @param failure that noise takes what a first activation reads out of the range of its polynomial
 * @param millisecondsPerBlock predicted, on one core
 * @param candidates polynomials of all layers that were looked at
 * @param circuit what the server gets
 */
public record CompiledLeveled(
    LeveledParameters parameters,
    LeveledChain chain,
    List<Long> recordShape,
    List<Long> outputShape,
    RecordBall ball,
    double[] outputRanges,
    List<LeveledFigures> layers,
    double allowedError,
    double error,
    FailureProbability failure,
    double millisecondsPerBlock,
    long candidates,
    byte[] circuit) {
  public CompiledLeveled {
    layers = List.copyOf(layers);
  }

  /** Its key. */
  public String module() {
    return chain.moduleKey();
  }

  /** Values of a row. */
  public int inputs() {
    return chain.inputs();
  }

  /** Outputs of a row. */
  public int outputs() {
    return chain.outputs();
  }

  /** log2 of the largest modulus of its ring that keeps 128-bit security. */
  public int log2SecureModulus() {
    return LeveledCircuit.log2SecureModulus(parameters.polynomialSize());
  }

  /** Records that share a block. */
  public int slots() {
    return parameters.polynomialSize();
  }

  /** Bytes of a block of activations, without its header; the same however full it is. */
  public long bytesUpPerBlock() {
    return inputs() * parameters.bytesUp();
  }

  /** Bytes of a block of results. */
  public long bytesDownPerBlock() {
    return outputs() * parameters.bytesDown();
  }

  /** Blocks that so many rows make. */
  public long blocks(long rows) {
    return (rows + slots() - 1) / slots();
  }
}
