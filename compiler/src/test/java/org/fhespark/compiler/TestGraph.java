package org.fhespark.compiler;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.onnx.OnnxModel;

/** Builds small ONNX models node by node, named as the TorchScript exporter names them. */
public final class TestGraph {
  private final ModelProto.Builder model =
      ModelProto.newBuilder()
          .setIrVersion(8)
          .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17));

  /** An input or output tensor; -1 is an open axis. */
  private static ValueInfoProto info(String name, TensorProto.DataType type, long... shape) {
    TensorShapeProto.Builder axes = TensorShapeProto.newBuilder();
    for (long axis : shape) {
      TensorShapeProto.Dimension.Builder dimension = axes.addDimBuilder();
      if (axis >= 0) {
        dimension.setDimValue(axis);
      } else {
        dimension.setDimParam("axis" + axes.getDimCount());
      }
    }
    return ValueInfoProto.newBuilder()
        .setName(name)
        .setType(
            TypeProto.newBuilder()
                .setTensorType(
                    TypeProto.Tensor.newBuilder().setElemType(type.getNumber()).setShape(axes)))
        .build();
  }

  public TestGraph input(String name, long... shape) {
    return input(name, TensorProto.DataType.FLOAT, shape);
  }

  public TestGraph input(String name, TensorProto.DataType type, long... shape) {
    model.getGraphBuilder().addInput(info(name, type, shape));
    return this;
  }

  public TestGraph output(String name, long... shape) {
    return output(name, TensorProto.DataType.FLOAT, shape);
  }

  public TestGraph output(String name, TensorProto.DataType type, long... shape) {
    model.getGraphBuilder().addOutput(info(name, type, shape));
    return this;
  }

  public TestGraph floats(String name, float[] values, long... shape) {
    ByteBuffer raw = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(values);
    return constant(name, TensorProto.DataType.FLOAT, raw.array(), shape);
  }

  public TestGraph longs(String name, long... values) {
    ByteBuffer raw = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    raw.asLongBuffer().put(values);
    return constant(name, TensorProto.DataType.INT64, raw.array(), values.length);
  }

  public TestGraph bytes(String name, TensorProto.DataType type, byte[] values, long... shape) {
    return constant(name, type, values, shape);
  }

  private TestGraph constant(String name, TensorProto.DataType type, byte[] raw, long... shape) {
    model
        .getGraphBuilder()
        .addInitializer(
            TensorProto.newBuilder()
                .setName(name)
                .setDataType(type.getNumber())
                .addAllDims(LongStream.of(shape).boxed().toList())
                .setRawData(ByteString.copyFrom(raw)));
    return this;
  }

  /**
   * A node with one output.
   *
   * @param path its name, ending in the operator
   */
  public TestGraph node(
      String path, List<String> inputs, String output, AttributeProto... attributes) {
    String operator = path.substring(path.lastIndexOf('/') + 1).replaceAll("_[0-9]+$", "");
    model
        .getGraphBuilder()
        .addNode(
            NodeProto.newBuilder()
                .setName(path)
                .setOpType(operator)
                .addAllInput(inputs)
                .addOutput(output)
                .addAllAttribute(List.of(attributes)));
    return this;
  }

  public static AttributeProto ints(String name, long... values) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.INTS)
        .addAllInts(LongStream.of(values).boxed().toList())
        .build();
  }

  public static AttributeProto number(String name, long value) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.INT)
        .setI(value)
        .build();
  }

  public static AttributeProto text(String name, String value) {
    return AttributeProto.newBuilder()
        .setName(name)
        .setType(AttributeProto.AttributeType.STRING)
        .setS(ByteString.copyFromUtf8(value))
        .build();
  }

  /** Writes the model to a file and reads it back. */
  public OnnxModel model() {
    try {
      Path file = Files.createTempFile("graph", ".onnx");
      try {
        return OnnxModel.load(write(file), new Configuration());
      } finally {
        Files.delete(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public org.apache.hadoop.fs.Path write(Path file) throws IOException {
    model.getGraphBuilder().setName("test");
    Files.write(file, model.build().toByteArray());
    return new org.apache.hadoop.fs.Path(file.toString());
  }
}
