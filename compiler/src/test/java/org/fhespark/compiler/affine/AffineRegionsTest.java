package org.fhespark.compiler.affine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.fhespark.compiler.TestGraph;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleTree;
import org.junit.jupiter.api.Test;

class AffineRegionsTest {
  private static final float[] TWO_BY_TWO = {1, 2, 3, 4};

  private static TestGraph graph() {
    return new TestGraph()
        .input("x", -1, 2)
        .output("y", -1, 2)
        .floats("m.a.weight", TWO_BY_TWO, 2, 2)
        .floats("m.b.weight", new float[] {0, 1, 1, 0}, 2, 2)
        .floats("pair", new float[] {10, 20}, 2)
        .floats("half", new float[] {0.5f}, 1);
  }

  private static ModuleInfo m(TestGraph graph) {
    return ModuleTree.of(graph.model()).find("m");
  }

  private static AffineCall call(TestGraph graph) {
    ModuleInfo module = m(graph);
    assertTrue(module.canGoRemote(), module.refusal());
    assertEquals(1, module.calls().size());
    return module.calls().get(0);
  }

  @Test
  void productsInARowAreComposed() {
    AffineCall call =
        call(
            graph()
                .node("/m/a/MatMul", List.of("x", "m.a.weight"), "h")
                .node("/m/Add", List.of("pair", "h"), "s")
                .node("/m/b/MatMul", List.of("s", "m.b.weight"), "y"));
    // y = (x·A + pair)·B; rows of W are columns of A·B.
    assertArrayEquals(new float[] {2, 4, 1, 3}, call.weights());
    assertArrayEquals(new float[] {20, 10}, call.biases().orElseThrow());
  }

  @Test
  void branchesOfOneSourceAreAddedAndTheSourceItselfIsOne() {
    AffineCall call =
        call(
            graph()
                .node("/m/a/MatMul", List.of("x", "m.a.weight"), "h")
                .node("/m/b/MatMul", List.of("x", "m.b.weight"), "g")
                .node("/m/Mul", List.of("g", "half"), "low")
                .node("/m/Sub", List.of("h", "low"), "d")
                .node("/m/Add_1", List.of("d", "x"), "y"));
    assertArrayEquals(new float[] {2, 2.5f, 1.5f, 5}, call.weights());
  }

  @Test
  void constantsScaleAndShiftInEitherOrder() {
    AffineCall call =
        call(
            graph()
                .node("/m/Sub", List.of("pair", "x"), "p")
                .node("/m/a/MatMul", List.of("p", "m.a.weight"), "h")
                .node("/m/Div", List.of("h", "half"), "d")
                .node("/m/Neg", List.of("d"), "n")
                .node("/m/Identity", List.of("n"), "y"));
    assertArrayEquals(new float[] {2, 6, 4, 8}, call.weights());
    assertArrayEquals(new float[] {-140, -200}, call.biases().orElseThrow());
  }

  @Test
  void normalisationBeforeAndAfterALinearIsPartOfIt() {
    AffineCall call =
        call(
            graph()
                .floats("gamma", new float[] {2, 4}, 2)
                .floats("beta", new float[] {1, 0}, 2)
                .floats("mean", new float[] {0, 1}, 2)
                .floats("variance", new float[] {4 - 1e-5f, 1 - 1e-5f}, 2)
                .node(
                    "/m/BatchNormalization", List.of("x", "gamma", "beta", "mean", "variance"), "n")
                .node("/m/a/Gemm", List.of("n", "m.a.weight"), "y", TestGraph.number("transB", 1)));
    // n = (x0 + 1, 4·x1 - 4).
    assertArrayEquals(new float[] {1, 8, 3, 16}, call.weights(), 1e-4f);
    assertArrayEquals(new float[] {-7, -13}, call.biases().orElseThrow(), 1e-4f);
  }

  @Test
  void shapeArithmeticIsNoInput() {
    AffineCall call =
        call(
            graph()
                .longs("zero", 0)
                .longs("flat", -1, 2)
                .longs("width", 2)
                .node("/m/Shape", List.of("x"), "shape")
                .node("/m/Gather", List.of("shape", "zero"), "rows")
                .node("/m/Reshape", List.of("x", "flat"), "r")
                .node("/m/a/Gemm", List.of("r", "m.a.weight", "pair"), "g")
                .node("/m/Concat", List.of("rows", "width"), "target", TestGraph.number("axis", 0))
                .node("/m/Reshape_1", List.of("g", "target"), "y"));
    assertEquals("x", call.input());
    assertEquals("y", call.output());
    assertEquals(6, call.nodes().size());
    assertEquals(3, call.affineNodes().size());
  }

  @Test
  void whatOnlyMovesValuesAroundAProductStaysInClear() {
    AffineCall call =
        call(
            graph()
                .node("/m/Flatten", List.of("x"), "f")
                .node("/m/a/MatMul", List.of("f", "m.a.weight"), "h")
                .node("/m/Transpose", List.of("h"), "y"));
    assertEquals("f", call.input());
    assertEquals("h", call.output());
  }

  @Test
  void aNonLinearityIsNoAffineMap() {
    ModuleInfo module =
        m(
            graph()
                .node("/m/a/MatMul", List.of("x", "m.a.weight"), "h")
                .node("/m/act/Relu", List.of("h"), "y"));
    assertEquals(List.of(), module.calls());
    assertEquals(1, module.lookups().size());
  }

  @Test
  void twoActivationsAreRefused() {
    assertTrue(
        m(graph()
                .input("z", -1, 2)
                .node("/m/a/MatMul", List.of("x", "m.a.weight"), "h")
                .node("/m/Add", List.of("h", "z"), "y"))
            .refusal()
            .contains("it joins two activations, 'x' and 'z'"));
    assertTrue(
        m(graph().input("z", -1, 2).node("/m/MatMul", List.of("x", "z"), "y"))
            .refusal()
            .contains("it multiplies two activations"));
    assertTrue(
        m(graph().node("/m/a/MatMul", List.of("m.a.weight", "x"), "y"))
            .refusal()
            .contains("by the weights from the left"));
  }

  @Test
  void severalOutputsOfOneMapAreRefused() {
    String refusal =
        m(graph()
                .output("h", -1, 2)
                .node("/m/a/MatMul", List.of("x", "m.a.weight"), "h")
                .node("/m/b/MatMul", List.of("h", "m.b.weight"), "y"))
            .refusal();
    assertTrue(refusal.contains("makes several tensors that others read, 'h', 'y'"), refusal);
  }

  @Test
  void aModuleWithoutAProductIsRefused() {
    assertTrue(
        m(graph().node("/m/Mul", List.of("x", "pair"), "y"))
            .refusal()
            .contains("holds no product by weights"));
  }

  @Test
  void aConstantThatIsNotPerChannelIsRefused() {
    assertTrue(
        m(graph()
                .floats("rows", new float[] {1, 2}, 2, 1)
                .node("/m/a/MatMul", List.of("x", "m.a.weight"), "h")
                .node("/m/Mul", List.of("h", "rows"), "y"))
            .refusal()
            .contains("'rows' of shape [2, 1] is not a number for each channel"));
  }
}
