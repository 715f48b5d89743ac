package org.fhespark.compiler.affine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.LongStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.fhespark.compiler.TestGraph;
import org.fhespark.compiler.artifact.Unfolding;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.quantize.Windows;
import org.junit.jupiter.api.Test;

class ConvolutionMapTest {
  private static float[] random(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static float[] run(OnnxModel model, float[] x, long[] shape) throws OrtException {
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (OrtSession session = environment.createSession(model.proto().toByteArray());
        OnnxTensor tensor = OnnxTensor.createTensor(environment, FloatBuffer.wrap(x), shape);
        OrtSession.Result result = session.run(Map.of("x", tensor))) {
      FloatBuffer y = ((OnnxTensor) result.get(0)).getFloatBuffer();
      float[] values = new float[y.remaining()];
      y.get(values);
      return values;
    }
  }

  /** The call's map applied to every window, laid out as {@code [batch, dOut, position..]}. */
  private static float[] apply(AffineCall call, float[] x, long[] shape) {
    Windows windows = new Windows(call.unfolding().orElseThrow(), shape);
    int positions = (int) (windows.count() / shape[0]);
    float[] weights = call.weights();
    float[] bias = call.biases().orElse(new float[call.dOut()]);
    float[] y = new float[(int) windows.count() * call.dOut()];
    float[] row = new float[call.dIn()];
    for (int r = 0; r < windows.count(); r++) {
      windows.read(FloatBuffer.wrap(x), r, row);
      for (int j = 0; j < call.dOut(); j++) {
        double sum = bias[j];
        for (int i = 0; i < row.length; i++) {
          sum += (double) weights[j * row.length + i] * row[i];
        }
        y[(r / positions * call.dOut() + j) * positions + r % positions] = (float) sum;
      }
    }
    return y;
  }

  private static void assertMapIsWhatOnnxRuntimeComputes(
      TestGraph graph, String module, long[] shape, Random random) throws OrtException {
    OnnxModel model = graph.model();
    float[] x = random(random, (int) (shape[0] * shape[1] * elements(shape, 2)));
    AffineCall call = ModuleTree.of(model).find(module).calls().get(0);
    float[] expected = run(model, x, shape);
    float[] actual = apply(call, x, shape);
    assertEquals(expected.length, actual.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], actual[i], 1e-4 * Math.sqrt(call.dIn()), "value " + i);
    }
  }

  private static long elements(long[] shape, int from) {
    long elements = 1;
    for (int i = from; i < shape.length; i++) {
      elements *= shape[i];
    }
    return elements;
  }

  @Property(tries = 120)
  void windowsTimesWeightsAreWhatOnnxRuntimesConvComputes(
      @ForAll @IntRange(min = 1, max = 2) int axes,
      @ForAll @IntRange(min = 1, max = 3) int groups,
      @ForAll @IntRange(min = 1, max = 2) int channelsPerGroup,
      @ForAll @IntRange(min = 1, max = 2) int outputsPerGroup,
      @ForAll @IntRange(min = 0, max = 4) int padding,
      @ForAll boolean bias,
      @ForAll long seed)
      throws OrtException {
    Random random = new Random(seed);
    int channels = groups * channelsPerGroup;
    int outputs = groups * outputsPerGroup;
    long[] kernel = new long[axes];
    long[] strides = new long[axes];
    long[] dilations = new long[axes];
    long[] pads = new long[2 * axes];
    long[] shape = new long[2 + axes];
    long[] weightShape = new long[2 + axes];
    shape[0] = 2;
    shape[1] = channels;
    weightShape[0] = outputs;
    weightShape[1] = channelsPerGroup;
    for (int i = 0; i < axes; i++) {
      kernel[i] = 1 + random.nextInt(3);
      strides[i] = 1 + random.nextInt(3);
      dilations[i] = 1 + random.nextInt(2);
      pads[i] = random.nextInt(3);
      pads[axes + i] = random.nextInt(3);
      shape[2 + i] = 5 + random.nextInt(5);
      weightShape[2 + i] = kernel[i];
    }
    List<AttributeProto> attributes =
        new ArrayList<>(
            List.of(TestGraph.ints("strides", strides), TestGraph.number("group", groups)));
    if (padding == 0) {
      // ONNX Runtime pads automatically without dilation only.
      attributes.add(
          TestGraph.text("auto_pad", random.nextBoolean() ? "SAME_UPPER" : "SAME_LOWER"));
    } else if (padding == 1) {
      attributes.add(TestGraph.text("auto_pad", "VALID"));
    } else {
      attributes.add(TestGraph.ints("pads", pads));
      attributes.add(TestGraph.ints("dilations", dilations));
    }
    long[] open = shape.clone();
    open[0] = -1;
    TestGraph graph =
        new TestGraph()
            .input("x", open)
            .output("y", LongStream.generate(() -> -1).limit(shape.length).toArray())
            .floats("conv.weight", random(random, (int) elements(weightShape, 0)), weightShape);
    if (bias) {
      graph.floats("conv.bias", random(random, outputs), outputs);
    }
    graph.node(
        "/conv/Conv",
        bias ? List.of("x", "conv.weight", "conv.bias") : List.of("x", "conv.weight"),
        "y",
        attributes.toArray(new AttributeProto[0]));
    assertMapIsWhatOnnxRuntimeComputes(graph, "conv", shape, random);
  }

  @Test
  void aDepthwiseConvolutionThenAPointwiseOneIsOneMap() throws OrtException {
    Random random = new Random(3);
    TestGraph graph =
        new TestGraph()
            .input("x", -1, 4, 6, 6)
            .output("y", -1, -1, -1, -1)
            .floats("block.0.weight", random(random, 36), 4, 1, 3, 3)
            .floats("block.0.bias", random(random, 4), 4)
            .floats("block.1.weight", random(random, 20), 5, 4, 1, 1)
            .floats("scale", random(random, 5), 5, 1, 1)
            .node(
                "/block/block.0/Conv",
                List.of("x", "block.0.weight", "block.0.bias"),
                "h",
                TestGraph.number("group", 4),
                TestGraph.ints("pads", 1, 1, 1, 1))
            .node(
                "/block/block.1/Conv",
                List.of("h", "block.1.weight"),
                "c",
                TestGraph.ints("strides", 2, 2))
            .node("/block/Mul", List.of("c", "scale"), "y");
    assertMapIsWhatOnnxRuntimeComputes(graph, "block", new long[] {2, 4, 6, 6}, random);
  }

  @Test
  void aNormalisationBeforeAndAfterAConvolutionIsPartOfItsMap() throws OrtException {
    Random random = new Random(4);
    TestGraph graph =
        new TestGraph()
            .input("x", -1, 3, 5, 5)
            .output("y", -1, -1, -1, -1)
            .floats("block.1.weight", random(random, 54), 2, 3, 3, 3)
            .floats("v3", new float[] {1, 2, 0.5f}, 3)
            .floats("v2", new float[] {1, 2}, 2)
            .node("/block/block.0/BatchNormalization", List.of("x", "v3", "v3", "v3", "v3"), "a")
            .node("/block/block.1/Conv", List.of("a", "block.1.weight"), "b")
            .node("/block/block.2/BatchNormalization", List.of("b", "v2", "v2", "v2", "v2"), "y");
    assertMapIsWhatOnnxRuntimeComputes(graph, "block", new long[] {2, 3, 5, 5}, random);
  }

  @Test
  void zerosPaddedAroundTheInputAreTheConvolutionsOwn() throws OrtException {
    Random random = new Random(5);
    TestGraph graph =
        new TestGraph()
            .input("x", -1, 2, 5, 4)
            .output("y", -1, -1, -1, -1)
            .floats("conv.weight", random(random, 24), 3, 2, 2, 2)
            .longs("pads", 0, 0, 0, 1, 0, 0, 2, 0)
            .node("/conv/Pad", List.of("x", "pads"), "p")
            .node("/conv/Conv", List.of("p", "conv.weight"), "y");
    assertMapIsWhatOnnxRuntimeComputes(graph, "conv", new long[] {2, 2, 5, 4}, random);
    Unfolding unfolding =
        ModuleTree.of(graph.model()).find("conv").calls().get(0).unfolding().orElseThrow();
    assertEquals(List.of(0, 1), unfolding.padsBegin());
    assertEquals(List.of(2, 0), unfolding.padsEnd());
  }

  @Test
  void aShiftBeforeAPaddedConvolutionIsRefused() {
    TestGraph graph =
        new TestGraph()
            .input("x", -1, 1, 5, 5)
            .output("y", -1, -1, -1, -1)
            .floats("block.conv.weight", new float[9], 1, 1, 3, 3)
            .floats("one", new float[] {1}, 1)
            .node("/block/Add", List.of("x", "one"), "a")
            .node(
                "/block/conv/Conv",
                List.of("a", "block.conv.weight"),
                "y",
                TestGraph.ints("pads", 1, 1, 1, 1));
    String refusal = ModuleTree.of(graph.model()).find("block").refusal();
    assertEquals(
        "contains Conv at node /block/conv/Conv: its input is shifted and then padded with zeros",
        refusal);
  }

  @Test
  void aDepthwiseConvolutionWithTooManyZerosIsRefusedWithTheirNumber() {
    TestGraph graph =
        new TestGraph()
            .input("x", -1, 6000, 3, 3)
            .output("y", -1, -1, -1, -1)
            .floats("conv.weight", new float[54000], 6000, 1, 3, 3)
            .node("/conv/Conv", List.of("x", "conv.weight"), "y", TestGraph.number("group", 6000));
    String refusal = ModuleTree.of(graph.model()).find("conv").refusal();
    assertTrue(refusal.contains("6000 groups it has 324000000 weights"), refusal);
  }
}
