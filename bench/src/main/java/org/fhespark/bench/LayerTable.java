package org.fhespark.bench;

import java.io.PrintStream;
import java.util.Comparator;
import java.util.List;
import org.fhespark.nativelib.PackedParameters;

/** Measurements as one Markdown table with its caption. */
final class LayerTable {
  private static final String[] COLUMNS = {
    "layer",
    "T",
    "weights",
    "(k, N), q",
    "kernel",
    "x ORT fp32",
    "x ORT int8 limbs",
    "x concrete-ml-extensions, a record",
    "x TenSEAL, a weight·record",
    "encrypt ns/value",
    "decrypt ns/value",
    "B/value up",
    "down"
  };

  private static final String NOT_MEASURED = "–";

  private LayerTable() {}

  static void print(LayerReport report, PrintStream out) {
    out.printf(
        "Encrypted linear layers, the server's part on one core: how many times as fast as each"
            + " reference on one core. %s.%n%n",
        report.cpu());
    out.println("| " + String.join(" | ", COLUMNS) + " |");
    out.println("|---|---:|---|---|---|" + "---:|".repeat(COLUMNS.length - 5));
    for (LayerMeasurement layer : report.layers()) {
      out.println("| " + String.join(" | ", cells(layer)) + " |");
    }
    out.println();
    out.println(
        """
        - The server's part is wire bytes in to wire bytes out, through Arrow and JNI; activations of 8 bits; a wrong
          accumulator has probability 2^-40 at most; each row was compared with the clear computation, bit for bit.
        - ORT fp32: ONNX Runtime's MatMul of the same T, d_in and d_out, in clear. ORT int8 limbs: the same limb products by
          its MatMulInteger, without mask expansion and recombination. Both in the same process, in turns; medians
          of processor time.
        - encrypt and decrypt: the client on one core, with quantisation and dequantisation.""");
    masksAhead(report.layers(), out);
    protectedWeights(report.layers(), out);
    peers(report.layers(), out);
  }

  private static void protectedWeights(List<LayerMeasurement> layers, PrintStream out) {
    if (layers.stream().anyMatch(layer -> layer.protectedLayer() != null)) {
      out.println(
          "- compile --protect-weights: the server's part with re-randomised results takes, times"
              + " as long as without:");
    }
    for (LayerMeasurement layer : layers) {
      ProtectedLayer other = layer.protectedLayer();
      if (other != null) {
        PackedParameters p = other.parameters();
        out.printf(
            "  - %s, T = %d, %d bits: %s, with (%d, %d), 2^%d; results are %s times as large.%n",
            layer.shape(),
            layer.records(),
            layer.weightBits(),
            ratio(other.evaluateSeconds() / layer.evaluateSeconds()),
            p.glweDimension(),
            p.polynomialSize(),
            p.log2Modulus(),
            ratio((double) other.bytesDown() / layer.bytesDown()));
      }
    }
  }

  private static void masksAhead(List<LayerMeasurement> layers, PrintStream out) {
    if (layers.stream().anyMatch(layer -> layer.ahead() != null)) {
      out.println(
          "- mask ahead: the mask's part was done before the records came, which these figures leave"
              + " out. Preparing a mask:");
    }
    for (LayerMeasurement layer : layers) {
      MaskPreparation ahead = layer.ahead();
      if (ahead != null) {
        out.printf(
            "  - %s, T = %d, %d bits, for %d records: server %.1f ms, client %.1f ms, %.1f MB on the"
                + " client; then encrypt %.3f ms, server %.3f ms, decrypt %.3f ms a batch.%n",
            layer.shape(),
            layer.records(),
            layer.weightBits(),
            ahead.records(),
            1e3 * ahead.evaluateSeconds(),
            1e3 * ahead.prepareSeconds(),
            1e-6 * ahead.memoryBytes(),
            1e3 * layer.encryptSeconds(),
            1e3 * layer.evaluateSeconds(),
            1e3 * layer.decryptSeconds());
      }
    }
  }

  private static void peers(List<LayerMeasurement> layers, PrintStream out) {
    layers.stream()
        .map(LayerMeasurement::concrete)
        .filter(peer -> peer != null)
        .min(Comparator.comparingDouble(PeerMeasurement::bytesUpPerValue))
        .ifPresent(
            peer ->
                out.printf(
                    "- concrete-ml-extensions %s: matrix_multiplication of one record, on one core;"
                        + " at least %.1f B/value up.%n",
                    peer.version(), peer.bytesUpPerValue()));
    layers.stream()
        .map(LayerMeasurement::tenseal)
        .filter(peer -> peer != null)
        .findFirst()
        .ifPresent(
            peer ->
                out.printf(
                    "- TenSEAL %s: ckks_tensor(batch=True).mm of %d of the outputs, on one core,"
                        + " taken as linear in d_out (they cost %.2f times what half of them do);"
                        + " %.1f B/value up.%n",
                    peer.version(), peer.outputs(), peer.costOfDoubling(), peer.bytesUpPerValue()));
  }

  private static List<String> cells(LayerMeasurement layer) {
    PackedParameters p = layer.parameters();
    return List.of(
        layer.shape().toString(),
        layer.records() + (layer.ahead() == null ? "" : ", mask ahead"),
        layer.weightBits() + " bits",
        "(%d, %d), 2^%d".formatted(p.glweDimension(), p.polynomialSize(), p.log2Modulus()),
        layer.kernel(),
        ratio(layer.speedToClear()),
        ratio(layer.speedToLimbs()),
        ratio(layer.speedToConcrete()),
        ratio(layer.speedToTenseal()),
        "%.2f".formatted(layer.encryptNanosPerValue()),
        "%.2f".formatted(layer.decryptNanosPerValue()),
        "%.2f".formatted(layer.bytesUpPerValue()),
        "%.2f".formatted(layer.bytesDownPerValue()));
  }

  private static String ratio(Double value) {
    if (value == null) {
      return NOT_MEASURED;
    }
    // Three digits say all there is to say.
    if (value >= 1000) {
      double unit = Math.pow(10, Math.floor(Math.log10(value)) - 2);
      return String.format("%,.0f", Math.round(value / unit) * unit);
    }
    return String.format(value >= 10 ? "%.0f" : value >= 1 ? "%.2f" : "%.3f", value);
  }
}
