package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.fhespark.InvalidInputException;

/**
 * The constants of a model. What constant nodes make (a dequantised weight, a square root of a
 * variance) ONNX Runtime computes, so that it is what the model itself would use.
 */
public final class Constants {
  /** Computed constants of up to so many elements are kept. */
  private static final int KEPT_ELEMENTS = 1 << 12;

  private final OnnxModel model;
  private final OnnxGraph graph;
  private final Map<String, Optional<ConstantTensor>> floats = new HashMap<>();
  private final Map<String, Optional<long[]>> integers = new HashMap<>();

  /** Of a model; each is decoded or computed when it is asked for. */
  public Constants(OnnxModel model) {
    this.model = model;
    this.graph = model.graph();
  }

  /** A float32 constant; empty for tensors that are not constant or of another type. */
  public Optional<ConstantTensor> floats(String tensor) {
    Optional<ConstantTensor> known = floats.get(tensor);
    if (known == null) {
      known = graph.isConstant(tensor) ? findFloats(tensor) : Optional.empty();
      floats.put(tensor, known);
    }
    return known;
  }

  private Optional<ConstantTensor> findFloats(String tensor) {
    Optional<ConstantTensor> plain = ConstantTensor.of(graph, tensor);
    if (plain.isPresent() || graph.producer(tensor) < 0) {
      return plain;
    }
    return compute(
        tensor,
        value -> {
          FloatBuffer buffer = value.getFloatBuffer();
          if (buffer == null) {
            return Optional.empty();
          }
          List<Long> shape = LongStream.of(value.getInfo().getShape()).boxed().toList();
          if (buffer.remaining() > KEPT_ELEMENTS) {
            return Optional.of(
                new ConstantTensor(tensor, shape, () -> computeFloats(tensor), false));
          }
          float[] values = array(buffer);
          return Optional.of(new ConstantTensor(tensor, shape, values::clone, false));
        });
  }

  private float[] computeFloats(String tensor) {
    return compute(tensor, value -> array(value.getFloatBuffer()));
  }

  private static float[] array(FloatBuffer buffer) {
    float[] values = new float[buffer.remaining()];
    buffer.get(values);
    return values;
  }

  /**
   * The values of a constant of integers or booleans, row-major; empty for tensors that are not
   * constant or of another type.
   */
  public Optional<long[]> integers(String tensor) {
    Optional<long[]> known = integers.get(tensor);
    if (known == null) {
      known = graph.isConstant(tensor) ? compute(tensor, Constants::longs) : Optional.empty();
      if (known.isEmpty() || known.get().length <= KEPT_ELEMENTS) {
        integers.put(tensor, known);
      }
    }
    return known.map(long[]::clone);
  }

  /** The element type of a constant; empty for tensors that are not constant. */
  public Optional<OnnxJavaType> elementType(String tensor) {
    return graph.isConstant(tensor)
        ? Optional.of(compute(tensor, value -> value.getInfo().type))
        : Optional.empty();
  }

  private static Optional<long[]> longs(OnnxTensor tensor) {
    return switch (tensor.getInfo().type) {
      case INT64 -> {
        LongBuffer buffer = tensor.getLongBuffer();
        yield Optional.of(LongStream.generate(buffer::get).limit(buffer.remaining()).toArray());
      }
      case INT32 -> {
        IntBuffer buffer = tensor.getIntBuffer();
        yield Optional.of(IntStream.range(0, buffer.remaining()).mapToLong(buffer::get).toArray());
      }
      case INT8, BOOL -> {
        ByteBuffer buffer = tensor.getByteBuffer();
        yield Optional.of(IntStream.range(0, buffer.remaining()).mapToLong(buffer::get).toArray());
      }
      case UINT8 -> {
        ByteBuffer buffer = tensor.getByteBuffer();
        yield Optional.of(
            IntStream.range(0, buffer.remaining()).mapToLong(i -> buffer.get(i) & 0xff).toArray());
      }
      default -> Optional.empty();
    };
  }

  /** Runs the constant nodes that a tensor needs. */
  private <T> T compute(String tensor, Function<OnnxTensor, T> reader) {
    GraphProto.Builder proto =
        GraphProto.newBuilder()
            .setName("constant")
            .addOutput(ValueInfoProto.newBuilder().setName(tensor));
    TreeSet<Integer> nodes = new TreeSet<>();
    TreeSet<String> initializers = new TreeSet<>();
    collect(tensor, nodes, initializers);
    nodes.forEach(node -> proto.addNode(graph.node(node)));
    for (String name : initializers) {
      TensorProto initializer = graph.initializers().get(name);
      proto.addInitializer(initializer);
      if (name.equals(tensor)) {
        // ONNX Runtime infers types of what nodes make alone.
        proto
            .getOutputBuilder(0)
            .getTypeBuilder()
            .getTensorTypeBuilder()
            .setElemType(initializer.getDataType());
      }
    }
    ModelProto constant =
        ModelProto.newBuilder()
            .setIrVersion(model.proto().getIrVersion())
            .addAllOpsetImport(model.proto().getOpsetImportList())
            .setGraph(proto)
            .build();
    OrtEnvironment environment = OrtEnvironment.getEnvironment();
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR);
      try (OrtSession session = environment.createSession(constant.toByteArray(), options);
          OrtSession.Result result = session.run(Map.of())) {
        OnnxValue value = result.get(0);
        if (value instanceof OnnxTensor computed) {
          return reader.apply(computed);
        }
        throw new InvalidInputException(
            model.file() + ": the constant '" + tensor + "' is no tensor; export the model again");
      }
    } catch (OrtException e) {
      throw new InvalidInputException(
          model.file()
              + ": ONNX Runtime cannot compute the constant '"
              + tensor
              + "': "
              + ExactSession.reason(e)
              + "; export the model with do_constant_folding=True",
          e);
    }
  }

  private void collect(String tensor, TreeSet<Integer> nodes, TreeSet<String> initializers) {
    int producer = graph.producer(tensor);
    if (producer < 0) {
      initializers.add(tensor);
    } else if (nodes.add(producer)) {
      graph.reads(producer).forEach(read -> collect(read, nodes, initializers));
    }
  }
}
