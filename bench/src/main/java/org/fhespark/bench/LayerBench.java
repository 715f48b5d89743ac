package org.fhespark.bench;

import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Random;
import org.fhespark.nativelib.NativeLibrary;

/**
 * One linear layer, encrypted against clear: the server's part (wire bytes in to wire bytes out,
 * one thread) as a ratio to ONNX Runtime's fp32 MatMul of the same T, d_in and d_out (one thread,
 * the same process, in turns); and the client's nanoseconds a value on one thread, quantisation
 * included.
 */
public final class LayerBench {
  private static final int[][] SHAPES = {
    {384, 384}, {384, 1536}, {1536, 384}, {768, 768}, {768, 3072}
  };
  private static final int[] BATCHES = {1, 64, 512, 2048, 4096};
  private static final double SECONDS_EACH = 1.5;

  /** 8-bit weights at q = 2^40, and 6-bit weights at q = 2^32. */
  private enum Setting {
    WIDE(8, new EncryptedLayer.Modulus(3, 512, 5, 5, 4, 3)),
    NARROW(6, new EncryptedLayer.Modulus(5, 256, 4, 4, 4, 3));

    private final int weightBits;
    private final EncryptedLayer.Modulus modulus;

    Setting(int weightBits, EncryptedLayer.Modulus modulus) {
      this.weightBits = weightBits;
      this.modulus = modulus;
    }
  }

  private LayerBench() {}

  public static void main(String[] arguments) throws OrtException {
    System.out.println("kernel: " + NativeLibrary.kernelName());
    System.out.println(
        "| layer | T | weights, q | server / ORT fp32 (speed) | encrypt ns/value | decrypt ns/value"
            + " | B/value up | down |");
    System.out.println("|---|---:|---|---:|---:|---:|---:|---:|");
    for (int[] shape : SHAPES) {
      for (int count : BATCHES) {
        for (Setting setting : Setting.values()) {
          measure(shape[0], shape[1], count, setting);
        }
      }
    }
  }

  private static void measure(int inputs, int outputs, int count, Setting setting)
      throws OrtException {
    ByteBuffer records =
        ByteBuffer.allocateDirect(4 * count * inputs).order(ByteOrder.nativeOrder());
    Random random = new Random(2);
    while (records.hasRemaining()) {
      records.putFloat((float) random.nextGaussian());
    }
    records.flip();
    try (ClearLayer clear = new ClearLayer(records, count, inputs, outputs);
        EncryptedLayer encrypted =
            new EncryptedLayer(
                records, count, inputs, outputs, setting.weightBits, setting.modulus)) {
      Map<String, Double> seconds =
          new Interleaved(SECONDS_EACH)
              .add("clear", clear::run)
              .add("evaluate", encrypted::evaluate)
              .add("encrypt", encrypted::encrypt)
              .add("decrypt", encrypted::decrypt)
              .medians();
      double valuesUp = (double) count * inputs;
      double valuesDown = (double) count * outputs;
      System.out.printf(
          "| %d x %d | %d | %d bits, 2^%d | %.3f | %.2f | %.2f | %.2f | %.2f |%n",
          inputs,
          outputs,
          count,
          setting.weightBits,
          8 * setting.modulus.limbs(),
          seconds.get("clear") / seconds.get("evaluate"),
          seconds.get("encrypt") / valuesUp * 1e9,
          seconds.get("decrypt") / valuesDown * 1e9,
          encrypted.bytesUp() / valuesUp,
          encrypted.bytesDown() / valuesDown);
    }
  }
}
