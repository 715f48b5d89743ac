package org.fhespark.compiler.parameters;

/**
 * What a unit of each kind of work costs, in nanoseconds: of one core, or of the wire.
 *
 * <p>Those of cores are fitted by {@code bench/cost-model}, which prints them for the machine it
 * runs on; the defaults are from an Intel Ice Lake server core at 2.8 GHz. Parameters do not depend
 * on the machine that compiles: one model and one set of options give one artefact.
 *
 * @param kernel the server's kernel that they are for
 * @param multiplyAccumulate server: a product u8 × s8, added
 * @param packedByte server: a byte of rows packed
 * @param productByte server: a byte of products recombined
 * @param serverMaskByte server: a byte of mask expanded
 * @param clientMaskByte client: a byte of mask expanded
 * @param maskEntry client: a mask entry made ready for a transform
 * @param transformStep client: a transform of size N takes N·log2(N)
 * @param product client: a complex multiply-add, per coefficient
 * @param encryptedValue client: quantisation, noise, rounding and storing of a value
 * @param decryptedValue client: loading, rounding and dequantisation of a value
 * @param wireByte a byte between client and executor, Spark's copies included
 */
public record CostConstants(
    ServerKernel kernel,
    double multiplyAccumulate,
    double packedByte,
    double productByte,
    double serverMaskByte,
    double clientMaskByte,
    double maskEntry,
    double transformStep,
    double product,
    double encryptedValue,
    double decryptedValue,
    double wireByte) {

  /** The default speed of the wire. */
  public static final double DEFAULT_WIRE_GIGABITS = 8;

  /**
   * The defaults.
   *
   * @param kernel of the executors
   * @param wireGigabits 10^9 bits a second between client and executors
   */
  public static CostConstants of(ServerKernel kernel, double wireGigabits) {
    double wireByte = 8 / wireGigabits;
    return switch (kernel) {
      // Not measured: 1,500 GMAC/s in all at 768 x 768, as a prototype reached, which packed and
      // recombined while it multiplied.
      case AMX -> withServer(kernel, 0.00055, 0.03, 0.05, 0.18, wireByte);
      case AVX512_VNNI -> withServer(kernel, 0.00317, 0.171, 0.123, 0.264, wireByte);
      case AVX2 -> withServer(kernel, 0.0251, 0.158, 0.113, 0.199, wireByte);
      case PORTABLE -> withServer(kernel, 0.130, 0, 0.863, 0.836, wireByte);
    };
  }

  private static CostConstants withServer(
      ServerKernel kernel,
      double multiplyAccumulate,
      double packedByte,
      double productByte,
      double maskByte,
      double wireByte) {
    return new CostConstants(
        kernel,
        multiplyAccumulate,
        packedByte,
        productByte,
        maskByte,
        0.064,
        0.866,
        0.203,
        0.376,
        4.30,
        3.20,
        wireByte);
  }

  /** The speed of the wire, 10^9 bits a second. */
  public double wireGigabits() {
    return 8 / wireByte;
  }

  /** What a block costs. */
  public Cost price(BlockWork work) {
    return new Cost(
        price(work.server()) + price(work.zeros(), encryptedValue),
        price(work.encryption(), encryptedValue) + price(work.decryption(), decryptedValue),
        (work.bytesUp() + work.bytesDown()) * wireByte);
  }

  private double price(BlockWork.Server work) {
    return work.multiplyAccumulates() * multiplyAccumulate
        + work.packedBytes() * packedByte
        + work.productBytes() * productByte
        + work.maskBytes() * serverMaskByte;
  }

  private double price(BlockWork.Client work, double value) {
    return work.maskBytes() * clientMaskByte
        + work.maskEntries() * maskEntry
        + work.transformSteps() * transformStep
        + work.products() * product
        + work.values() * value;
  }
}
