package org.fhespark.compiler.lookups;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.lookups.FloatPart.Values;
import org.fhespark.compiler.onnx.OnnxModel;

/** Compares a network that was read off a module with the float model, on calibration rows. */
final class NetworkCheck {
  private static final int CHECKED_ROWS = 64;

  /** Of the outputs' root mean square; quantised activations round the other way now and then. */
  private static final double TOLERANCE = 2e-3;

  private static final double ROUNDING_TOLERANCE = 0.2;

  private final OnnxModel model;
  private final String module;
  private final Network network;

  NetworkCheck(OnnxModel model, String module, Network network) {
    this.model = model;
    this.module = module;
    this.network = network;
  }

  /**
   * Compares it with one of the module's calls.
   *
   * @throws InvalidInputException if that computes something else
   */
  void requireAgreement(LookupRegion region, RowSample sample) {
    RowLayout layout = sample.layout();
    float[][] all = sample.rows();
    int records = Math.max(1, CHECKED_ROWS / layout.rowsPerRecord());
    int count = records * layout.rowsPerRecord();
    int width = layout.width();
    float[] values = new float[count * width];
    float[][] rows = new float[count][];
    for (int r = 0; r < count; r++) {
      rows[r] = all[r % all.length];
      System.arraycopy(rows[r], 0, values, r * width, width);
    }
    float[] expected;
    try (FloatPart part =
        FloatPart.of(model, Set.of(region.input()), List.of(region.output()), true)) {
      expected =
          part.run(Map.of(region.input(), new Values(layout.shape(records), values)))
              .get(region.output())
              .values();
    }
    float[][] found = network.evaluate(rows).outputs();
    double difference = 0;
    double magnitude = 0;
    for (int r = 0; r < count; r++) {
      for (int j = 0; j < found.length; j++) {
        double exact = expected[r * found.length + j];
        difference += Math.pow(found[j][r] - exact, 2);
        magnitude += exact * exact;
      }
    }
    boolean rounds =
        region.computingNodes().stream()
            .anyMatch(node -> LookupRegions.isFakeQuantisation(model.graph(), node));
    double tolerance = rounds ? ROUNDING_TOLERANCE : TOLERANCE;
    if (!(Math.sqrt(difference) <= tolerance * Math.sqrt(magnitude) + Float.MIN_NORMAL)) {
      throw new InvalidInputException(
          model.file()
              + ": module '"
              + module
              + "' does not compute what its operators look like, from '"
              + region.input()
              + "' to '"
              + region.output()
              + "': results differ by "
              + Math.sqrt(difference / Math.max(magnitude, Double.MIN_NORMAL))
              + " of their magnitude; name smaller remote modules");
    }
  }
}
