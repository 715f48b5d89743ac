package org.fhespark.compiler.parameters;

import org.fhespark.nativelib.PackedParameters;

/**
 * What there is to do for one block of records, counted; {@link CostConstants} has the prices.
 *
 * @param server evaluation
 * @param zeros the server's fresh encryptions of zero, if results are re-randomised: the same kinds
 *     of work as a client's
 * @param encryption quantisation included
 * @param decryption dequantisation included
 * @param bytesUp bytes of encrypted activations, without headers and seeds
 * @param bytesDown bytes of results, without headers
 */
public record BlockWork(
    Server server,
    Client zeros,
    Client encryption,
    Client decryption,
    double bytesUp,
    double bytesDown) {
  /** Widest entries that the client's transforms carry in one piece. */
  private static final int BITS_PER_TRANSFORM = 40;

  /**
   * Work of the server.
   *
   * @param multiplyAccumulates of the u8 × s8 product
   * @param packedBytes limbs of rows, packed for the kernel
   * @param productBytes limbs of products, recombined
   * @param maskBytes expanded from the seed
   */
  public record Server(
      double multiplyAccumulates, double packedBytes, double productBytes, double maskBytes) {}

  /**
   * Work of the client in one direction.
   *
   * @param maskBytes expanded from the seed
   * @param maskEntries read from their limbs and split for transforms
   * @param transformSteps N·log2(N) a transform: k forward ones a feature, one inverse a body
   * @param products complex multiply-adds of mask by secret, a coefficient each
   * @param values of records, in whole panels
   */
  public record Client(
      double maskBytes,
      double maskEntries,
      double transformSteps,
      double products,
      double values) {}

  /**
   * Counts the work of a block.
   *
   * @param records T, those in the block
   * @param layer the circuits
   */
  public static BlockWork of(PackedParameters parameters, int records, Layer layer) {
    double n = parameters.lweDimension();
    double rows = BlockLimits.PANEL_ROWS * Math.ceil((double) records / BlockLimits.PANEL_ROWS);
    double limbRows = n * parameters.limbs() + rows * parameters.bodyLimbs();
    double features = (double) layer.circuits() * layer.dIn();
    double maskBytes = features * n * parameters.limbs();
    return new BlockWork(
        new Server(
            limbRows * layer.dIn() * layer.dOut(),
            limbRows * features,
            limbRows * layer.dOut(),
            maskBytes),
        zeros(parameters, rows, layer.dOut()),
        client(parameters, parameters.limbs(), rows, features, maskBytes),
        client(parameters, parameters.outputLimbs(), rows, layer.dOut(), 0),
        records * features * parameters.bodyLimbs(),
        (n * parameters.outputLimbs() + (double) records * parameters.outputBodyLimbs())
            * layer.dOut());
  }

  /**
   * Circuits whose records are the same.
   *
   * @param circuits how many; each gets an encryption of its own
   * @param dIn features of each
   * @param dOut outputs, summed over the circuits
   */
  public record Layer(int circuits, int dIn, long dOut) {}

  /**
   * One encryption of zero an output: k forward transforms, and an inverse one for each of its k +
   * K polynomials, every product times k; noise for each entry, and flooding for each body.
   */
  private static Client zeros(PackedParameters parameters, double rows, long outputs) {
    if (!parameters.protectsWeights()) {
      return new Client(0, 0, 0, 0, 0);
    }
    int k = parameters.glweDimension();
    double n = parameters.lweDimension();
    double polynomials = k + Math.ceil(rows / parameters.polynomialSize());
    double parts = Math.ceil(8.0 * parameters.limbs() / BITS_PER_TRANSFORM);
    return new Client(
        0,
        0,
        outputs * (k + parts * polynomials) * transformSteps(parameters.polynomialSize()),
        outputs * parts * polynomials * n,
        outputs * (n + 2 * rows));
  }

  private static double transformSteps(int size) {
    return size * Math.log(size) / Math.log(2);
  }

  private static Client client(
      PackedParameters parameters, int limbs, double rows, double features, double maskBytes) {
    int size = parameters.polynomialSize();
    double bodies = Math.ceil(rows / size);
    double parts = Math.ceil(8.0 * limbs / BITS_PER_TRANSFORM);
    return new Client(
        maskBytes,
        features * parameters.lweDimension(),
        features * parts * (parameters.glweDimension() + bodies) * transformSteps(size),
        features * parts * bodies * parameters.lweDimension(),
        features * rows);
  }
}
