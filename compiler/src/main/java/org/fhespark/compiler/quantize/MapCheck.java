package org.fhespark.compiler.quantize;

import ai.onnxruntime.OnnxTensor;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.artifact.Unfolding;

/**
 * Compares the map that the compiler found in a call with what the float model computes: shapes,
 * and the values of a few rows. Which axis a node means depends on ranks that a file need not tell;
 * so this is where a misunderstanding ends.
 */
final class MapCheck {
  private static final int ROWS = 3;

  /** Of the sum of magnitudes; float32 sums of thousands of terms come closer by far. */
  private static final double TOLERANCE = 1e-3;

  private MapCheck() {}

  /**
   * Checks one call.
   *
   * @param tensors its input and output among them
   * @throws InvalidInputException if they differ
   */
  static void check(String file, AffineCall call, Map<String, OnnxTensor> tensors) {
    long[] input = tensors.get(call.input()).getInfo().getShape();
    long[] output = tensors.get(call.output()).getInfo().getShape();
    FloatBuffer x = tensors.get(call.input()).getFloatBuffer();
    FloatBuffer y = tensors.get(call.output()).getFloatBuffer();
    if (!Arrays.equals(outputShape(call, input), output) || y == null) {
      throw misunderstood(
          file,
          call,
          "makes shape " + Arrays.toString(output) + " of shape " + Arrays.toString(input));
    }
    int dOut = call.dOut();
    long rows = y.remaining() / dOut;
    float[] weights = call.weights();
    float[] bias = call.biases().orElse(new float[dOut]);
    float[] row = new float[call.dIn()];
    long positions = call.unfolding().isPresent() ? rows / Math.max(1, input[0]) : 1;
    for (int sample = 0; sample < Math.min(ROWS, rows); sample++) {
      long index = sample * (rows - 1) / Math.max(1, ROWS - 1);
      if (call.unfolding().isPresent()) {
        new Windows(call.unfolding().get(), input).read(x, index, row);
      } else {
        x.get(x.position() + (int) index * row.length, row);
      }
      for (int j = 0; j < dOut; j++) {
        double sum = bias[j];
        double magnitude = Math.abs(bias[j]);
        for (int i = 0; i < row.length; i++) {
          double term = (double) weights[j * row.length + i] * row[i];
          sum += term;
          magnitude += Math.abs(term);
        }
        long place =
            call.unfolding().isPresent()
                ? (index / positions * dOut + j) * positions + index % positions
                : index * dOut + j;
        float expected = y.get(y.position() + (int) place);
        if (Math.abs(sum - expected) > TOLERANCE * magnitude + Float.MIN_NORMAL
            && Float.isFinite(expected)) {
          throw misunderstood(file, call, "makes " + expected + " where its weights give " + sum);
        }
      }
    }
  }

  private static long[] outputShape(AffineCall call, long[] input) {
    long[] output = input.clone();
    if (call.unfolding().isEmpty()) {
      output[output.length - 1] = call.dOut();
      return output;
    }
    Unfolding unfolding = call.unfolding().get();
    output[1] = call.dOut();
    for (int axis = 0; axis < unfolding.kernel().size(); axis++) {
      output[axis + 2] = unfolding.positions(axis, input[axis + 2]);
    }
    return output;
  }

  private static InvalidInputException misunderstood(String file, AffineCall call, String what) {
    return new InvalidInputException(
        file
            + ": the remote part from '"
            + call.input()
            + "' to '"
            + call.output()
            + "' is not the layer that its operators look like: it "
            + what
            + "; keep it in clear");
  }
}
