package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.fhespark.compiler.onnx.ElementType;
import org.junit.jupiter.api.Test;

class OnnxSegmentTest {
  private static ValueInfoProto vector(String name, TensorProto.DataType type, String axis) {
    TensorShapeProto.Builder shape =
        TensorShapeProto.newBuilder()
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam(axis));
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder().setElemType(type.getNumber()).setShape(shape)))
        .build();
  }

  private static NodeProto node(String operator, String input, String output) {
    return NodeProto.newBuilder().setOpType(operator).addInput(input).addOutput(output).build();
  }

  /** {@code y = −x}, and {@code where}: the places at which x is not zero. */
  private static OnnxSegment segment() {
    GraphProto graph =
        GraphProto.newBuilder()
            .setName("g")
            .addInput(vector("x", TensorProto.DataType.FLOAT, "n"))
            .addNode(node("Neg", "x", "y"))
            .addNode(node("NonZero", "x", "places"))
            .addNode(node("Flatten", "places", "flat"))
            .addNode(node("Squeeze", "flat", "where"))
            .addOutput(vector("y", TensorProto.DataType.FLOAT, "n"))
            .addOutput(vector("where", TensorProto.DataType.INT64, "m"))
            .build();
    byte[] model =
        ModelProto.newBuilder()
            .setIrVersion(8)
            .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17))
            .setGraph(graph)
            .build()
            .toByteArray();
    return new OnnxSegment("segment", model, List.of("x"), List.of("y", "where"));
  }

  @Test
  void outputsAreRightWhateverShapesTheyHadBefore() {
    Random random = new Random(1);
    try (OnnxSegment segment = segment()) {
      for (int run = 0; run < 200; run++) {
        // Few lengths, so that most were seen before, with as many or with other places.
        float[] x = new float[2 + random.nextInt(3)];
        for (int i = 0; i < x.length; i++) {
          x[i] = random.nextInt(3) == 0 ? 0 : 1 + random.nextInt(100);
        }
        long[] expected = LongStream.range(0, x.length).filter(i -> x[(int) i] != 0).toArray();
        if (expected.length < 2) {
          continue;
        }
        Tensor input = Tensor.allocate(ElementType.FLOAT, x.length);
        input.data().asFloatBuffer().put(x);
        Batch batch = new Batch(new long[x.length], List.of(), new HashMap<>(Map.of("x", input)));
        segment.run(batch);
        float[] y = new float[x.length];
        ((FloatBuffer) batch.tensor("y").values()).get(y);
        float[] negative = new float[x.length];
        IntStream.range(0, x.length).forEach(i -> negative[i] = -x[i]);
        assertArrayEquals(negative, y);
        long[] where = new long[batch.tensor("where").elements()];
        ((LongBuffer) batch.tensor("where").values()).get(where);
        assertArrayEquals(expected, where);
        batch.release();
      }
    }
  }

  private static OnnxSegment segment(
      List<String> inputs, List<String> outputs, GraphProto.Builder graph) {
    byte[] model =
        ModelProto.newBuilder()
            .setIrVersion(8)
            .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17))
            .setGraph(graph.setName("g"))
            .build()
            .toByteArray();
    return new OnnxSegment("segment", model, inputs, outputs);
  }

  private static Batch batch(float... x) {
    Tensor input = Tensor.allocate(ElementType.FLOAT, x.length);
    input.data().asFloatBuffer().put(x);
    return new Batch(new long[x.length], List.of(), new HashMap<>(Map.of("x", input)));
  }

  private static float[] floats(Batch batch, String name) {
    float[] values = new float[batch.tensor(name).elements()];
    ((FloatBuffer) batch.tensor(name).values()).get(values);
    return values;
  }

  /** Overwrites what the pool will hand out next. */
  private static void spoil(Batch batch, List<String> tensors) {
    for (String name : tensors) {
      ByteBuffer data = batch.tensor(name).data();
      IntStream.range(0, data.capacity()).forEach(i -> data.put(i, (byte) 0x5A));
    }
    batch.release();
  }

  @Test
  void outputsThatAreWhatIsReadOrAnotherOutputAreWrittenToo() {
    List<String> outputs = List.of("same", "minus", "again", "flat");
    GraphProto.Builder graph =
        GraphProto.newBuilder()
            .addInput(vector("x", TensorProto.DataType.FLOAT, "n"))
            .addNode(node("Identity", "x", "same"))
            .addNode(node("Neg", "x", "minus"))
            .addNode(node("Identity", "minus", "again"))
            .addNode(node("Squeeze", "same", "flat"));
    outputs.forEach(
        output -> graph.addOutput(vector(output, TensorProto.DataType.FLOAT, output + ".n")));
    try (OnnxSegment segment = segment(List.of("x"), outputs, graph)) {
      for (int run = 1; run <= 3; run++) {
        Batch batch = batch(run, 2, 3);
        segment.run(batch);
        assertArrayEquals(new float[] {run, 2, 3}, floats(batch, "same"));
        assertArrayEquals(new float[] {-run, -2, -3}, floats(batch, "minus"));
        assertArrayEquals(new float[] {-run, -2, -3}, floats(batch, "again"));
        assertArrayEquals(new float[] {run, 2, 3}, floats(batch, "flat"));
        spoil(batch, outputs);
      }
    }
  }

  @Test
  void booleansAndBytesPassFromSegmentToSegment() {
    GraphProto.Builder first =
        GraphProto.newBuilder()
            .addInput(vector("x", TensorProto.DataType.FLOAT, "n"))
            .addNode(node("IsNaN", "x", "missing"))
            .addNode(cast("x", "small", TensorProto.DataType.INT8))
            .addNode(cast("x", "bright", TensorProto.DataType.UINT8))
            .addOutput(vector("missing", TensorProto.DataType.BOOL, "n"))
            .addOutput(vector("small", TensorProto.DataType.INT8, "n"))
            .addOutput(vector("bright", TensorProto.DataType.UINT8, "n"));
    GraphProto.Builder second =
        GraphProto.newBuilder()
            .addInput(vector("missing", TensorProto.DataType.BOOL, "n"))
            .addInput(vector("small", TensorProto.DataType.INT8, "n"))
            .addInput(vector("bright", TensorProto.DataType.UINT8, "n"))
            .addNode(cast("small", "signed", TensorProto.DataType.FLOAT))
            .addNode(cast("bright", "unsigned", TensorProto.DataType.FLOAT))
            .addNode(
                NodeProto.newBuilder()
                    .setOpType("Where")
                    .addAllInput(List.of("missing", "unsigned", "signed"))
                    .addOutput("y"))
            .addOutput(vector("y", TensorProto.DataType.FLOAT, "n"))
            .addOutput(vector("unsigned", TensorProto.DataType.FLOAT, "n"));
    List<String> between = List.of("missing", "small", "bright");
    try (OnnxSegment one = segment(List.of("x"), between, first);
        OnnxSegment two = segment(between, List.of("y", "unsigned"), second)) {
      for (int run = 1; run <= 3; run++) {
        Batch batch = batch(run, 100, Float.NaN);
        one.run(batch);
        assertEquals(3, batch.tensor("missing").elements());
        two.run(batch);
        float[] unsigned = floats(batch, "unsigned");
        assertArrayEquals(new float[] {run, 100}, Arrays.copyOf(unsigned, 2));
        assertArrayEquals(new float[] {run, 100, unsigned[2]}, floats(batch, "y"));
        spoil(batch, between);
      }
    }
  }

  private static NodeProto cast(String input, String output, TensorProto.DataType type) {
    return node("Cast", input, output).toBuilder()
        .addAttribute(
            AttributeProto.newBuilder()
                .setName("to")
                .setType(AttributeProto.AttributeType.INT)
                .setI(type.getNumber()))
        .build();
  }
}
