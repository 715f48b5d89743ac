package org.fhespark.nativelib;

import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * A packed linear layer with linear maps and look-ups after it, ready to be evaluated on encrypted
 * blocks; safe to share between threads.
 *
 * <p>Blocks of activations are made by the {@link ModuleClient} of the packed layer, whose circuit
 * digest is this circuit's; their results are read by a {@link LookupClient}.
 */
public final class LookupCircuit implements KeyedCircuit {
  private final NativeHandle handle;
  private final CircuitDigest digest;
  private final PackedParameters packedParameters;
  private final BootstrapParameters parameters;
  private final int inputs;
  private final int packedOutputs;
  private final int outputs;
  private final int lookups;

  private LookupCircuit(NativeHandle handle, CircuitDigest digest, int[] shape) {
    this.handle = handle;
    this.digest = digest;
    int packed = PackedParameters.FIELDS;
    int sizes = packed + BootstrapParameters.FIELDS;
    this.packedParameters = PackedParameters.of(Arrays.copyOf(shape, packed));
    this.parameters = BootstrapParameters.of(Arrays.copyOfRange(shape, packed, sizes));
    this.inputs = shape[sizes];
    this.packedOutputs = shape[sizes + 1];
    this.outputs = shape[sizes + 2];
    this.lookups = shape[sizes + 3];
  }

  /**
   * The bytes of a circuit file.
   *
   * @param packed parameters of the packed layer: one body, the same k and N as {@code parameters},
   *     and results that are not rounded
   * @param moduleKey the {@code named_modules()} key it comes from
   * @param inputs d_in
   * @param packedOutputs outputs of the packed layer; their accumulators m are the values m / 2^p
   * @param weights integers {@code [packedOutputs][d_in]}, row-major
   * @param tables N torus elements each
   * @param outputs the values that are the result
   * @throws org.fhespark.InvalidInputException if a shape or parameter is out of range, a step
   *     reads a value that is not there, or the parameters are below 132-bit security
   */
  public static byte[] encode(
      PackedParameters packed,
      BootstrapParameters parameters,
      String moduleKey,
      int inputs,
      int packedOutputs,
      byte[] weights,
      List<long[]> tables,
      List<LookupStep> steps,
      int[] outputs) {
    StepStreams streams = StepStreams.of(steps);
    NativeLibrary.load();
    return FheNative.encodeLookupCircuit(
        packed.fields(),
        parameters.fields(),
        moduleKey,
        inputs,
        packedOutputs,
        weights,
        tables.stream().flatMapToLong(Arrays::stream).toArray(),
        streams.integers(),
        streams.words(),
        outputs);
  }

  /** Whether a circuit file says that it has look-ups; whether it is whole, {@link #open} tells. */
  public static boolean isOne(byte[] file) {
    return CircuitKind.LOOKUPS.isOf(file);
  }

  /**
   * Prepares a circuit file.
   *
   * @throws org.fhespark.InvalidInputException if the file is truncated, altered or of another
   *     version
   */
  public static LookupCircuit open(byte[] file) {
    NativeLibrary.load();
    long handle = FheNative.openLookupCircuit(file);
    return new LookupCircuit(
        new NativeHandle("circuit with look-ups", handle, FheNative::closeLookupCircuit),
        CircuitDigest.of(file),
        FheNative.lookupCircuitShape(handle));
  }

  @Override
  public long memoryBytes() {
    return FheNative.lookupCircuitMemory(handle.get());
  }

  @Override
  public CircuitDigest digest() {
    return digest;
  }

  @Override
  public BootstrapParameters parameters() {
    return parameters;
  }

  /** Of the packed layer. */
  public PackedParameters packedParameters() {
    return packedParameters;
  }

  @Override
  public int inputs() {
    return inputs;
  }

  /** Outputs of the packed layer. */
  public int packedOutputs() {
    return packedOutputs;
  }

  @Override
  public int outputs() {
    return outputs;
  }

  /** Look-ups of a record. */
  public int lookups() {
    return lookups;
  }

  @Override
  public void evaluate(
      EvaluationKey keys,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop) {
    keys.use(
        keyHandle ->
            FheNative.evaluateLookups(
                handle.get(),
                keyHandle,
                inputArray,
                inputSchema,
                outputArray,
                outputSchema,
                threads,
                shouldStop));
  }

  /**
   * The circuit in clear, what encrypted evaluation decrypts to but for its noise; a look-up takes
   * the nearest entry of its table.
   *
   * @param activations integers {@code [T][d_in]}
   * @return phases {@code [T][outputs]}, in units of 2^-64 of the torus
   */
  public long[] phases(int[] activations) {
    return evaluateInClear(activations, false, LookupRanges.NONE).phases();
  }

  /**
   * The same with noise drawn as the circuit's parameters make it, wherever it arises: what an
   * encrypted evaluation decrypts to, in distribution. Needs no key.
   *
   * @param activations integers {@code [T][d_in]}
   * @return phases {@code [T][outputs]}, in units of 2^-64 of the torus
   */
  public long[] simulate(int[] activations) {
    return evaluateInClear(activations, true, LookupRanges.NONE).phases();
  }

  /**
   * What an evaluation in clear gives.
   *
   * @param phases {@code [T][outputs]}, in units of 2^-64 of the torus
   * @param outside how many arguments of look-ups, of all records, were out of their range: their
   *     tables, which know no such arguments, gave something else
   */
  public record ClearResults(long[] phases, long outside) {}

  /**
   * {@link #phases} or {@link #simulate}, and the number of arguments that are out of their range.
   *
   * @param activations integers {@code [T][d_in]}
   * @throws org.fhespark.InvalidInputException if there are ranges of another number of look-ups
   */
  public ClearResults evaluateInClear(int[] activations, boolean isSimulated, LookupRanges ranges) {
    long[] results =
        FheNative.lookupPhases(
            handle.get(), activations, isSimulated, ranges.reaches(), ranges.wholeTurns());
    int last = results.length - 1;
    return new ClearResults(Arrays.copyOf(results, last), results[last]);
  }

  /** The noise that its parameters are predicted to have. */
  public LookupNoise noise() {
    double[] deviations = FheNative.lookupNoise(handle.get());
    int last = deviations.length - 1;
    List<Double> steps = Arrays.stream(deviations, 1, last).boxed().toList();
    return new LookupNoise(deviations[0], steps, deviations[last]);
  }

  @Override
  public void close() {
    handle.close();
  }
}
