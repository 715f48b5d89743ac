package org.fhespark.nativelib;

import java.util.function.BooleanSupplier;

/**
 * A linear layer {@code y = x · Wᵀ} ready to be evaluated on encrypted blocks; safe to share
 * between threads.
 */
public final class PackedCircuit implements AutoCloseable {
  private final NativeHandle handle;
  private final CircuitDigest digest;
  private final PackedParameters parameters;
  private final int inputs;
  private final int outputs;

  private PackedCircuit(NativeHandle handle, CircuitDigest digest, int[] shape) {
    this.handle = handle;
    this.digest = digest;
    this.parameters = PackedParameters.of(shape);
    this.inputs = shape[PackedParameters.FIELDS];
    this.outputs = shape[PackedParameters.FIELDS + 1];
  }

  /**
   * The bytes of a circuit file.
   *
   * @param moduleKey the {@code named_modules()} key it comes from
   * @param inputs d_in
   * @param outputs d_out
   * @param weights integers {@code [d_out][d_in]}, row-major
   * @throws org.fhespark.InvalidInputException if a shape or parameter is out of range, or the
   *     parameters are below 132-bit security
   */
  public static byte[] encode(
      PackedParameters parameters, String moduleKey, int inputs, int outputs, byte[] weights) {
    NativeLibrary.load();
    return FheNative.encodeCircuit(parameters.fields(), moduleKey, inputs, outputs, weights);
  }

  /**
   * Prepares a circuit file.
   *
   * @throws org.fhespark.InvalidInputException if the file is truncated, altered or of another
   *     version
   */
  public static PackedCircuit open(byte[] file) {
    NativeLibrary.load();
    long handle = FheNative.openCircuit(file);
    return new PackedCircuit(
        new NativeHandle("circuit", handle, FheNative::closeCircuit),
        CircuitDigest.of(file),
        FheNative.circuitShape(handle));
  }

  /** Bytes of native memory it holds now, working memory that it keeps for evaluations included. */
  public long memoryBytes() {
    return FheNative.circuitMemory(handle.get());
  }

  /** Of the file that it was prepared from; blocks and results carry it. */
  public CircuitDigest digest() {
    return digest;
  }

  /** Those that its blocks must have. */
  public PackedParameters parameters() {
    return parameters;
  }

  /** d_in. */
  public int inputs() {
    return inputs;
  }

  /** d_out. */
  public int outputs() {
    return outputs;
  }

  /**
   * Evaluates a batch of encrypted blocks, one {@code LargeVarBinary} row each, through the Arrow C
   * Data Interface.
   *
   * @param inputArray address of an exported {@code ArrowArray}; moved out by this call
   * @param inputSchema address of its {@code ArrowSchema}; moved out by this call
   * @param outputArray address of an empty {@code ArrowArray}, filled with the results
   * @param outputSchema address of an empty {@code ArrowSchema}, filled
   * @param threads threads to use at most, the calling one among them
   * @param shouldStop asked by the calling thread, some thousand times a second
   * @throws java.util.concurrent.CancellationException if {@code shouldStop} said so
   * @throws org.fhespark.InvalidInputException naming the row of a damaged or foreign block
   */
  public void evaluate(
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop) {
    evaluate(0, inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop);
  }

  /**
   * The same with the client's public key, which circuits that re-randomise results need ({@link
   * PackedParameters#protectsWeights}); others do not use it.
   *
   * @throws org.fhespark.InvalidInputException as the other, and if a block is under another key
   */
  public void evaluate(
      PublicKey publicKey,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop) {
    publicKey.use(
        key ->
            evaluate(key, inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop));
  }

  private void evaluate(
      long publicKey,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop) {
    FheNative.evaluate(
        handle.get(),
        publicKey,
        inputArray,
        inputSchema,
        outputArray,
        outputSchema,
        threads,
        shouldStop);
  }

  /**
   * The layer in clear, what encrypted evaluation decrypts to.
   *
   * @param activations integers {@code [T][d_in]}
   * @return accumulators {@code [T][d_out]}
   */
  public long[] accumulate(int[] activations) {
    return FheNative.accumulate(handle.get(), activations);
  }

  long nativeHandle() {
    return handle.get();
  }

  @Override
  public void close() {
    handle.close();
  }
}
