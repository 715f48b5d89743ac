package org.fhespark.jobs.client;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
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
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;

/** A model of one Linear module of any size, its weights normally distributed. */
public record LinearModel(int inputs, int outputs) {
  /** The module's key. */
  public static final String MODULE = "layer";

  private static final int CALIBRATION_RECORDS = 64;

  public static StructType schema() {
    return StructType.fromDDL("x ARRAY<FLOAT>");
  }

  public List<Row> records(int count, long seed) {
    Random random = new Random(seed);
    return IntStream.range(0, count)
        .mapToObj(record -> RowFactory.create((Object) box(gaussians(random, inputs))))
        .toList();
  }

  /** Compiles it with the module remote; returns the artefact's folder. */
  public Path compile(SparkSession spark, CompileOptions options) {
    return compile(
        spark,
        onnx(),
        Digits.write(spark, "calibration", schema(), records(CALIBRATION_RECORDS, 2)),
        options);
  }

  /** Compiles any model; returns the artefact's folder. */
  static Path compile(SparkSession spark, byte[] onnx, Path calibration, CompileOptions options) {
    Path folder = Digits.newFolder("linear");
    Path model = folder.resolve("linear.onnx");
    Path out = folder.resolve("compiled");
    try {
      Files.write(model, onnx);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    try (CalibrationTable table =
        CalibrationTable.open(spark, Digits.hadoop(model), Digits.hadoop(calibration))) {
      new ModelCompiler(new Configuration())
          .compile(Digits.hadoop(model), table.batches(), options, Digits.hadoop(out));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
    return out;
  }

  private byte[] onnx() {
    Random random = new Random(1);
    return ModelProto.newBuilder()
        .setIrVersion(8)
        .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(17))
        .setGraph(
            GraphProto.newBuilder()
                .setName("linear")
                .addInput(matrix("x", inputs))
                .addOutput(matrix("y", outputs))
                .addInitializer(tensor(MODULE + ".weight", random, outputs, inputs))
                .addInitializer(tensor(MODULE + ".bias", random, outputs))
                .addNode(gemm(MODULE, "x", "y")))
        .build()
        .toByteArray();
  }

  /** What a Linear module is exported as. */
  static NodeProto gemm(String module, String input, String output) {
    return NodeProto.newBuilder()
        .setName("/" + module + "/Gemm")
        .setOpType("Gemm")
        .addAllInput(List.of(input, module + ".weight", module + ".bias"))
        .addOutput(output)
        .addAttribute(
            AttributeProto.newBuilder()
                .setName("transB")
                .setType(AttributeProto.AttributeType.INT)
                .setI(1))
        .build();
  }

  static ValueInfoProto matrix(String name, int columns) {
    TensorShapeProto.Builder shape =
        TensorShapeProto.newBuilder()
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimParam("batch"))
            .addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(columns));
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

  static TensorProto tensor(String name, Random random, int... shape) {
    TensorProto.Builder tensor =
        TensorProto.newBuilder().setName(name).setDataType(TensorProto.DataType.FLOAT.getNumber());
    int count = 1;
    for (int axis : shape) {
      tensor.addDims(axis);
      count *= axis;
    }
    ByteBuffer raw = ByteBuffer.allocate(Float.BYTES * count).order(ByteOrder.LITTLE_ENDIAN);
    raw.asFloatBuffer().put(gaussians(random, count));
    return tensor.setRawData(ByteString.copyFrom(raw)).build();
  }

  private static float[] gaussians(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static Float[] box(float[] values) {
    Float[] boxed = new Float[values.length];
    for (int i = 0; i < values.length; i++) {
      boxed[i] = values[i];
    }
    return boxed;
  }
}
