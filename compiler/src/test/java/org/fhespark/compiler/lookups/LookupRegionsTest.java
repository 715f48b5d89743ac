package org.fhespark.compiler.lookups;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.fhespark.compiler.TestGraph;
import org.fhespark.compiler.lookups.LookupRegion.Activation;
import org.fhespark.compiler.lookups.LookupRegion.Maximum;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleTree;
import org.junit.jupiter.api.Test;

class LookupRegionsTest {
  private static TestGraph graph() {
    return new TestGraph()
        .input("x", -1, 2)
        .output("y", -1, 2)
        .floats("w", new float[] {1, 2, 3, 4}, 2, 2)
        .floats("half", new float[] {0.5f}, 1)
        .floats("pair", new float[] {1, 2}, 2);
  }

  private static ModuleInfo model(TestGraph graph) {
    return ModuleTree.of(graph.model()).find(ModuleTree.WHOLE_MODEL);
  }

  private static LookupRegion region(TestGraph graph) {
    ModuleInfo model = model(graph);
    assertEquals("", model.refusal());
    return model.lookups().get(0);
  }

  @Test
  void operatorsOnSingleValuesAreOneFunction() {
    LookupRegion region =
        region(
            graph()
                .node("/m/MatMul", List.of("x", "w"), "h")
                .node("/m/Mul", List.of("h", "half"), "scaled")
                .node("/m/Sigmoid", List.of("scaled"), "s")
                .node("/m/Mul_1", List.of("h", "s"), "silu")
                .node("/m/MatMul_1", List.of("silu", "w"), "y"));
    assertEquals(List.of(new Activation("h", "silu")), region.steps());
    assertEquals("x", region.input());
    assertEquals("y", region.output());
    assertEquals(5, region.computingNodes().size());
  }

  @Test
  void sumsOfWhatDiffersAreAffine() {
    LookupRegion region =
        region(
            graph()
                .node("/m/MatMul", List.of("x", "w"), "h")
                .node("/m/Relu", List.of("h"), "r")
                .node("/m/MatMul_1", List.of("r", "w"), "g")
                .node("/m/Add", List.of("g", "r"), "sum")
                .node("/m/Tanh", List.of("sum"), "t")
                .node("/m/Mul", List.of("t", "pair"), "y"));
    assertEquals(List.of(new Activation("h", "r"), new Activation("sum", "t")), region.steps());
  }

  @Test
  void theLargerOfTwoActivationsIsAMaximum() {
    LookupRegion region =
        region(
            graph()
                .node("/m/MatMul", List.of("x", "w"), "h")
                .node("/m/Max", List.of("h", "x"), "y"));
    assertEquals(List.of(new Maximum(1, List.of("h", "x"), "y")), region.steps());
  }

  @Test
  void productsOfActivationsAreRefusedWithTheirNode() {
    assertEquals(
        "contains Mul at node /m/Mul: it multiplies two activations",
        model(
                graph()
                    .node("/m/MatMul", List.of("x", "w"), "h")
                    .node("/m/Mul", List.of("h", "x"), "y"))
            .refusal());
  }

  @Test
  void severalInputsAreRefused() {
    assertEquals(
        "reads several tensors, 'x', 'z'; a remote part reads one",
        model(
                graph()
                    .input("z", -1, 2)
                    .node("/m/MatMul", List.of("x", "w"), "h")
                    .node("/m/Relu", List.of("h"), "r")
                    .node("/m/Add", List.of("r", "z"), "y"))
            .refusal());
  }

  @Test
  void aNonLinearityWithoutWeightsIsRefused() {
    assertTrue(
        model(graph().node("/m/Relu", List.of("x"), "y"))
            .refusal()
            .startsWith("holds no product by weights"));
  }
}
