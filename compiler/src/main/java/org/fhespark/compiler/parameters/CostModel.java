package org.fhespark.compiler.parameters;

import org.fhespark.nativelib.PackedParameters;

/**
 * What one block of a packed circuit costs, in nanoseconds of one core and of the wire together.
 *
 * <p>The constants fit the prototype of the design document (one core, AMX): 2.1 ns a value to
 * encrypt and 2.0 to decrypt at (k, N) = (3, 512), K = 8, q = 2^40, and 15 to 20 % more at (6,
 * 256); an encrypted layer 2.7 times as fast as fp32 at 82 GMAC/s. Only their ratios decide which
 * parameters are chosen.
 */
public final class CostModel {
  /** A multiply-accumulate of the server's u8 × s8 product. */
  private static final double MULTIPLY_ACCUMULATE = 0.00065;

  /** A byte of mask expanded from its seed, on either side. */
  private static final double MASK_BYTE = 0.2;

  /** A transform of size N costs this times N·log2(N). */
  private static final double TRANSFORM_STEP = 0.06;

  /** A complex multiply-add of mask by secret, per coefficient. */
  private static final double POINTWISE = 0.15;

  /** Quantisation, noise, packing or rounding of a value. */
  private static final double VALUE = 0.5;

  /** A byte through the network, about 8 Gbit/s, and through Spark's copies. */
  private static final double WIRE_BYTE = 1.0;

  private CostModel() {}

  /**
   * Cost of a block.
   *
   * @param records T, those in the block
   * @param dIn features
   * @param dOut outputs, of all circuits that read this encryption
   */
  public static Cost of(PackedParameters parameters, int records, long dIn, long dOut) {
    double n = parameters.lweDimension();
    double size = parameters.polynomialSize();
    double bodies = Math.ceil(records / size);
    double limbs = parameters.limbs();
    double entryBytes = n * limbs + (double) records * parameters.bodyLimbs();
    double server = entryBytes * dIn * dOut * MULTIPLY_ACCUMULATE + n * limbs * dIn * MASK_BYTE;
    double transforms =
        (parameters.glweDimension() + bodies)
            * size
            * (Math.log(size) / Math.log(2))
            * TRANSFORM_STEP;
    double perFeature = transforms + bodies * n * POINTWISE + records * VALUE;
    double client = (dIn + dOut) * perFeature + dIn * n * limbs * MASK_BYTE;
    double wire =
        (bytesUp(parameters, records, dIn) + bytesDown(parameters, records, dOut)) * WIRE_BYTE;
    return new Cost(server, client, wire);
  }

  /** Bytes of an encrypted block, without its header. */
  public static double bytesUp(PackedParameters parameters, int records, long dIn) {
    return (double) records * dIn * parameters.bodyLimbs();
  }

  /** Bytes of a block of results, without its header. */
  public static double bytesDown(PackedParameters parameters, int records, long dOut) {
    double mask = (double) parameters.lweDimension() * parameters.outputLimbs();
    return (mask + (double) records * parameters.outputBodyLimbs()) * dOut;
  }

  /**
   * Cost of a block in nanoseconds.
   *
   * @param server on one core of an executor
   * @param client on one core of the client, encryption and decryption
   * @param wire both ways
   */
  public record Cost(double server, double client, double wire) {
    public double total() {
      return server + client + wire;
    }
  }
}
