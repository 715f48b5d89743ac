package org.fhespark.compiler.quantize;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.IntPredicate;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.PaddingSide;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;

/**
 * Finds out whether a model still computes the same if remote calls give zeros where a sequence is
 * padded, which is what the client does when it skips those rows: runs the float model with and
 * without, for sequences padded behind and before.
 */
final class PaddingTrial {
  /** Of the largest magnitude of an output. */
  private static final double ROUNDING = 1e-4;

  private static final String PREFIX = "/fhe-spark/padding/";

  private final OnnxModel model;
  private final PaddingMask mask;
  private final Set<String> results;

  /**
   * A trial.
   *
   * @param results tensors that remote calls make, whose rows would be skipped
   */
  PaddingTrial(OnnxModel model, PaddingMask mask, Set<String> results) {
    this.model = model;
    this.mask = mask;
    this.results = results;
  }

  /** The sides on which a mask shows padding. */
  static Set<PaddingSide> sides(OnnxTensor mask) {
    Set<PaddingSide> sides = EnumSet.noneOf(PaddingSide.class);
    boolean[] real = PaddingMask.real(mask);
    int sequence = (int) mask.getInfo().getShape()[1];
    for (int i = 1; i < real.length; i++) {
      if (i % sequence != 0 && real[i] != real[i - 1]) {
        sides.add(real[i] ? PaddingSide.BEFORE : PaddingSide.BEHIND);
      }
    }
    return sides;
  }

  /**
   * Runs it.
   *
   * @param exposed the unchanged model
   * @param slice a few records
   * @param sides where to pad
   * @return what changes, one clause; empty if nothing does
   */
  Optional<String> harm(
      ExposedModel exposed, Map<String, BatchTensor> slice, Set<PaddingSide> sides)
      throws OrtException {
    try (ExposedModel zeroed = new ExposedModel(withZeros(), List.of())) {
      for (PaddingSide side : sides) {
        Optional<String> harm = harm(exposed, zeroed, slice, side == PaddingSide.BEHIND);
        if (harm.isPresent()) {
          return harm;
        }
      }
    }
    return Optional.empty();
  }

  private Optional<String> harm(
      ExposedModel exposed, ExposedModel zeroed, Map<String, BatchTensor> slice, boolean behind)
      throws OrtException {
    Set<String> outputs = model.graph().outputNames();
    Map<String, OnnxTensor> inputs = new HashMap<>();
    try {
      for (Map.Entry<String, BatchTensor> input : slice.entrySet()) {
        BatchTensor value =
            input.getKey().equals(mask.input())
                ? padded(input.getValue(), behind)
                : input.getValue();
        inputs.put(input.getKey(), value.toOnnxTensor(OrtEnvironment.getEnvironment()));
      }
      OnnxTensor maskTensor = inputs.get(mask.input());
      boolean[] real = PaddingMask.real(maskTensor);
      try (OrtSession.Result expected = exposed.run(inputs, outputs);
          OrtSession.Result actual = zeroed.run(inputs, outputs)) {
        for (String output : outputs) {
          if (differs(
              (OnnxTensor) expected.get(output).orElseThrow(),
              (OnnxTensor) actual.get(output).orElseThrow(),
              maskTensor,
              real)) {
            return Optional.of(
                "output '"
                    + output
                    + "' depends on positions where '"
                    + mask.input()
                    + "' is 0, for sequences padded "
                    + (behind ? "behind" : "before"));
          }
        }
      }
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
    return Optional.empty();
  }

  private static boolean differs(
      OnnxTensor expected, OnnxTensor actual, OnnxTensor mask, boolean[] real) {
    long[] shape = expected.getInfo().getShape();
    long[] axes = mask.getInfo().getShape();
    boolean bySequence = shape.length >= 2 && shape[0] == axes[0] && shape[1] == axes[1];
    IntPredicate counts = everywhere -> true;
    if (bySequence && real.length > 0) {
      int perPosition = Math.toIntExact(expected.getInfo().getNumElements() / real.length);
      counts = element -> real[element / perPosition];
    }
    FloatBuffer floats = expected.getFloatBuffer();
    return floats == null
        ? differs(expected.getByteBuffer(), actual.getByteBuffer(), expected, counts)
        : differs(floats, actual.getFloatBuffer(), counts);
  }

  private static boolean differs(FloatBuffer a, FloatBuffer b, IntPredicate counts) {
    float largest = 0;
    for (int i = 0; i < a.remaining(); i++) {
      largest = Math.max(largest, Math.abs(a.get(i)));
    }
    for (int i = 0; i < a.remaining(); i++) {
      if (counts.test(i)
          && !(Math.abs(a.get(i) - b.get(i)) <= ROUNDING * largest)
          && Float.compare(a.get(i), b.get(i)) != 0) {
        return true;
      }
    }
    return false;
  }

  /** Whether elements of another type than float differ. */
  private static boolean differs(ByteBuffer a, ByteBuffer b, OnnxTensor type, IntPredicate counts) {
    if (a.remaining() != b.remaining()) {
      return true;
    }
    int elementBytes = (int) (a.remaining() / Math.max(1, type.getInfo().getNumElements()));
    for (int i = 0; i < a.remaining(); i++) {
      if (counts.test(i / elementBytes) && a.get(i) != b.get(i)) {
        return true;
      }
    }
    return false;
  }

  /** A mask of random lengths, at least 1, within the given one. */
  private static BatchTensor padded(BatchTensor given, boolean behind) {
    int batch = Math.toIntExact(given.shape().get(0));
    int sequence = Math.toIntExact(given.shape().get(1));
    SplittableRandom random = new SplittableRandom(1);
    boolean[] keep = new boolean[batch * sequence];
    for (int r = 0; r < batch; r++) {
      int length = sequence == 0 ? 0 : 1 + random.nextInt(sequence);
      for (int s = 0; s < sequence; s++) {
        keep[r * sequence + s] = behind ? s < length : s >= sequence - length;
      }
    }
    long[] shape = {batch, sequence};
    return switch (given.type()) {
      case INT64 -> {
        LongBuffer to = direct(Long.BYTES * keep.length).asLongBuffer();
        for (boolean k : keep) {
          to.put(k ? 1 : 0);
        }
        yield BatchTensor.of(to.flip(), shape);
      }
      case INT32 -> {
        IntBuffer to = direct(Integer.BYTES * keep.length).asIntBuffer();
        for (boolean k : keep) {
          to.put(k ? 1 : 0);
        }
        yield BatchTensor.of(to.flip(), shape);
      }
      default -> {
        FloatBuffer to = direct(Float.BYTES * keep.length).asFloatBuffer();
        for (boolean k : keep) {
          to.put(k ? 1 : 0);
        }
        yield BatchTensor.of(to.flip(), shape);
      }
    };
  }

  private static ByteBuffer direct(int bytes) {
    return ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder());
  }

  /** The model with the results of the calls multiplied by whether the mask is not 0. */
  private OnnxModel withZeros() {
    GraphProto graph = model.proto().getGraph();
    GraphProto.Builder changed = graph.toBuilder().clearNode();
    changed.addInitializer(
        TensorProto.newBuilder()
            .setName(PREFIX + "axis")
            .setDataType(TensorProto.DataType.INT64_VALUE)
            .addDims(1)
            .setRawData(ByteString.copyFrom(new byte[] {2, 0, 0, 0, 0, 0, 0, 0})));
    changed
        .addNode(cast(mask.input(), "real", TensorProto.DataType.BOOL))
        .addNode(cast(PREFIX + "real", "factor", TensorProto.DataType.FLOAT))
        .addNode(
            NodeProto.newBuilder()
                .setOpType("Unsqueeze")
                .addInput(PREFIX + "factor")
                .addInput(PREFIX + "axis")
                .addOutput(PREFIX + "factors"));
    List<NodeProto> nodes = new ArrayList<>();
    for (NodeProto node : graph.getNodeList()) {
      NodeProto.Builder maker = node.toBuilder();
      List<NodeProto> products = new ArrayList<>();
      for (int o = 0; o < node.getOutputCount(); o++) {
        String result = node.getOutput(o);
        if (results.contains(result)) {
          String whole = PREFIX + "whole/" + result;
          maker.setOutput(o, whole);
          products.add(
              NodeProto.newBuilder()
                  .setOpType("Mul")
                  .addInput(whole)
                  .addInput(PREFIX + "factors")
                  .addOutput(result)
                  .build());
        }
      }
      nodes.add(maker.build());
      nodes.addAll(products);
    }
    changed.addAllNode(nodes);
    ModelProto proto = ModelProto.newBuilder(model.proto()).setGraph(changed).build();
    return model.with(proto);
  }

  private static NodeProto cast(String from, String to, TensorProto.DataType type) {
    return NodeProto.newBuilder()
        .setOpType("Cast")
        .addInput(from)
        .addOutput(PREFIX + to)
        .addAttribute(
            AttributeProto.newBuilder()
                .setName("to")
                .setType(AttributeProto.AttributeType.INT)
                .setI(type.getNumber()))
        .build();
  }

  /** Says that data do not have the shape that skipping rests on. */
  static InvalidInputException otherShape(PaddingMask mask, String tensor, long[] shape) {
    return new InvalidInputException(
        "calibration: tensor '"
            + tensor
            + "' has shape "
            + Arrays.toString(shape)
            + ", whose first axes are not those of the padding mask '"
            + mask.input()
            + "', though they were for the first records; compile with --padding-mask none");
  }
}
