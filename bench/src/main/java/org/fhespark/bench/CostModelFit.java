package org.fhespark.bench;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.parameters.BlockWork;
import org.fhespark.nativelib.NativeLibrary;

/**
 * Measures the constants of the parameter search's cost model on one core of this machine: times
 * encryption, evaluation and decryption of layers of many shapes, batches and parameters, and fits
 * nanoseconds to the work that {@link BlockWork} counts.
 *
 * <p>Each time is the least of several, taken in turns. A constant cost a call is fitted too and
 * left out of the model: it is the same for all parameters.
 */
public final class CostModelFit {
  private static final int LAYERS = 40;
  private static final int[] FEATURES = {32, 64, 128, 256, 512, 768};
  private static final int[] BATCHES = {1, 64, 200, 512, 1024, 2048};
  private static final FixedParameters[] PARAMETERS = {
    new FixedParameters(20, 64, 4, 4, 4, 3),
    new FixedParameters(24, 64, 5, 4, 4, 3),
    new FixedParameters(10, 128, 4, 4, 3, 3),
    new FixedParameters(13, 128, 5, 5, 4, 3),
    new FixedParameters(5, 256, 4, 3, 3, 3),
    new FixedParameters(6, 256, 5, 4, 4, 3),
    new FixedParameters(8, 256, 6, 6, 6, 4),
    new FixedParameters(3, 512, 5, 5, 4, 3),
    new FixedParameters(3, 512, 5, 4, 4, 4),
    new FixedParameters(4, 512, 6, 5, 4, 4),
    new FixedParameters(2, 1024, 5, 5, 5, 4),
    new FixedParameters(1, 2048, 6, 5, 5, 4)
  };
  private static final long MOST_MULTIPLY_ACCUMULATES = 4_000_000_000L;
  private static final double SECONDS = 80;
  private static final int FEWEST_ROUNDS = 5;

  private CostModelFit() {}

  /** A layer to time, the work it is, and the least times yet, in nanoseconds. */
  private static final class Sample {
    final BlockWork work;
    final EncryptedLayer layer;
    double encrypt = Double.MAX_VALUE;
    double evaluate = Double.MAX_VALUE;
    double decrypt = Double.MAX_VALUE;

    Sample(BlockWork work, EncryptedLayer layer) {
      this.work = work;
      this.layer = layer;
    }

    void time(boolean isServer) {
      if (isServer) {
        evaluate = Math.min(evaluate, nanoseconds(layer::evaluate));
      } else {
        encrypt = Math.min(encrypt, nanoseconds(layer::encrypt));
        decrypt = Math.min(decrypt, nanoseconds(layer::decrypt));
      }
    }

    private static double nanoseconds(Runnable work) {
      long start = System.nanoTime();
      work.run();
      return System.nanoTime() - start;
    }
  }

  /**
   * Fits one side.
   *
   * @param arguments {@code client} or {@code server}
   */
  public static void main(String[] arguments) {
    boolean isServer = arguments[0].equals("server");
    try {
      NativeLibrary.kernelName();
    } catch (InvalidInputException otherMachine) {
      System.out.println(otherMachine.getMessage());
      return;
    }
    List<Sample> samples = samples();
    long start = System.nanoTime();
    for (int round = 0;
        round < FEWEST_ROUNDS || System.nanoTime() - start < SECONDS * 1e9;
        round++) {
      samples.forEach(sample -> sample.time(isServer));
    }
    if (isServer) {
      fitServer(samples);
    } else {
      fitClient(samples);
    }
    samples.forEach(sample -> sample.layer.close());
  }

  private static List<Sample> samples() {
    Random random = new Random(1);
    List<Sample> samples = new ArrayList<>();
    while (samples.size() < LAYERS) {
      int inputs = FEATURES[random.nextInt(FEATURES.length)];
      int outputs = FEATURES[random.nextInt(FEATURES.length)];
      int records = BATCHES[random.nextInt(BATCHES.length)];
      FixedParameters parameters = PARAMETERS[samples.size() % PARAMETERS.length];
      ByteBuffer floats = RandomRecords.of(records, inputs);
      BlockWork work = work(parameters, records, inputs, outputs);
      if (work.server().multiplyAccumulates() <= MOST_MULTIPLY_ACCUMULATES) {
        samples.add(
            new Sample(
                work,
                new EncryptedLayer(
                    floats, records, new LayerShape(inputs, outputs), 6, parameters)));
      }
    }
    return samples;
  }

  private static BlockWork work(FixedParameters parameters, int records, int inputs, int outputs) {
    return BlockWork.of(
        parameters.of(2, records), records, new BlockWork.Layer(1, inputs, outputs));
  }

  private static void fitServer(List<Sample> samples) {
    List<double[]> terms = new ArrayList<>();
    for (Sample sample : samples) {
      BlockWork.Server server = sample.work.server();
      terms.add(
          new double[] {
            server.multiplyAccumulates(),
            server.packedBytes(),
            server.productBytes(),
            server.maskBytes(),
            1
          });
    }
    print(
        "server, kernel " + NativeLibrary.kernelName(),
        List.of("multiplyAccumulate", "packedByte", "productByte", "serverMaskByte", "a call"),
        terms,
        samples.stream().mapToDouble(sample -> sample.evaluate).toArray());
  }

  private static void fitClient(List<Sample> samples) {
    List<double[]> terms = new ArrayList<>();
    double[] measured = new double[2 * samples.size()];
    for (int i = 0; i < samples.size(); i++) {
      Sample sample = samples.get(i);
      measured[terms.size()] = sample.encrypt;
      terms.add(terms(sample.work.encryption(), true));
      measured[terms.size()] = sample.decrypt;
      terms.add(terms(sample.work.decryption(), false));
    }
    print(
        "client",
        List.of(
            "clientMaskByte",
            "maskEntry",
            "transformStep",
            "product",
            "encryptedValue",
            "decryptedValue",
            "a call"),
        terms,
        measured);
  }

  private static double[] terms(BlockWork.Client work, boolean isEncryption) {
    return new double[] {
      work.maskBytes(),
      work.maskEntries(),
      work.transformSteps(),
      work.products(),
      isEncryption ? work.values() : 0,
      isEncryption ? 0 : work.values(),
      1
    };
  }

  private static void print(
      String side, List<String> names, List<double[]> terms, double[] measured) {
    double[] fitted = LeastSquares.relative(terms, measured);
    System.out.println(side + ", nanoseconds on one core:");
    for (int j = 0; j < names.size(); j++) {
      System.out.printf("  %-20s %.6f%n", names.get(j), fitted[j]);
    }
    double[] errors = LeastSquares.errors(terms, measured, fitted);
    double[] sizes = Arrays.stream(errors).map(Math::abs).sorted().toArray();
    System.out.printf(
        "  fit errors over %d timings: median %.1f %%, 90 %% below %.1f %%, largest %.1f %%%n",
        sizes.length,
        100 * sizes[sizes.length / 2],
        100 * sizes[sizes.length * 9 / 10],
        100 * sizes[sizes.length - 1]);
  }
}
