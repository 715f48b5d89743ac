package org.fhespark.bench;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorProto.DataType;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Random;

/**
 * A product of matrices, y = x · W, by one node of ONNX Runtime on one thread. W is random and a
 * constant of the model, so ONNX Runtime may lay it out as it likes before the first run.
 */
final class OrtProduct implements AutoCloseable {
  private static final int IR_VERSION = 8;
  private static final int OPSET = 17;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OnnxJavaType inputType;
  private final OnnxJavaType outputType;
  private final LayerShape shape;
  private final OrtSession session;

  private OrtProduct(
      OnnxJavaType inputType, OnnxJavaType outputType, LayerShape shape, byte[] model)
      throws OrtException {
    this.inputType = inputType;
    this.outputType = outputType;
    this.shape = shape;
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      this.session = environment.createSession(model, options);
    }
  }

  /** fp32 × fp32. */
  static OrtProduct floats(LayerShape shape) throws OrtException {
    Random random = new Random(1);
    TensorProto.Builder weights = weights(DataType.FLOAT, shape);
    for (int i = 0; i < shape.weights(); i++) {
      weights.addFloatData((float) random.nextGaussian());
    }
    return new OrtProduct(
        OnnxJavaType.FLOAT,
        OnnxJavaType.FLOAT,
        shape,
        model("MatMul", DataType.FLOAT, DataType.FLOAT, shape, weights));
  }

  /** u8 × s8 → s32. */
  static OrtProduct integers(LayerShape shape) throws OrtException {
    Random random = new Random(1);
    TensorProto.Builder weights = weights(DataType.INT8, shape);
    for (int i = 0; i < shape.weights(); i++) {
      weights.addInt32Data(random.nextInt(255) - 127);
    }
    return new OrtProduct(
        OnnxJavaType.UINT8,
        OnnxJavaType.INT32,
        shape,
        model("MatMulInteger", DataType.UINT8, DataType.INT32, shape, weights));
  }

  /**
   * The product for the first rows of a buffer.
   *
   * @param rows {@code [≥ count][d_in]}, direct, in native byte order
   * @param results written by each run, {@code [≥ count][d_out]}, direct, in native byte order
   */
  Bound bind(ByteBuffer rows, ByteBuffer results, int count) throws OrtException {
    return new Bound(
        tensor(rows, inputType, count, shape.inputs()),
        tensor(results, outputType, count, shape.outputs()));
  }

  private OnnxTensor tensor(ByteBuffer buffer, OnnxJavaType type, int rows, int columns)
      throws OrtException {
    ByteBuffer part = buffer.slice(0, type.size * rows * columns).order(ByteOrder.nativeOrder());
    return OnnxTensor.createTensor(environment, part, new long[] {rows, columns}, type);
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }

  /** The product with its input and output in place. */
  final class Bound implements AutoCloseable {
    private final OnnxTensor input;
    private final OnnxTensor output;

    private Bound(OnnxTensor input, OnnxTensor output) {
      this.input = input;
      this.output = output;
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

    @Override
    public void close() {
      input.close();
      output.close();
    }
  }

  private static TensorProto.Builder weights(DataType type, LayerShape shape) {
    return TensorProto.newBuilder()
        .setName("w")
        .setDataType(type.getNumber())
        .addDims(shape.inputs())
        .addDims(shape.outputs());
  }

  private static byte[] model(
      String operator,
      DataType inputType,
      DataType outputType,
      LayerShape shape,
      TensorProto.Builder weights) {
    GraphProto graph =
        GraphProto.newBuilder()
            .setName("layer")
            .addInput(matrix("x", inputType, shape.inputs()))
            .addOutput(matrix("y", outputType, shape.outputs()))
            .addInitializer(weights)
            .addNode(
                NodeProto.newBuilder()
                    .setOpType(operator)
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

  private static ValueInfoProto matrix(String name, DataType type, int columns) {
    TensorShapeProto.Builder shape =
        TensorShapeProto.newBuilder()
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam("rows"))
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(columns));
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder().setElemType(type.getNumber()).setShape(shape)))
        .build();
  }
}
