package org.fhespark.compiler.quantize;

import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.List;
import java.util.Optional;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.compiler.onnx.ModelSignature;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.onnx.TensorSpec;

/**
 * The input of a model that says which positions of a sequence are real.
 *
 * @param input its name; its shape is {@code [batch, sequence]}, and it is 0 where there is padding
 */
public record PaddingMask(String input) {

  /**
   * The mask of a model, if there is one.
   *
   * @throws InvalidInputException if the options name an input that is none
   */
  public static Optional<PaddingMask> of(
      OnnxModel model, ModelSignature signature, CompileOptions options) {
    String name = options.paddingMask().orElse(CompileOptions.DEFAULT_PADDING_MASK);
    if (name.equals(CompileOptions.NO_PADDING_MASK)) {
      return Optional.empty();
    }
    Optional<TensorSpec> spec =
        signature.inputs().stream().filter(input -> input.name().equals(name)).findFirst();
    boolean usable =
        spec.isPresent()
            && spec.get().shape().size() == 1
            && spec.get().type() != ElementType.DOUBLE;
    if (usable) {
      return Optional.of(new PaddingMask(name));
    }
    if (options.paddingMask().isPresent()) {
      List<String> inputs = model.graph().inputs().stream().map(ValueInfoProto::getName).toList();
      throw new InvalidInputException(
          model.file()
              + ": the padding mask '"
              + name
              + "' is "
              + (spec.isPresent()
                  ? "no input [batch, sequence] of integers or float32"
                  : "no input; name one of " + String.join(", ", inputs))
              + ", or switch it off (--padding-mask "
              + CompileOptions.NO_PADDING_MASK
              + ")");
    }
    return Optional.empty();
  }

  /** Where the mask is not 0, {@code [batch · sequence]} row-major. */
  static boolean[] real(OnnxTensor mask) {
    boolean[] real = new boolean[(int) mask.getInfo().getNumElements()];
    switch (mask.getInfo().type) {
      case INT64 -> {
        LongBuffer values = mask.getLongBuffer();
        for (int i = 0; i < real.length; i++) {
          real[i] = values.get(i) != 0;
        }
      }
      case INT32 -> {
        IntBuffer values = mask.getIntBuffer();
        for (int i = 0; i < real.length; i++) {
          real[i] = values.get(i) != 0;
        }
      }
      default -> {
        FloatBuffer values = mask.getFloatBuffer();
        for (int i = 0; i < real.length; i++) {
          real[i] = values.get(i) != 0;
        }
      }
    }
    return real;
  }

  /** Whether the first two axes of a tensor of rank 3 or more are the mask's. */
  static boolean covers(OnnxTensor mask, OnnxTensor tensor) {
    long[] axes = mask.getInfo().getShape();
    long[] shape = tensor.getInfo().getShape();
    return shape.length == 3 && shape[0] == axes[0] && shape[1] == axes[1];
  }
}
