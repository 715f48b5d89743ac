package org.fhespark.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What a run measured, as JSON.
 *
 * @param cpu the processor's model
 * @param cores of this machine; no measurement uses more than one
 */
record LayerReport(String cpu, int cores, List<LayerMeasurement> layers) {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  static LayerReport ofThisMachine(List<LayerMeasurement> layers) throws IOException {
    return new LayerReport(cpuModel(), Runtime.getRuntime().availableProcessors(), layers);
  }

  static LayerReport read(Path file) throws IOException {
    return JSON.readValue(file.toFile(), LayerReport.class);
  }

  void write(Path file) throws IOException {
    Files.createDirectories(file.toAbsolutePath().getParent());
    JSON.writeValue(file.toFile(), this);
  }

  private static String cpuModel() throws IOException {
    try (var lines = Files.lines(Path.of("/proc/cpuinfo"))) {
      return lines
          .filter(line -> line.startsWith("model name"))
          .map(line -> line.substring(line.indexOf(':') + 1).trim())
          .findFirst()
          .orElse(System.getProperty("os.arch"));
    }
  }
}
