package org.fhespark.compiler.lookups;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.parameters.FailureProbability;
import org.fhespark.nativelib.Amplification;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.BootstrapSearch;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupNoise;
import org.fhespark.nativelib.LookupStep;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;

/**
 * Makes circuits with look-ups of regions. All that a model needs share their parameters, so that
 * one evaluation key serves them.
 */
public final class LookupCompiler {
  /** Bits of the packed layer's modulus at most. */
  private static final int MOST_MESSAGE_LIMBS = 5;

  /** The fewest bits of weights that are tried where more are too noisy. */
  private static final int FEWEST_WEIGHT_BITS = 4;

  /** Bits that weights get beyond those asked for, where noise allows. */
  private static final int SPARE_WEIGHT_BITS = 8;

  /** Entries of the tables of a first fit. */
  private static final int FIRST_TABLE = 2048;

  /** Values that a trace of calibration rows holds at most. */
  private static final long MOST_TRACED = 1L << 26;

  /** What noise may take a value beyond its range at most, in turns. */
  private static final double MOST_MARGIN = 0.25;

  /** A fit's target may be missed by so much, for it moves a little with every fit. */
  private static final double SLACK = 1.02;

  /** Fits that are tried with the error asked for; further ones ask for less, so that they end. */
  private static final int PATIENT_FITS = 4;

  private static final double TIGHTENING = 0.9;

  private LookupCompiler() {}

  /**
   * What to compile.
   *
   * @param module its key
   * @param regions its calls
   * @param sample rows that they read
   * @param quantization of a row
   * @param weightBits of the weights behind look-ups
   */
  public record Request(
      String module,
      List<LookupRegion> regions,
      RowSample sample,
      Quantization quantization,
      int weightBits) {
    public Request {
      regions = List.copyOf(regions);
    }
  }

  /**
   * How exact it must be.
   *
   * @param lookupError noise of what a look-up reads and of outputs, relative to the range they lie
   *     in: a standard deviation
   * @param log2PError log2 of the probability that noise takes a value out of its table's range
   */
  public record Accuracy(double lookupError, double log2PError) {
    /** Standard deviations beyond which a normal variable is so rarely: 2·exp(-t²/2) = p. */
    double tail() {
      return FailureProbability.deviations(log2PError);
    }
  }

  /** A module on its way. */
  private static final class Work {
    final Request request;
    final Network network;
    final float[][] rows;
    int weightBits;
    FittedNetwork fitted;
    QuantisedNetwork quantised;

    Work(Request request, Network network) {
      this.request = request;
      this.network = network;
      float[][] all = request.sample.rows();
      long most = Math.max(16, MOST_TRACED / network.variables());
      this.rows = all.length > most ? Arrays.copyOf(all, (int) most) : all;
      this.weightBits = request.weightBits;
    }

    void fit(double deviation, double margin) {
      fitted = FittedNetwork.of(network, rows, deviation, margin);
    }

    void quantise(int tableSize) {
      int[] bits = new int[network.layers().size()];
      Arrays.fill(bits, weightBits);
      int largest = (1 << (request.quantization.activationBits() - 1)) - 1;
      quantised =
          QuantisedNetwork.of(
              request.module,
              fitted,
              new QuantisedNetwork.Precision(
                  tableSize,
                  MOST_MESSAGE_LIMBS,
                  request.quantization.staticScale(),
                  largest,
                  bits));
    }

    Amplification.OfCircuit amplification() {
      return Amplification.ofCircuit(
          network.inputs(), quantised.packedWeights(), quantised.steps(), quantised.outputs());
    }

    /** The same of all layers. */
    DoubleStream targets(double error) {
      return IntStream.range(0, fitted.layers().size()).mapToDouble(g -> target(g, error));
    }

    /** The most that a look-up's argument may err in a layer, in turns. */
    double target(int layer, double error) {
      return error * fitted.layers().get(layer).fit().rangeInTurns();
    }

    byte[] encode(PackedParameters packed, BootstrapParameters parameters) {
      return LookupCircuit.encode(
          packed.withMessageBits(quantised.messageBits()),
          parameters,
          request.module,
          network.inputs(),
          quantised.packedOutputs(),
          quantised.packedWeights(),
          quantised.tables(),
          quantised.steps(),
          quantised.outputs());
    }
  }

  /**
   * Compiles modules.
   *
   * @throws InvalidInputException if one computes something else than its operators look like, or
   *     no parameters are exact enough
   */
  public static List<CompiledLookups> compile(
      OnnxModel model, List<Request> requests, Accuracy accuracy) {
    List<Work> all = new ArrayList<>();
    for (Request request : requests) {
      requireValues(request);
      Network network = Network.read(model, request.module, request.regions, request.sample);
      all.add(new Work(request, network));
    }
    BootstrapSearch.Choice choice = choose(all, accuracy);
    return all.stream().map(work -> finish(work, choice, accuracy)).toList();
  }

  private static void requireValues(Request request) {
    if (request.sample.maxAbs() == 0) {
      throw new InvalidInputException(
          "calibration data: what module '"
              + request.module
              + "' reads is zero in all "
              + request.sample.count()
              + " rows, which tells no range; calibrate with records that occur");
    }
  }

  /**
   * Parameters for all. How a function is best fitted depends on the noise that parameters have,
   * and how much noise it bears on the fit: they are chosen in turns.
   */
  private static BootstrapSearch.Choice choose(List<Work> all, Accuracy accuracy) {
    double deviation = accuracy.lookupError;
    double error = accuracy.lookupError;
    for (int fits = 1; ; fits++) {
      fit(all, deviation, accuracy);
      BootstrapSearch.Choice choice = search(all, error);
      double read =
          choice.lookupDeviations().stream().mapToDouble(Double::doubleValue).max().orElse(0);
      fit(all, read, accuracy);
      List<Double> deviations = choice.lookupDeviations();
      double[] targets =
          all.stream().flatMapToDouble(work -> work.targets(accuracy.lookupError)).toArray();
      boolean areReached =
          IntStream.range(0, targets.length).allMatch(i -> deviations.get(i) <= targets[i] * SLACK);
      if (areReached) {
        return choice;
      }
      // With less noise, half the torus is soon worth twice the range, and no fit asks for more.
      deviation = Math.min(read, deviation) / 2;
      if (fits >= PATIENT_FITS) {
        error *= TIGHTENING;
      }
    }
  }

  private static void fit(List<Work> all, double deviation, Accuracy accuracy) {
    double margin = Math.min(MOST_MARGIN, accuracy.tail() * deviation);
    all.forEach(work -> work.fit(deviation, margin));
  }

  /** The fastest parameters, with fewer bits of weights if more cannot be had. */
  private static BootstrapSearch.Choice search(List<Work> all, double error) {
    while (true) {
      all.forEach(work -> work.quantise(FIRST_TABLE));
      BootstrapSearch.Request request = request(all, error);
      try {
        return BootstrapSearch.search(request);
      } catch (InvalidInputException none) {
        if (all.stream().allMatch(work -> work.weightBits <= FEWEST_WEIGHT_BITS)) {
          throw new InvalidInputException(
              "module "
                  + String.join(", ", all.stream().map(w -> "'" + w.request.module + "'").toList())
                  + ": "
                  + none.getMessage()
                  + "; allow a larger error (--lookup-error), or name smaller remote modules",
              none);
        }
        all.forEach(work -> work.weightBits = Math.max(FEWEST_WEIGHT_BITS, work.weightBits - 1));
      }
    }
  }

  /** What all modules need together. */
  private static BootstrapSearch.Request request(List<Work> all, double error) {
    List<BootstrapSearch.Target> targets = new ArrayList<>();
    double packed = 0;
    double lookups = 0;
    for (Work work : all) {
      Amplification.OfCircuit amplification = work.amplification();
      int layer = 0;
      for (int s = 0; s < work.quantised.steps().size(); s++) {
        if (work.quantised.steps().get(s) instanceof LookupStep.Lookup) {
          double deviation = work.target(layer++, error);
          targets.add(
              new BootstrapSearch.Target(amplification.steps().get(s), deviation * deviation));
        }
      }
      packed = Math.max(packed, amplification.outputs().packed());
      lookups = Math.max(lookups, amplification.outputs().lookups());
    }
    double outputs = outputTarget(error);
    return new BootstrapSearch.Request(
        targets,
        new BootstrapSearch.Target(new Amplification(packed, lookups), outputs * outputs),
        all.stream().mapToInt(work -> work.quantised.messageBits()).max().orElseThrow(),
        all.stream().mapToInt(work -> work.network.inputs()).max().orElseThrow(),
        all.stream().mapToInt(work -> work.quantised.packedOutputs()).max().orElseThrow(),
        all.stream().mapToInt(work -> work.network.outputs().length).sum(),
        all.stream().mapToLong(work -> work.network.lookups()).sum());
  }

  /** The most that an output may err, in turns. */
  private static double outputTarget(double error) {
    return error / FittedNetwork.OUTPUT_HEAD_ROOM;
  }

  /** The circuit, its weights with as many bits as noise leaves. */
  private static CompiledLookups finish(
      Work work, BootstrapSearch.Choice choice, Accuracy accuracy) {
    double error = accuracy.lookupError;
    int bits = work.weightBits;
    int tableSize = choice.parameters().polynomialSize();
    byte[] circuit = null;
    LookupNoise noise = null;
    for (int spare = SPARE_WEIGHT_BITS; spare >= 0; spare--) {
      work.weightBits = bits + spare;
      work.quantise(tableSize);
      if (work.quantised.messageBits() > 8 * choice.packed().outputBodyLimbs()) {
        continue;
      }
      circuit = work.encode(choice.packed(), choice.parameters());
      try (LookupCircuit opened = LookupCircuit.open(circuit)) {
        noise = opened.noise();
      }
      if (spare == 0 || isWithin(work, noise, error)) {
        break;
      }
    }
    if (circuit == null) {
      throw new InvalidInputException(
          "module '"
              + work.request.module
              + "': its packed layer needs "
              + work.quantised.messageBits()
              + " bits, and results keep "
              + 8 * choice.packed().outputBodyLimbs()
              + "; ask for a smaller error (--lookup-error), or name smaller remote modules");
    }
    RowLayout layout = work.request.sample.layout();
    QuantisedNetwork quantised = work.quantised;
    float[] bias = new float[quantised.outputBias().length];
    for (int j = 0; j < bias.length; j++) {
      bias[j] = (float) quantised.outputBias()[j];
    }
    return new CompiledLookups(
        work.request.module,
        work.network.inputs(),
        layout.wholeRecords() ? Arrays.stream(layout.axes()).boxed().toList() : null,
        layout.wholeRecords() ? work.network.outputShape() : null,
        choice.packed().withMessageBits(quantised.messageBits()),
        choice.parameters(),
        quantised.norms(work.network.inputs()),
        work.request.quantization,
        quantised.packedOutputs(),
        quantised.outputScales(),
        bias,
        work.weightBits,
        layers(work, noise, error),
        quantised.ranges(),
        noise,
        failure(work, noise, accuracy.log2PError),
        choice.millisecondsPerLookup(),
        choice.candidates(),
        circuit);
  }

  private static boolean isWithin(Work work, LookupNoise noise, double error) {
    double[] read = readDeviations(work, noise);
    return noise.outputs() <= outputTarget(error)
        && IntStream.range(0, read.length).allMatch(g -> read[g] <= work.target(g, error));
  }

  /**
   * How surely noise leaves what calibration saw where it belongs: what a look-up reads in its
   * table, an output away from the other end of its range. The noise is that of the circuit's own
   * operations; what look-ups read wrongly and pass on is not in it.
   */
  private static FailureProbability failure(Work work, LookupNoise noise, double log2PError) {
    double[] read = readDeviations(work, noise);
    double least = (1 - 1 / FittedNetwork.OUTPUT_HEAD_ROOM) / 2 / noise.outputs();
    for (int g = 0; g < read.length; g++) {
      TableFit fit = work.fitted.layers().get(g).fit();
      double seen = fit.range() / FittedNetwork.HEAD_ROOM / fit.halfTurn();
      least = Math.min(least, (1 - seen) / 2 / read[g]);
    }
    return FailureProbability.beyond(least, log2PError);
  }

  /** What each layer of look-ups reads errs so, in turns. */
  private static double[] readDeviations(Work work, LookupNoise noise) {
    List<LookupStep> steps = work.quantised.steps();
    return IntStream.range(0, steps.size())
        .filter(s -> steps.get(s) instanceof LookupStep.Lookup)
        .mapToDouble(s -> noise.steps().get(s))
        .toArray();
  }

  private static List<CompiledLookups.Layer> layers(Work work, LookupNoise noise, double error) {
    double[] read = readDeviations(work, noise);
    List<CompiledLookups.Layer> layers = new ArrayList<>();
    for (int g = 0; g < read.length; g++) {
      FittedNetwork.Layer layer = work.fitted.layers().get(g);
      TableFit fit = layer.fit();
      double unit = Arrays.stream(layer.units()).max().orElse(1);
      layers.add(
          new CompiledLookups.Layer(
              layer.name(),
              layer.arguments().length,
              fit.range() * unit,
              read[g] / fit.rangeInTurns(),
              error,
              fit.slope(),
              fit.misfit() / (2 * fit.range())));
    }
    return layers;
  }
}
