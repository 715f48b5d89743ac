package org.fhespark.examples.minilm;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * all-MiniLM-L6-v2 as sentence-transformers uses it: the Maven artifact's file, and after it the
 * mean over the tokens of the mask and the scaling to length 1. Without these two each sentence
 * would come back as 384 floats a token, of which nobody wants more than the mean.
 */
public final class SentenceModel {
  /** Output of the model: float [sentences, 384], rows of length 1. */
  public static final String EMBEDDING = "sentence_embedding";

  /** The artifact's second output, Tanh of the remote pooler: float [sentences, 384]. */
  static final String POOLED = "pooled";

  private static final String RESOURCE = "/all-minilm-l6-v2.onnx";
  private static final String TOKENS = "output_0";
  private static final String POOLER_OUTPUT = "882";
  private static final int WIDTH = 384;

  private SentenceModel() {}

  /** Writes the model as one ONNX file. */
  public static void write(Path file) throws IOException {
    ModelProto model;
    try (InputStream resource = SentenceModel.class.getResourceAsStream(RESOURCE)) {
      model = ModelProto.parseFrom(resource);
    }
    GraphProto.Builder graph = model.getGraph().toBuilder();
    graph.addInitializer(integer("pooling.last_axis", -1)).addInitializer(integer("pooling.tokens", 1));
    graph
        .addNode(node("Cast", "mask", "attention_mask").addAttribute(attribute("to", 1)))
        .addNode(node("Unsqueeze", "weights", "pooling.mask", "pooling.last_axis"))
        .addNode(node("Mul", "weighted", TOKENS, "pooling.weights"))
        .addNode(sum("sum", "pooling.weighted"))
        .addNode(sum("count", "pooling.weights"))
        .addNode(node("Div", "mean", "pooling.sum", "pooling.count"))
        .addNode(
            node("LpNormalization", "unit", "pooling.mean")
                .clearOutput()
                .addOutput(EMBEDDING)
                .addAttribute(attribute("axis", 1))
                .addAttribute(attribute("p", 2)))
        .addNode(node("Identity", "pooled", POOLER_OUTPUT).clearOutput().addOutput(POOLED));
    graph.clearOutput().addOutput(output(EMBEDDING)).addOutput(output(POOLED));
    Files.write(file, model.toBuilder().setGraph(graph).build().toByteArray());
  }

  /** The keys of its 36 encoder linears and of the pooler's. */
  public static List<String> linears() {
    List<String> keys = new ArrayList<>();
    for (int layer = 0; layer < 6; layer++) {
      String prefix = "encoder.layer." + layer + ".";
      for (String name :
          List.of(
              "attention.self.query",
              "attention.self.key",
              "attention.self.value",
              "attention.output.dense",
              "intermediate.dense",
              "output.dense")) {
        keys.add(prefix + name);
      }
    }
    keys.add("pooler.dense");
    return keys;
  }

  /** The keys of its six feed-forward blocks: linear, GELU, linear, without the way past them. */
  public static List<String> blocks() {
    List<String> keys = new ArrayList<>();
    for (int layer = 0; layer < 6; layer++) {
      String prefix = "encoder.layer." + layer + ".";
      keys.add(prefix + "intermediate+" + prefix + "output.dense");
    }
    return keys;
  }

  private static NodeProto.Builder node(String operator, String name, String... inputs) {
    return NodeProto.newBuilder()
        .setOpType(operator)
        .setName("/pooling/" + name)
        .addAllInput(List.of(inputs))
        .addOutput("pooling." + name);
  }

  /** Over the tokens, which go: [sentences, tokens, n] to [sentences, n]. */
  private static NodeProto.Builder sum(String name, String input) {
    return node("ReduceSum", name, input, "pooling.tokens").addAttribute(attribute("keepdims", 0));
  }

  private static AttributeProto attribute(String name, long value) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.INT)
        .setI(value)
        .build();
  }

  private static TensorProto integer(String name, long value) {
    return TensorProto.newBuilder()
        .setName(name)
        .setDataType(TensorProto.DataType.INT64.getNumber())
        .addDims(1)
        .addInt64Data(value)
        .build();
  }

  private static ValueInfoProto output(String name) {
    TensorShapeProto shape =
        TensorShapeProto.newBuilder()
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam("batch"))
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(WIDTH))
            .build();
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder()
                        .setElemType(TensorProto.DataType.FLOAT.getNumber())
                        .setShape(shape)))
        .build();
  }
}
