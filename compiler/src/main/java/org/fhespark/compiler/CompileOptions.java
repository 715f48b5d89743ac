package org.fhespark.compiler;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.modules.ModulePattern;
import org.fhespark.compiler.parameters.CostConstants;
import org.fhespark.compiler.parameters.ParameterSearch;
import org.fhespark.compiler.parameters.ServerKernel;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.nativelib.PackedParameters;

/** What to compile and how. */
public final class CompileOptions {
  /** The default probability, per value, of a wrong accumulator, 2^-40. */
  public static final double DEFAULT_LOG2_P_ERROR = -40;

  /** The default number of records expected in a block. */
  public static final int DEFAULT_EXPECTED_BATCH = 4096;

  /**
   * The default noise of what a look-up reads, relative to its range. Digit classifiers of one to
   * three layers agree with their float form on 99.6 % of images or more at 0.5 %, and on 98.7 to
   * 99.8 % at 1 %, which is predicted to take 7 % less time.
   */
  public static final double DEFAULT_LOOKUP_ERROR = 0.005;

  /**
   * The default error of what modules on encrypted numbers give, relative to the spread of their
   * outputs. Digit classifiers of one and two hidden layers agree with their float form on 99.8 %
   * of images or more at 2 %.
   */
  public static final double DEFAULT_SIMD_ERROR = 0.02;

  /** Bits of the activations that modules with look-ups read, unless others are asked for. */
  static final int LOOKUP_ACTIVATION_BITS = 12;

  /** What Hugging Face calls the input that is 0 where a sequence is padded. */
  public static final String DEFAULT_PADDING_MASK = "attention_mask";

  /** Switches the padding mask off. */
  public static final String NO_PADDING_MASK = "none";

  private static final double SMALLEST_LOG2_P_ERROR = -1000;
  private static final int LARGEST_EXPECTED_BATCH = 16_384;

  private final List<String> remoteModules;
  private final int weightBits;
  private final OptionalInt activationBits;
  private final Map<String, Integer> weightBitsOf;
  private final Map<String, OptionalInt> activationBitsOf;
  private final OptionalInt limbs;
  private final Map<String, Integer> limbsOf;
  private final QuantizationMode quantization;
  private final double log2PError;
  private final int expectedBatch;
  private final ServerKernel serverKernel;
  private final double wireGigabits;
  private final String paddingMask;
  private final double lookupError;
  private final Engine engine;
  private final Map<String, Engine> engineOf;
  private final double simdError;
  private final int sums;
  private final boolean protectWeights;

  private CompileOptions(Builder builder) {
    this.remoteModules = List.copyOf(builder.remoteModules);
    this.weightBits = builder.weightBits;
    this.activationBits = builder.activationBits;
    this.weightBitsOf = Map.copyOf(builder.weightBitsOf);
    this.activationBitsOf = Map.copyOf(builder.activationBitsOf);
    this.limbs = builder.limbs;
    this.limbsOf = Map.copyOf(builder.limbsOf);
    this.quantization = builder.quantization;
    this.log2PError = builder.log2PError;
    this.expectedBatch = builder.expectedBatch;
    this.serverKernel = builder.serverKernel;
    this.wireGigabits = builder.wireGigabits;
    this.paddingMask = builder.paddingMask;
    this.lookupError = builder.lookupError;
    this.engine = builder.engine;
    this.engineOf = Map.copyOf(builder.engineOf);
    this.simdError = builder.simdError;
    this.sums = builder.sums;
    this.protectWeights = builder.protectWeights;
  }

  /**
   * Options for modules with the given keys to go remote.
   *
   * @param moduleKeys keys, or patterns of keys in which {@code *} stands for any characters but
   *     dots
   */
  public static Builder remote(List<String> moduleKeys) {
    return new Builder(moduleKeys);
  }

  /** Keys of the modules that go remote, or patterns ({@link ModulePattern}). */
  public List<String> remoteModules() {
    return remoteModules;
  }

  /**
   * Checks that what is given for single modules is given for remote ones.
   *
   * @param keys of all remote modules
   * @throws InvalidInputException naming a module that is none
   */
  void requireRemote(List<String> keys) {
    checkNamed("weight bits", weightBitsOf.keySet(), keys);
    checkNamed("activation bits", activationBitsOf.keySet(), keys);
    checkNamed("engines", engineOf.keySet(), keys);
  }

  private static void checkNamed(String option, Set<String> modules, List<String> remote) {
    for (String module : modules) {
      if (remote.stream().noneMatch(key -> new ModulePattern(key).fits(module))) {
        throw new InvalidInputException(
            option
                + " of '"
                + module
                + "' were given, but it is no remote module; name one of "
                + String.join(", ", remote));
      }
    }
  }

  /** Bits of a module's weights, 2 to 8. */
  public int weightBits(String module) {
    return weightBitsOf.getOrDefault(module, weightBits);
  }

  /** Whether a module's bits were asked for by name. */
  public boolean namesWeightBits(String module) {
    return weightBitsOf.containsKey(module);
  }

  /** Bits of a module's activations, 4 to 16; empty for as many as fit the limbs that 8 need. */
  public OptionalInt activationBits(String module) {
    return activationBitsOf.getOrDefault(module, activationBits);
  }

  /**
   * Bytes of a module's ciphertext modulus, q = 2^(8·limbs), 3 to 7, even where no parameters then
   * meet p_error; empty for what is cheapest.
   */
  public OptionalInt limbs(String module) {
    return limbsOf.containsKey(module) ? OptionalInt.of(limbsOf.get(module)) : limbs;
  }

  /** Where scales come from; static for sums, which need one scale for all records. */
  public QuantizationMode quantization() {
    return sums > 1 ? QuantizationMode.STATIC : quantization;
  }

  /** Whether results of linear modules are re-randomised, so that they tell less of the weights. */
  public boolean protectWeights() {
    return protectWeights;
  }

  /** How many results of a module may be added before they are decrypted; 1 for none. */
  public int sums() {
    return sums;
  }

  /** log2 of the tolerated probability, per value, of a wrong accumulator. */
  public double log2PError() {
    return log2PError;
  }

  /**
   * Records expected in a block: parameters are the cheapest for such blocks. A block holds 4096
   * records even if fewer are expected, since more records under one mask cost less each; the
   * client cuts blocks to about 24 MB.
   */
  public int expectedBatch() {
    return expectedBatch;
  }

  /**
   * The input that is 0 where a sequence is padded; empty for {@link #DEFAULT_PADDING_MASK}, if the
   * model has it; {@link #NO_PADDING_MASK} for none.
   */
  public Optional<String> paddingMask() {
    return Optional.ofNullable(paddingMask);
  }

  /**
   * How noisy what a look-up reads may be, and how noisy outputs of modules with look-ups: a
   * standard deviation, relative to the range they lie in.
   */
  public double lookupError() {
    return lookupError;
  }

  /** What computes a module that has non-linearities. */
  public Engine engine(String module) {
    return engineOf.getOrDefault(module, engine);
  }

  /**
   * Root mean square error that outputs of modules on encrypted numbers may have, relative to the
   * root mean square of their differences from their means.
   */
  public double simdError() {
    return simdError;
  }

  /** What work costs: on executors with the kernel expected, over the wire expected. */
  public CostConstants costs() {
    return CostConstants.of(serverKernel, wireGigabits);
  }

  /** Collects options; each has a default. */
  public static final class Builder {
    private final List<String> remoteModules;
    private int weightBits = QuantizedWeights.MOST_BITS;
    private OptionalInt activationBits = OptionalInt.empty();
    private final Map<String, Integer> weightBitsOf = new LinkedHashMap<>();
    private final Map<String, OptionalInt> activationBitsOf = new LinkedHashMap<>();
    private OptionalInt limbs = OptionalInt.empty();
    private final Map<String, Integer> limbsOf = new LinkedHashMap<>();
    private QuantizationMode quantization = QuantizationMode.DYNAMIC;
    private double log2PError = DEFAULT_LOG2_P_ERROR;
    private int expectedBatch = DEFAULT_EXPECTED_BATCH;
    private ServerKernel serverKernel = ServerKernel.AVX512_VNNI;
    private double wireGigabits = CostConstants.DEFAULT_WIRE_GIGABITS;
    private String paddingMask;
    private double lookupError = DEFAULT_LOOKUP_ERROR;
    private Engine engine = Engine.AUTO;
    private final Map<String, Engine> engineOf = new LinkedHashMap<>();
    private double simdError = DEFAULT_SIMD_ERROR;
    private int sums = 1;
    private boolean protectWeights;

    private Builder(List<String> remoteModules) {
      this.remoteModules = remoteModules;
    }

    /** Bits of the weights of all modules, 2 to 8 (default). */
    public Builder weightBits(int bits) {
      this.weightBits = bits;
      return this;
    }

    /** Bits of the activations that all modules read, 4 to 16. */
    public Builder activationBits(int bits) {
      this.activationBits = OptionalInt.of(bits);
      return this;
    }

    /** The default: as many bits of activations as fit the limbs that 8 need. */
    public Builder automaticActivationBits() {
      this.activationBits = OptionalInt.empty();
      return this;
    }

    /** Bits of one module's weights. */
    public Builder weightBits(String module, int bits) {
      weightBitsOf.put(module, bits);
      return this;
    }

    /** Bits of one module's activations. */
    public Builder activationBits(String module, int bits) {
      activationBitsOf.put(module, OptionalInt.of(bits));
      return this;
    }

    /** As many bits for one module's activations as fit the limbs that 8 need. */
    public Builder automaticActivationBits(String module) {
      activationBitsOf.put(module, OptionalInt.empty());
      return this;
    }

    /** Noise of what a look-up reads, relative to its range. */
    public Builder lookupError(double error) {
      this.lookupError = error;
      return this;
    }

    /** What computes modules with non-linearities. */
    public Builder engine(Engine kind) {
      this.engine = kind;
      return this;
    }

    /** What computes one module with non-linearities. */
    public Builder engine(String module, Engine kind) {
      engineOf.put(module, kind);
      return this;
    }

    /** Error of outputs of modules on encrypted numbers, relative to their spread. */
    public Builder simdError(double error) {
      this.simdError = error;
      return this;
    }

    /**
     * Results of a module that may be added before they are decrypted: parameters then leave room
     * for the sum and its noise, and quantisation is static.
     */
    public Builder sums(int results) {
      this.sums = results;
      return this;
    }

    /**
     * Has executors re-randomise the results of linear modules under the client's public key, and
     * flood them with noise, so that a result tells about p + 1 bits and its mask nothing. Results
     * of look-ups are not re-randomised.
     */
    public Builder protectWeights(boolean protect) {
      this.protectWeights = protect;
      return this;
    }

    /** Bytes of the ciphertext modulus. */
    public Builder limbs(int bytes) {
      this.limbs = OptionalInt.of(bytes);
      return this;
    }

    /** Bytes of one module's ciphertext modulus. */
    public Builder limbs(String module, int bytes) {
      limbsOf.put(module, bytes);
      return this;
    }

    /** Of activations: a scale for each record (default), or one from calibration. */
    public Builder quantization(QuantizationMode mode) {
      this.quantization = mode;
      return this;
    }

    /** Log2 of the probability, per value, of a wrong accumulator; -40 by default. */
    public Builder log2PError(double log2Probability) {
      this.log2PError = log2Probability;
      return this;
    }

    /** Records that a block will mostly hold, for which costs are compared; 4096 by default. */
    public Builder expectedBatch(int records) {
      this.expectedBatch = records;
      return this;
    }

    /** The kernel of the executors; it decides what is cheapest, not what can run. */
    public Builder serverKernel(ServerKernel kernel) {
      this.serverKernel = kernel;
      return this;
    }

    /** 10^9 bits a second between client and executors, Spark's copies included. */
    public Builder wireGigabits(double gigabits) {
      this.wireGigabits = gigabits;
      return this;
    }

    /** The input that is 0 where a sequence is padded, or {@link #NO_PADDING_MASK}. */
    public Builder paddingMask(String input) {
      this.paddingMask = input;
      return this;
    }

    /**
     * The options.
     *
     * @throws InvalidInputException if one is out of range
     */
    public CompileOptions build() {
      checkWeightBits("weight bits", weightBits);
      weightBitsOf.forEach(
          (module, bits) -> checkWeightBits("weight bits of '" + module + "'", bits));
      activationBits.ifPresent(bits -> checkActivationBits("activation bits", bits));
      activationBitsOf.forEach(
          (module, bits) ->
              bits.ifPresent(
                  value -> checkActivationBits("activation bits of '" + module + "'", value)));
      checkNamed("weight bits", weightBitsOf.keySet(), remoteModules);
      checkNamed("activation bits", activationBitsOf.keySet(), remoteModules);
      checkNamed("engines", engineOf.keySet(), remoteModules);
      limbs.ifPresent(bytes -> checkLimbs("limbs", bytes));
      limbsOf.forEach((module, bytes) -> checkLimbs("limbs of '" + module + "'", bytes));
      checkNamed("limbs", limbsOf.keySet(), remoteModules);
      checkRange("expected batch", expectedBatch, 1, LARGEST_EXPECTED_BATCH);
      checkRange("sums", sums, 1, PackedParameters.MOST_SUMMANDS);
      if (!(log2PError < 0 && log2PError >= SMALLEST_LOG2_P_ERROR)) {
        throw new InvalidInputException(
            "p-error 2^"
                + log2PError
                + " is out of range; give a probability below 1 such as 2^-40");
      }
      if (!(lookupError > 0 && lookupError <= 0.25)) {
        throw new InvalidInputException(
            "look-up error "
                + lookupError
                + " is out of range; give a share of the range of values up to 0.25, such as 0.01");
      }
      if (!(simdError > 0 && simdError <= 1)) {
        throw new InvalidInputException(
            "simd error "
                + simdError
                + " is out of range; give a share of the outputs' spread up to 1, such as 0.02");
      }
      if (!(wireGigabits > 0 && Double.isFinite(wireGigabits))) {
        throw new InvalidInputException(
            "wire gigabits cannot be " + wireGigabits + "; give a speed above 0 such as 8");
      }
      return new CompileOptions(this);
    }

    private static void checkWeightBits(String option, int bits) {
      checkRange(option, bits, QuantizedWeights.FEWEST_BITS, QuantizedWeights.MOST_BITS);
    }

    private static void checkActivationBits(String option, int bits) {
      checkRange(
          option,
          bits,
          ParameterSearch.FEWEST_ACTIVATION_BITS,
          ParameterSearch.MOST_ACTIVATION_BITS);
    }

    private static void checkLimbs(String option, int bytes) {
      checkRange(option, bytes, ParameterSearch.FEWEST_LIMBS, ParameterSearch.MOST_LIMBS);
    }

    private static void checkRange(String option, int value, int least, int most) {
      if (value < least || value > most) {
        throw new InvalidInputException(
            option + " cannot be " + value + "; give " + least + " to " + most);
      }
    }
  }
}
