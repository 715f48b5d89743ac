package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
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
}
