package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.TensorInfo;
import java.util.List;
import java.util.stream.LongStream;
import org.fhespark.InvalidInputException;

/**
 * Inputs and outputs of a model that takes records in batches.
 *
 * @param inputs its inputs, in order
 * @param outputs its outputs, in order
 */
public record ModelSignature(List<TensorSpec> inputs, List<TensorSpec> outputs) {
  /**
   * The signature of a model.
   *
   * @throws InvalidInputException if an input or output has no open batch axis or a type that
   *     tables cannot hold, or an output is a constant
   */
  public static ModelSignature of(OnnxModel model, ExposedModel exposed) {
    OnnxGraph graph = model.graph();
    return new ModelSignature(
        graph.inputs().stream()
            .map(ValueInfoProto::getName)
            .map(name -> spec(model, "input", name, exposed.info(name)))
            .toList(),
        graph.outputNames().stream().map(name -> output(model, name, exposed)).toList());
  }

  private static TensorSpec output(OnnxModel model, String name, ExposedModel exposed) {
    if (model.graph().isConstant(name)) {
      throw new InvalidInputException(
          model.file()
              + ": output '"
              + name
              + "' is the same for every record, it depends on no input; export the model without"
              + " it");
    }
    return spec(model, "output", name, exposed.info(name));
  }

  private static TensorSpec spec(OnnxModel model, String role, String name, TensorInfo info) {
    long[] shape = info.getShape();
    if (shape.length == 0 || shape[0] >= 0) {
      throw new InvalidInputException(
          model.file()
              + ": "
              + role
              + " '"
              + name
              + "' "
              + (shape.length == 0 ? "has no batch axis" : "has the fixed batch size " + shape[0])
              + "; export the model with dynamic_axes={'"
              + name
              + "': {0: 'batch'}}");
    }
    ElementType type =
        switch (info.type) {
          case FLOAT -> ElementType.FLOAT;
          case DOUBLE -> ElementType.DOUBLE;
          case INT32 -> ElementType.INT32;
          case INT64 -> ElementType.INT64;
          default ->
              throw new InvalidInputException(
                  model.file()
                      + ": "
                      + role
                      + " '"
                      + name
                      + "' is "
                      + info.type
                      + "; only FLOAT, DOUBLE, INT32 and INT64 are supported");
        };
    return new TensorSpec(name, type, LongStream.of(shape).skip(1).boxed().toList());
  }
}
