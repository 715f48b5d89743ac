package org.fhespark.bench;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Random;

/** The reference: the same layer in clear, an fp32 MatMul in ONNX Runtime on one thread. */
final class ClearLayer implements AutoCloseable {
  private static final int IR_VERSION = 8;
  private static final int OPSET = 17;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;
  private final OnnxTensor input;
  private final OnnxTensor output;

  /**
   * @param records floats {@code [T][d_in]}
   */
  ClearLayer(ByteBuffer records, int count, int inputs, int outputs) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      session = environment.createSession(model(inputs, outputs), options);
    }
    input =
        OnnxTensor.createTensor(environment, records.asFloatBuffer(), new long[] {count, inputs});
    ByteBuffer results =
        ByteBuffer.allocateDirect(4 * count * outputs).order(ByteOrder.nativeOrder());
    output =
        OnnxTensor.createTensor(environment, results.asFloatBuffer(), new long[] {count, outputs});
  }

  void run() {
    try (OrtSession.Result result = session.run(Map.of("x", input), Map.of("y", output))) {
      if (result.size() != 1) {
        throw new IllegalStateException("one output expected");
      }
    } catch (OrtException error) {
      throw new IllegalStateException(error);
    }
  }

  private static byte[] model(int inputs, int outputs) {
    Random random = new Random(1);
    TensorProto.Builder weights =
        TensorProto.newBuilder()
            .setName("w")
            .setDataType(TensorProto.DataType.FLOAT.getNumber())
            .addDims(inputs)
            .addDims(outputs);
    for (int i = 0; i < inputs * outputs; i++) {
      weights.addFloatData((float) random.nextGaussian());
    }
    GraphProto graph =
        GraphProto.newBuilder()
            .setName("layer")
            .addInput(matrix("x", inputs))
            .addOutput(matrix("y", outputs))
            .addInitializer(weights)
            .addNode(
                NodeProto.newBuilder()
                    .setOpType("MatMul")
                    .addInput("x")
                    .addInput("w")
                    .addOutput("y"))
            .build();
    return ModelProto.newBuilder()
        .setIrVersion(IR_VERSION)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(OPSET))
        .setGraph(graph)
        .build()
        .toByteArray();
  }

  private static ValueInfoProto matrix(String name, int columns) {
    TensorShapeProto.Builder shape =
        TensorShapeProto.newBuilder()
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam("batch"))
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(columns));
    TypeProto.Tensor.Builder type =
        TypeProto.Tensor.newBuilder()
            .setElemType(TensorProto.DataType.FLOAT.getNumber())
            .setShape(shape);
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(TypeProto.newBuilder().setTensorType(type))
        .build();
  }

  @Override
  public void close() throws OrtException {
    input.close();
    output.close();
    session.close();
  }
}
