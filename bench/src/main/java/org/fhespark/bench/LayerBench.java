package org.fhespark.bench;

import ai.onnxruntime.OrtException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.NativeLibrary;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Encrypted linear layers against everything they are compared with: prints one table and writes
 * its figures as JSON.
 */
@Command(
    name = "bench/layers",
    description = "Times encrypted linear layers against their references, as ratios.",
    mixinStandardHelpOptions = true,
    showDefaultValues = true,
    sortOptions = false)
public final class LayerBench implements Callable<Integer> {
  /** TenSEAL packs as many records as half its ring's dimension. */
  private static final int TENSEAL_RECORDS = 4096;

  @Option(
      names = "--shapes",
      split = ",",
      paramLabel = "DxD",
      defaultValue = "384x384,384x1536,1536x384,768x768,768x3072",
      description = "d_in x d_out of the layers.")
  private List<LayerShape> shapes;

  @Option(
      names = "--batches",
      split = ",",
      paramLabel = "T",
      defaultValue = "1,64,512,2048,4096",
      description = "Records in a block.")
  private List<Integer> batches;

  @Option(
      names = "--ahead",
      split = ",",
      paramLabel = "T",
      defaultValue = "1,64",
      description = "Batches that are also evaluated under masks prepared ahead of them.")
  private List<Integer> aheadBatches;

  @Option(
      names = "--protected",
      split = ",",
      paramLabel = "T",
      defaultValue = "64,4096",
      description =
          "Batches whose results are also re-randomised, as by compile --protect-weights.")
  private List<Integer> protectedBatches;

  @Option(
      names = "--weight-bits",
      split = ",",
      paramLabel = "BITS",
      defaultValue = "8,6",
      description = "Bits of the weights, 2 to 8.")
  private List<Integer> weightBits;

  @Option(
      names = "--parameters",
      paramLabel = "k:N:L:L:L:L",
      description =
          "GLWE dimension, polynomial size, limbs of mask and bodies up, then down, as"
              + " 3:512:5:5:4:4. By default those that the compiler chooses for layer and batch.")
  private FixedParameters fixed;

  @Option(
      names = "--seconds",
      paramLabel = "S",
      defaultValue = "1",
      description = "How long each of a row's works is run, about.")
  private double seconds;

  @Option(
      names = "--json",
      paramLabel = "FILE",
      defaultValue = "build/bench/layers.json",
      description = "Where the figures go.")
  private Path json;

  @Option(
      names = "--kernels",
      description =
          "Each kernel of this machine in turn, in a process of its own; without peers. Choose"
              + " few shapes and batches.")
  private boolean eachKernel;

  @Option(names = "--no-peers", description = "Without the libraries that run in Python.")
  private boolean withoutPeers;

  @Option(
      names = "--peers",
      hidden = true,
      paramLabel = "PYTHON",
      description = "Interpreter with bench/peers/requirements.txt.")
  private Path peersPython;

  public static void main(String[] arguments) {
    // The table is for everybody's eyes: decimal points.
    Locale.setDefault(Locale.ROOT);
    CommandLine commandLine = new CommandLine(new LayerBench());
    commandLine.registerConverter(LayerShape.class, LayerShape::parse);
    commandLine.registerConverter(FixedParameters.class, FixedParameters::parse);
    commandLine.setExecutionExceptionHandler(
        (error, command, parsed) -> {
          if (error instanceof InvalidInputException) {
            System.err.println("bench/layers: " + error.getMessage());
            return CommandLine.ExitCode.USAGE;
          }
          throw error;
        });
    System.exit(commandLine.execute(arguments));
  }

  @Override
  public Integer call() throws IOException, OrtException, InterruptedException {
    List<LayerMeasurement> layers =
        eachKernel
            ? new KernelRuns(shapes, batches, aheadBatches, weightBits, fixed, seconds).measure()
            : measureAll();
    LayerReport report = LayerReport.ofThisMachine(layers);
    report.write(json);
    LayerTable.print(report, System.out);
    System.out.println();
    Targets.print(report, System.out);
    return CommandLine.ExitCode.OK;
  }

  private List<LayerMeasurement> measureAll() throws IOException, OrtException {
    if (withoutPeers || peersPython == null) {
      return measureAll(null);
    }
    try (Peers peers = new Peers(peersPython, Path.of("bench/peers/serve.py"))) {
      return measureAll(peers);
    }
  }

  /**
   * @param peers null for none
   */
  private List<LayerMeasurement> measureAll(Peers peers) throws IOException, OrtException {
    // Fails before the first minutes pass if the kernel that was asked for is not to be had.
    String kernel = NativeLibrary.kernelName();
    List<LayerMeasurement> layers = new ArrayList<>();
    for (LayerShape shape : shapes) {
      for (int records : batches) {
        System.err.printf("%s, T = %d, %s%n", shape, records, kernel);
        ByteBuffer batch = RandomRecords.of(records, shape.inputs());
        PeerMeasurement concrete = peers == null ? null : peers.concrete(shape);
        PeerMeasurement tenseal =
            peers == null || records != TENSEAL_RECORDS ? null : peers.tenseal(shape, records);
        for (int bits : weightBits) {
          layers.addAll(measure(kernel, shape, batch, records, bits, concrete, tenseal));
        }
      }
    }
    return layers;
  }

  private List<LayerMeasurement> measure(
      String kernel,
      LayerShape shape,
      ByteBuffer batch,
      int records,
      int bits,
      PeerMeasurement concrete,
      PeerMeasurement tenseal)
      throws OrtException {
    try (EncryptedLayer encrypted = new EncryptedLayer(batch, records, shape, bits, fixed);
        EncryptedLayer protectedLayer =
            fixed == null && protectedBatches.contains(records)
                ? EncryptedLayer.ofProtectedWeights(batch, records, shape, bits)
                : null;
        ClearLayer clear = new ClearLayer(batch, records, shape);
        IntegerLimbs limbs = new IntegerLimbs(encrypted.parameters(), records, shape);
        LayerAhead ahead = aheadBatches.contains(records) ? encrypted.ahead() : null) {
      Interleaved works =
          new Interleaved(seconds)
              .add("clear", clear::run)
              .add("limbs", limbs::run)
              .add("evaluate", encrypted::evaluate)
              .add("encrypt", encrypted::encrypt)
              .add("decrypt", encrypted::decrypt);
      if (ahead != null) {
        works
            .add("mask", ahead::evaluateMask)
            .add("prepare", ahead::prepare)
            .add("encrypt ahead", ahead::encrypt)
            .add("evaluate ahead", ahead::evaluate)
            .add("decrypt ahead", ahead::decrypt);
      }
      if (protectedLayer != null) {
        works.add("evaluate protected", protectedLayer::evaluate);
      }
      Map<String, Double> medians = works.medians();
      List<LayerMeasurement> layers = new ArrayList<>();
      layers.add(
          new LayerMeasurement(
              kernel,
              shape,
              records,
              bits,
              encrypted.parameters(),
              medians.get("evaluate"),
              medians.get("clear"),
              medians.get("limbs"),
              medians.get("encrypt"),
              medians.get("decrypt"),
              encrypted.bytesUp(),
              encrypted.bytesDown(),
              concrete,
              tenseal,
              null,
              protectedLayer == null
                  ? null
                  : new ProtectedLayer(
                      protectedLayer.parameters(),
                      medians.get("evaluate protected"),
                      protectedLayer.bytesDown())));
      if (ahead != null) {
        layers.add(
            new LayerMeasurement(
                kernel,
                shape,
                records,
                bits,
                encrypted.parameters(),
                medians.get("evaluate ahead"),
                medians.get("clear"),
                null,
                medians.get("encrypt ahead"),
                medians.get("decrypt ahead"),
                ahead.bytesUp(),
                ahead.bytesDown(),
                concrete,
                tenseal,
                new MaskPreparation(
                    ahead.slots(),
                    medians.get("mask"),
                    medians.get("prepare") - medians.get("mask"),
                    ahead.memoryBytes()),
                null));
      }
      return layers;
    }
  }
}
