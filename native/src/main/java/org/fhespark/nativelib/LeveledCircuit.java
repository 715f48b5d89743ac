package org.fhespark.nativelib;

import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.fhespark.InvalidInputException;

/**
 * Linear layers with polynomials between them, evaluated on many records at a time: one ciphertext
 * holds a feature of all records of a block. Safe to share between threads.
 *
 * <p>Blocks are made and results read by a {@link LeveledClient}.
 */
public final class LeveledCircuit implements KeyedCircuit {
  private final NativeHandle handle;
  private final CircuitDigest digest;
  private final LeveledParameters parameters;
  private final int inputs;
  private final int outputs;

  private LeveledCircuit(NativeHandle handle, CircuitDigest digest, int[] shape) {
    this.handle = handle;
    this.digest = digest;
    this.parameters = new LeveledParameters(shape[0], shape[1]);
    this.inputs = shape[2];
    this.outputs = shape[3];
  }

  /**
   * The bytes of a circuit file.
   *
   * @throws InvalidInputException if a shape, a number or a parameter is out of range, the levels
   *     are not those that the chain needs ({@link #levelsNeeded}), or the parameters are below
   *     128-bit security
   */
  public static byte[] encode(LeveledParameters parameters, LeveledChain chain) {
    NativeLibrary.load();
    return FheNative.encodeLeveledCircuit(
        parameters.fields(),
        chain.moduleKey(),
        chain.inputs(),
        chain.layers().stream().mapToInt(LeveledLayer::outputs).toArray(),
        weights(chain.layers()),
        doubles(chain.layers().stream().map(LeveledLayer::multipliers).toList()),
        doubles(chain.layers().stream().map(LeveledLayer::biases).toList()),
        activations(chain.activations()),
        doubles(chain.activations().stream().map(LeveledActivation::coefficients).toList()),
        doubles(chain.activations().stream().map(LeveledActivation::linear).toList()),
        chain.inputScale(),
        chain.outputScale());
  }

  private static byte[] weights(List<LeveledLayer> layers) {
    long count = layers.stream().mapToLong(layer -> layer.weights().length).sum();
    if (count > Integer.MAX_VALUE) {
      throw new InvalidInputException("a leveled circuit of " + count + " weights is too large");
    }
    byte[] all = new byte[(int) count];
    int at = 0;
    for (LeveledLayer layer : layers) {
      System.arraycopy(layer.weights(), 0, all, at, layer.weights().length);
      at += layer.weights().length;
    }
    return all;
  }

  private static double[] doubles(List<double[]> parts) {
    return parts.stream().flatMapToDouble(DoubleStream::of).toArray();
  }

  /** Form and degree of each. */
  private static int[] activations(List<LeveledActivation> activations) {
    return activations.stream()
        .flatMapToInt(each -> IntStream.of(each.form().ordinal(), each.degree()))
        .toArray();
  }

  /**
   * Levels that a chain of activations and linear layers between, before and behind them takes.
   *
   * @param forms of the activations
   * @param degrees theirs
   */
  public static int levelsNeeded(List<LeveledActivation.Form> forms, int[] degrees) {
    NativeLibrary.load();
    return FheNative.leveledLevelsNeeded(
        IntStream.range(0, degrees.length)
            .flatMap(i -> IntStream.of(forms.get(i).ordinal(), degrees[i]))
            .toArray());
  }

  /** Levels that a ring has at 128-bit security; 0 if it has none. */
  public static int maxLevels(int polynomialSize) {
    NativeLibrary.load();
    return FheNative.leveledMaxLevels(polynomialSize);
  }

  /**
   * log2 of the largest modulus, that of evaluation keys, at which a ring has 128-bit security; 0
   * if it is in no table.
   */
  public static int log2SecureModulus(int polynomialSize) {
    NativeLibrary.load();
    return FheNative.leveledLargestModulusBits(polynomialSize);
  }

  /** What a value of 1 is in a ciphertext. */
  public static double nominalScale() {
    NativeLibrary.load();
    return FheNative.leveledNominalScale();
  }

  /** The most that an output of 1 may be in a result. */
  public static double largestOutputScale(int polynomialSize) {
    NativeLibrary.load();
    return FheNative.leveledLargestOutputScale(polynomialSize);
  }

  /** Whether a circuit file says that it is leveled; whether it is whole, {@link #open} tells. */
  public static boolean isOne(byte[] file) {
    return CircuitKind.LEVELED.isOf(file);
  }

  /**
   * Prepares a circuit file.
   *
   * @throws InvalidInputException if the file is truncated, altered or of another version
   */
  public static LeveledCircuit open(byte[] file) {
    NativeLibrary.load();
    long handle = FheNative.openLeveledCircuit(file);
    return new LeveledCircuit(
        new NativeHandle("leveled circuit", handle, FheNative::closeLeveledCircuit),
        CircuitDigest.of(file),
        FheNative.leveledCircuitShape(handle));
  }

  @Override
  public long memoryBytes() {
    return FheNative.leveledCircuitMemory(handle.get());
  }

  @Override
  public CircuitDigest digest() {
    return digest;
  }

  @Override
  public LeveledParameters parameters() {
    return parameters;
  }

  @Override
  public int inputs() {
    return inputs;
  }

  @Override
  public int outputs() {
    return outputs;
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
            FheNative.evaluateLeveled(
                handle.get(),
                keyHandle,
                inputArray,
                inputSchema,
                outputArray,
                outputSchema,
                threads,
                shouldStop));
  }

  /** Standard deviation of the noise of a fresh ciphertext, in units of normalised inputs. */
  public double inputNoise() {
    return FheNative.leveledInputNoise(handle.get());
  }

  /**
   * The circuit in clear, what encrypted evaluation decrypts to but for its noise.
   *
   * @param records normalised as {@link LeveledClient#normalize} does, {@code [T][d_in]}
   * @param isSimulated whether noise is drawn as the parameters make it, wherever it arises
   * @return outputs in units of their ranges, {@code [T][d_out]}
   * @throws InvalidInputException if these are not whole records
   */
  public double[] evaluateInClear(double[] records, boolean isSimulated) {
    return FheNative.leveledInClear(handle.get(), records, isSimulated);
  }

  @Override
  public void close() {
    handle.close();
  }
}
