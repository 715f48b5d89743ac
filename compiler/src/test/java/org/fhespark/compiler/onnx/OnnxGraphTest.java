package org.fhespark.compiler.onnx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.util.List;
import org.junit.jupiter.api.Test;

class OnnxGraphTest {
  private static NodeProto.Builder node(String operator, String output, String... inputs) {
    return NodeProto.newBuilder()
        .setOpType(operator)
        .addAllInput(List.of(inputs))
        .addOutput(output);
  }

  private static AttributeProto body(String name, GraphProto.Builder graph) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.GRAPH)
        .setG(graph)
        .build();
  }

  @Test
  void theOuterTensorsThatASubgraphCapturesAreReadByItsNode() {
    GraphProto.Builder inner =
        GraphProto.newBuilder()
            .addNode(node("Add", "z", "outer", "local"))
            .addInitializer(TensorProto.newBuilder().setName("local"))
            .addOutput(ValueInfoProto.newBuilder().setName("z"));
    GraphProto.Builder elseBranch =
        GraphProto.newBuilder()
            .addNode(
                node("If", "w", "innerCondition").addAttribute(body("then_branch", inner)).build())
            .addOutput(ValueInfoProto.newBuilder().setName("w"));
    OnnxGraph graph =
        new OnnxGraph(
            GraphProto.newBuilder()
                .addInput(ValueInfoProto.newBuilder().setName("condition"))
                .addNode(node("If", "y", "condition").addAttribute(body("else_branch", elseBranch)))
                .build());
    assertEquals(List.of("condition", "innerCondition", "outer"), graph.reads(0));
    assertFalse(graph.isConstant("y"));
  }

  @Test
  void randomNumbersAreNoConstants() {
    OnnxGraph graph =
        new OnnxGraph(
            GraphProto.newBuilder()
                .addInitializer(TensorProto.newBuilder().setName("c"))
                .addNode(node("RandomNormal", "r"))
                .addNode(node("RandomNormalLike", "s", "c"))
                .addNode(node("Neg", "d", "c"))
                .build());
    assertFalse(graph.isConstant("r"));
    assertFalse(graph.isConstant("s"));
    assertEquals(true, graph.isConstant("d"));
  }

  @Test
  void initialisersListedAmongTheInputsAreNoInputs() {
    OnnxGraph graph =
        new OnnxGraph(
            GraphProto.newBuilder()
                .addInput(ValueInfoProto.newBuilder().setName("x"))
                .addInput(ValueInfoProto.newBuilder().setName("w"))
                .addInitializer(TensorProto.newBuilder().setName("w"))
                .build());
    assertEquals(List.of("x"), graph.inputs().stream().map(ValueInfoProto::getName).toList());
  }
}
