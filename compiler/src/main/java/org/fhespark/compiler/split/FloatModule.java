package org.fhespark.compiler.split;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorProto.DataType;
import ai.onnxruntime.TensorInfo;
import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.lookups.LookupRegion;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** A remote module in float: the model's own nodes, where one copy of them can serve all calls. */
final class FloatModule {
  private FloatModule() {}

  /** A model with one input and one output, named as those of the module's first call. */
  static ModelProto of(OnnxModel model, RemoteModule module, Function<String, TensorInfo> types) {
    if (module.isNonLinear()) {
      LookupRegion region = module.lookups().get(0);
      ModelProto own =
          Subgraph.of(
              model, region.nodes(), List.of(region.input()), List.of(region.output()), types);
      return module.lookups().size() > 1 ? Subgraph.ofAnyShape(own) : own;
    }
    AffineCall layer = module.layer();
    if (module.calls().size() > 1 && layer.unfolding().isEmpty()) {
      return product(model, layer);
    }
    ModelProto own =
        Subgraph.of(model, layer.nodes(), List.of(layer.input()), List.of(layer.output()), types);
    return module.calls().size() > 1 ? Subgraph.ofAnyShape(own) : own;
  }

  /** The nodes of one call may be Gemm, for matrices alone, where another's are not. */
  private static ModelProto product(OnnxModel model, AffineCall layer) {
    int dIn = layer.dIn();
    int dOut = layer.dOut();
    float[] weights = layer.weights();
    float[] transposed = new float[weights.length];
    for (int j = 0; j < dOut; j++) {
      for (int i = 0; i < dIn; i++) {
        transposed[i * dOut + j] = weights[j * dIn + i];
      }
    }
    Optional<float[]> bias = layer.biases();
    GraphProto.Builder graph =
        GraphProto.newBuilder()
            .setName("fhe-spark")
            .addInput(OnnxGraph.floats(layer.input()))
            .addOutput(OnnxGraph.floats(layer.output()))
            .addInitializer(constant("fhe-spark.weight", transposed, dIn, dOut))
            .addNode(
                NodeProto.newBuilder()
                    .setOpType("MatMul")
                    .addInput(layer.input())
                    .addInput("fhe-spark.weight")
                    .addOutput(bias.isPresent() ? "fhe-spark.product" : layer.output()));
    if (bias.isPresent()) {
      graph
          .addInitializer(constant("fhe-spark.bias", bias.get(), dOut))
          .addNode(
              NodeProto.newBuilder()
                  .setOpType("Add")
                  .addInput("fhe-spark.product")
                  .addInput("fhe-spark.bias")
                  .addOutput(layer.output()));
    }
    return ModelProto.newBuilder()
        .setIrVersion(model.proto().getIrVersion())
        .addAllOpsetImport(model.proto().getOpsetImportList())
        .setGraph(graph)
        .build();
  }

  private static TensorProto constant(String name, float[] values, long... shape) {
    ByteBuffer raw =
        ByteBuffer.allocate(Math.multiplyExact(Float.BYTES, values.length))
            .order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(values);
    TensorProto.Builder tensor =
        TensorProto.newBuilder()
            .setName(name)
            .setDataType(DataType.FLOAT.getNumber())
            .setRawData(ByteString.copyFrom(raw.array()));
    for (long axis : shape) {
      tensor.addDims(axis);
    }
    return tensor.build();
  }
}
