package org.fhespark.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import picocli.CommandLine;

/**
 * The same layers with each kernel of this machine. A process evaluates with one kernel only, so
 * each gets a process, which times the references too.
 */
final class KernelRuns {
  private static final String KERNEL_VARIABLE = "FHE_SPARK_KERNEL";
  private static final List<String> KERNELS = List.of("amx", "avx512-vnni", "avx2", "portable");

  private final List<String> arguments;

  /**
   * @param fixed null for the parameters that the compiler chooses
   */
  KernelRuns(
      List<LayerShape> shapes,
      List<Integer> batches,
      List<Integer> aheadBatches,
      List<Integer> weightBits,
      FixedParameters fixed,
      double seconds) {
    arguments =
        new ArrayList<>(
            List.of(
                "--no-peers",
                "--shapes="
                    + joined(shapes.stream().map(s -> s.inputs() + "x" + s.outputs()).toList()),
                "--batches=" + joined(batches),
                "--ahead=" + joined(aheadBatches),
                "--weight-bits=" + joined(weightBits),
                "--seconds=" + seconds));
    if (fixed != null) {
      arguments.add("--parameters=" + fixed);
    }
  }

  private static String joined(List<?> values) {
    return values.stream().map(Object::toString).collect(Collectors.joining(","));
  }

  /** Kernels that this machine lacks are named on standard error and left out. */
  List<LayerMeasurement> measure() throws IOException, InterruptedException {
    List<LayerMeasurement> layers = new ArrayList<>();
    Path json = Files.createTempFile("fhe-spark-kernel-", ".json");
    try {
      for (String kernel : KERNELS) {
        int status = run(kernel, json);
        if (status == CommandLine.ExitCode.OK) {
          layers.addAll(LayerReport.read(json).layers());
        } else if (status != CommandLine.ExitCode.USAGE) {
          throw new IOException("the run with kernel " + kernel + " failed, see above");
        }
      }
    } finally {
      Files.delete(json);
    }
    return layers;
  }

  private int run(String kernel, Path json) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(ProcessHandle.current().info().command().orElse("java"));
    command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
    command.addAll(List.of("-cp", System.getProperty("java.class.path")));
    command.add(LayerBench.class.getName());
    command.addAll(arguments);
    command.add("--json=" + json);
    ProcessBuilder builder =
        new ProcessBuilder(command)
            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
            .redirectError(ProcessBuilder.Redirect.INHERIT);
    builder.environment().put(KERNEL_VARIABLE, kernel);
    return builder.start().waitFor();
  }
}
