package org.fhespark.compiler.affine;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.compiler.affine.SymbolicValue.Layout;
import org.fhespark.compiler.affine.SymbolicValue.Mapped;
import org.fhespark.compiler.affine.SymbolicValue.Other;
import org.fhespark.compiler.affine.SymbolicValue.Scaled;
import org.fhespark.compiler.artifact.Unfolding;
import org.fhespark.compiler.onnx.ConstantTensor;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;

/**
 * Evaluates nodes of a graph symbolically: every tensor that they make is an affine map of the rows
 * of one tensor that they are given, or is not, with a reason.
 *
 * <p>Ranks of tensors are rarely written in the file, so that what depends on them is taken on
 * trust here; calibration compares each map with what the float model computes.
 */
final class SymbolicEvaluation {
  /** An engine's accumulators are 32-bit: the sum of this many products u8 × s8 fits. */
  private static final long MOST_INPUTS = 65_000;

  private static final long MOST_OUTPUTS = 1 << 20;

  /** Weights of a grouped convolution with its zeros; more would rather be split by groups. */
  private static final long MOST_DENSE_WEIGHTS = 1L << 27;

  private static final Set<String> NON_LINEARITIES =
      Set.of(
          "Relu",
          "Sigmoid",
          "Tanh",
          "Softmax",
          "LogSoftmax",
          "Erf",
          "Gelu",
          "LeakyRelu",
          "Clip",
          "MaxPool",
          "LayerNormalization",
          "RMSNormalization",
          "InstanceNormalization",
          "GroupNormalization",
          "Sqrt",
          "Pow",
          "Exp",
          "Log",
          "Max",
          "Min",
          "Abs",
          "HardSwish",
          "HardSigmoid",
          "Elu",
          "Selu",
          "Celu",
          "PRelu",
          "Softplus",
          "Softsign",
          "Mish",
          "Swish",
          "ReduceMax",
          "ReduceMin",
          "ReduceL2",
          "Sin",
          "Cos",
          "Reciprocal",
          "QuantizeLinear",
          "DequantizeLinear",
          "GlobalMaxPool",
          "LpNormalization",
          "Sign",
          "Floor",
          "Ceil",
          "Round",
          "Where",
          "LSTM",
          "GRU",
          "RNN");

  private final OnnxGraph graph;
  private final Constants constants;
  private final DeclaredShapes declared;
  private final Map<String, SymbolicValue> values = new HashMap<>();
  private final Set<String> rearrangements = new HashSet<>();

  SymbolicEvaluation(OnnxGraph graph, Constants constants, DeclaredShapes declared) {
    this.graph = graph;
    this.constants = constants;
    this.declared = declared;
  }

  /** What is known of a tensor; one that no evaluated node makes stands for itself. */
  SymbolicValue value(String tensor) {
    return values.getOrDefault(tensor, Scaled.identity(tensor));
  }

  /** Evaluates a node, all its predecessors that matter before it. */
  void evaluate(int index) {
    NodeProto node = graph.node(index);
    SymbolicValue result = null;
    for (String read : graph.reads(index)) {
      if (!graph.isConstant(read) && value(read) instanceof Other other) {
        result = other;
      }
    }
    try {
      if (result == null) {
        result = apply(node);
      }
    } catch (NotAffine e) {
      result = new Other(index, e.getMessage());
    }
    for (String output : node.getOutputList()) {
      if (!output.isEmpty()) {
        values.put(output, result);
      }
    }
  }

  /** Ends the evaluation of a node. */
  private static final class NotAffine extends Exception {
    private static final long serialVersionUID = 1;

    NotAffine(String reason) {
      super(reason, null, false, false);
    }
  }

  private SymbolicValue apply(NodeProto node) throws NotAffine {
    return switch (node.getOpType()) {
      case "Identity" -> operand(node, 0);
      case "Dropout" -> dropout(node);
      case "Cast" -> cast(node);
      case "Neg" -> scaled(operand(node, 0), ChannelVector.of(-1));
      case "Add", "Sum" -> sum(node, 1);
      case "Sub" -> sum(node, -1);
      case "Mul" -> product(node);
      case "Div" -> quotient(node);
      case "Gemm" -> gemm(node);
      case "MatMul" -> matMul(node);
      case "Conv" -> convolution(node);
      case "BatchNormalization" -> batchNormalization(node);
      case "Reshape" -> reshape(node);
      case "Flatten", "Transpose", "Squeeze", "Unsqueeze" -> rearranged(node);
      case "Pad" -> pad(node);
      default ->
          throw new NotAffine(
              NON_LINEARITIES.contains(node.getOpType())
                  ? AffineRegions.NON_LINEARITY
                  : "a remote part is made of matrix products, convolutions and what scales or"
                      + " shifts their channels");
    };
  }

  private SymbolicValue operand(NodeProto node, int input) throws NotAffine {
    String tensor = node.getInput(input);
    if (graph.isConstant(tensor)) {
      throw new NotAffine("its operand " + input + " is no activation");
    }
    return value(tensor);
  }

  private static boolean has(NodeProto node, int input) {
    return node.getInputCount() > input && !node.getInput(input).isEmpty();
  }

  private static Optional<AttributeProto> attribute(NodeProto node, String name) {
    return node.getAttributeList().stream().filter(a -> a.getName().equals(name)).findFirst();
  }

  private SymbolicValue dropout(NodeProto node) throws NotAffine {
    if (has(node, 2)) {
      Optional<long[]> training = constants.integers(node.getInput(2));
      if (training.isEmpty() || training.get()[0] != 0) {
        throw new NotAffine("it drops values at random; export the model after model.eval()");
      }
    }
    return operand(node, 0);
  }

  private SymbolicValue cast(NodeProto node) throws NotAffine {
    long to = attribute(node, "to").map(AttributeProto::getI).orElse(0L);
    if (to != ai.onnx.proto.OnnxMl.TensorProto.DataType.FLOAT_VALUE) {
      throw new NotAffine("it changes the type; only float32 can be encrypted");
    }
    return operand(node, 0);
  }

  private static SymbolicValue scaled(SymbolicValue value, ChannelVector factor) {
    if (value instanceof Mapped mapped) {
      return mapped.with(mapped.map().scaled(factor));
    }
    Scaled scaled = (Scaled) value;
    return scaled.with(scaled.layout(), scaled.scale().times(factor), scaled.shift().times(factor));
  }

  private static SymbolicValue shifted(SymbolicValue value, ChannelVector addend) {
    if (value instanceof Mapped mapped) {
      return mapped.with(mapped.map().shifted(addend));
    }
    Scaled scaled = (Scaled) value;
    return scaled.with(scaled.layout(), scaled.scale(), scaled.shift().plus(addend));
  }

  private SymbolicValue sum(NodeProto node, int signOfOthers) throws NotAffine {
    SymbolicValue sum = null;
    int sign = 1;
    // Activations first: a constant's axes are understood by what it is added to.
    for (String input : node.getInputList()) {
      if (!graph.isConstant(input)) {
        SymbolicValue term = sign < 0 ? scaled(value(input), ChannelVector.of(sign)) : value(input);
        sum = sum == null ? term : sum(sum, term);
      }
      sign = signOfOthers;
    }
    sign = 1;
    for (String input : node.getInputList()) {
      if (graph.isConstant(input)) {
        PerChannel addend = perChannel(sum, input);
        sum =
            shifted(
                addend.target,
                sign < 0 ? addend.vector.times(ChannelVector.of(sign)) : addend.vector);
      }
      sign = signOfOthers;
    }
    return sum;
  }

  private static SymbolicValue sum(SymbolicValue a, SymbolicValue b) throws NotAffine {
    if (a instanceof Mapped first && b instanceof Mapped second) {
      requireOneSource(first.source(), second.source());
      if (!java.util.Objects.equals(first.unfolding(), second.unfolding())
          || first.map().dIn() != second.map().dIn()
          || first.map().dOut() != second.map().dOut()) {
        throw new NotAffine("it adds what was made of different rows");
      }
      return first.with(first.map().plus(second.map()));
    }
    if (a instanceof Scaled first && b instanceof Scaled second) {
      requireOneSource(first.source(), second.source());
      if (!first.padding().equals(second.padding())
          || (first.layout() != second.layout()
              && first.layout() != Layout.UNKNOWN
              && second.layout() != Layout.UNKNOWN)) {
        throw new NotAffine("it adds what was made of different rows");
      }
      Layout layout = first.layout() == Layout.UNKNOWN ? second.layout() : first.layout();
      return first.with(
          layout, first.scale().plus(second.scale()), first.shift().plus(second.shift()));
    }
    Mapped mapped = (Mapped) (a instanceof Mapped ? a : b);
    Scaled skip = (Scaled) (a instanceof Mapped ? b : a);
    requireOneSource(mapped.source(), skip.source());
    int width = mapped.map().dIn();
    if (mapped.unfolding() != null
        || skip.layout() == Layout.SECOND
        || width != mapped.map().dOut()
        || !skip.scale().fits(width)
        || !skip.shift().fits(width)) {
      throw new NotAffine("it adds what was made of different rows");
    }
    return mapped.with(mapped.map().plus(AffineMap.diagonal(width, skip.scale(), skip.shift())));
  }

  private static void requireOneSource(String a, String b) throws NotAffine {
    if (!a.equals(b)) {
      throw new NotAffine("it joins two activations, '" + a + "' and '" + b + "'");
    }
  }

  private SymbolicValue product(NodeProto node) throws NotAffine {
    int constant = graph.isConstant(node.getInput(1)) ? 1 : 0;
    if (!graph.isConstant(node.getInput(constant))) {
      throw new NotAffine("it multiplies two activations");
    }
    PerChannel factor = perChannel(value(node.getInput(1 - constant)), node.getInput(constant));
    return scaled(factor.target, factor.vector);
  }

  private SymbolicValue quotient(NodeProto node) throws NotAffine {
    if (!graph.isConstant(node.getInput(1))) {
      throw new NotAffine("it divides by an activation");
    }
    PerChannel divisor = perChannel(operand(node, 0), node.getInput(1));
    return scaled(divisor.target, divisor.vector.inverse());
  }

  /**
   * A constant beside an activation.
   *
   * @param target the activation, its layout as the constant shows it
   */
  private record PerChannel(SymbolicValue target, ChannelVector vector) {}

  private PerChannel perChannel(SymbolicValue value, String name) throws NotAffine {
    Optional<ConstantTensor> found = constants.floats(name);
    if (found.isEmpty()) {
      throw new NotAffine("its operand '" + name + "' is not float32");
    }
    ConstantTensor constant = found.get();
    List<Long> shape = constant.shape();
    if (constant.elements() == 1) {
      return new PerChannel(value, ChannelVector.of(constant.values()));
    }
    int axis = -1;
    for (int i = 0; i < shape.size(); i++) {
      if (shape.get(i) != 1) {
        if (axis >= 0) {
          axis = shape.size();
          break;
        }
        axis = i;
      }
    }
    int fromEnd = shape.size() - 1 - axis;
    if (!fits(value, constant.elements(), fromEnd)) {
      throw new NotAffine(
          "its operand '" + name + "' of shape " + shape + " is not a number for each channel");
    }
    SymbolicValue target =
        value instanceof Scaled scaled
            ? scaled.with(
                fromEnd == 0 ? Layout.LAST : Layout.SECOND, scaled.scale(), scaled.shift())
            : value;
    return new PerChannel(target, ChannelVector.of(constant.values()));
  }

  private static boolean fits(SymbolicValue value, long elements, int axisFromEnd) {
    if (value instanceof Mapped mapped) {
      int channelAxis = mapped.unfolding() == null ? 0 : mapped.unfolding().kernel().size();
      return elements == mapped.map().dOut() && axisFromEnd == channelAxis;
    }
    Layout layout = ((Scaled) value).layout();
    return axisFromEnd == 0 ? layout != Layout.SECOND : axisFromEnd > 0 && layout != Layout.LAST;
  }

  private SymbolicValue gemm(NodeProto node) throws NotAffine {
    float alpha = attribute(node, "alpha").map(AttributeProto::getF).orElse(1f);
    float beta = attribute(node, "beta").map(AttributeProto::getF).orElse(1f);
    if (attribute(node, "transA").map(AttributeProto::getI).orElse(0L) != 0) {
      throw new NotAffine("it transposes the activations");
    }
    boolean outputMajor = attribute(node, "transB").map(AttributeProto::getI).orElse(0L) != 0;
    SymbolicValue result = matrixProduct(node, outputMajor);
    if (alpha != 1) {
      result = scaled(result, ChannelVector.of(alpha));
    }
    if (!has(node, 2) || beta == 0) {
      return result;
    }
    if (!graph.isConstant(node.getInput(2))) {
      return sum(result, scaled(value(node.getInput(2)), ChannelVector.of(beta)));
    }
    PerChannel bias = perChannel(result, node.getInput(2));
    return shifted(result, beta == 1 ? bias.vector : bias.vector.times(ChannelVector.of(beta)));
  }

  private SymbolicValue matMul(NodeProto node) throws NotAffine {
    return matrixProduct(node, false);
  }

  private SymbolicValue matrixProduct(NodeProto node, boolean outputMajor) throws NotAffine {
    String weight = node.getInput(1);
    if (!graph.isConstant(weight)) {
      throw new NotAffine(
          graph.isConstant(node.getInput(0))
              ? "it multiplies by the weights from the left"
              : "it multiplies two activations");
    }
    SymbolicValue input = operand(node, 0);
    Optional<ConstantTensor> matrix =
        constants.floats(weight).filter(constant -> constant.shape().size() == 2);
    if (matrix.isEmpty()) {
      throw new NotAffine("its weight '" + weight + "' is no float32 matrix");
    }
    ConstantTensor rows = outputMajor ? matrix.get() : matrix.get().transposed();
    long dOut = rows.shape().get(0);
    long dIn = rows.shape().get(1);
    requireSize(dIn, dOut);
    AffineMap map =
        AffineMap.product(
            (int) dIn,
            (int) dOut,
            rows::values,
            IntegerConstant.of(graph, constants, weight)
                .flatMap(integers -> integers.matrix(outputMajor)),
            weight);
    if (input instanceof Mapped mapped) {
      if (mapped.unfolding() != null) {
        throw new NotAffine("a matrix product over the last axis follows a convolution");
      }
      if (mapped.map().dOut() != dIn) {
        throw new NotAffine("its rows are not those of the product before it");
      }
      return mapped.with(map.after(mapped.map(), 1));
    }
    Scaled scaled = (Scaled) input;
    if (!scaled.padding().isEmpty()) {
      throw new NotAffine("its input is padded");
    }
    requireChannels(scaled, dIn);
    return new Mapped(scaled.source(), null, map.after(scaled.scale(), scaled.shift(), 1));
  }

  private static void requireSize(long dIn, long dOut) throws NotAffine {
    if (dIn < 1 || dIn > MOST_INPUTS || dOut < 1 || dOut > MOST_OUTPUTS) {
      throw new NotAffine(
          "it is "
              + dIn
              + " x "
              + dOut
              + ", the most is "
              + MOST_INPUTS
              + " x "
              + MOST_OUTPUTS
              + "; keep it in clear");
    }
  }

  private static void requireChannels(Scaled scaled, long channels) throws NotAffine {
    if (!scaled.scale().fits((int) channels) || !scaled.shift().fits((int) channels)) {
      throw new NotAffine("what scales its input is not a number for each of " + channels);
    }
  }

  private SymbolicValue convolution(NodeProto node) throws NotAffine {
    String weight = node.getInput(1);
    Optional<ConstantTensor> kernels =
        constants.floats(weight).filter(constant -> constant.shape().size() >= 3);
    if (kernels.isEmpty()) {
      throw new NotAffine("its weight '" + weight + "' is no float32 constant");
    }
    SymbolicValue input = operand(node, 0);
    List<Long> shape = kernels.get().shape();
    List<Integer> padding = input instanceof Scaled scaled ? scaled.padding() : List.of();
    Convolution convolution =
        Convolution.of(node, shape, padding, declared.spatial(node.getInput(0), shape.size()));
    if (convolution.refusal() != null) {
      throw new NotAffine("it " + convolution.refusal());
    }
    Unfolding unfolding = convolution.unfolding();
    int groups = convolution.groups();
    int dOut = Math.toIntExact(shape.get(0));
    long dIn = shape.stream().skip(1).reduce((long) groups, Math::multiplyExact);
    requireSize(dIn, dOut);
    if (groups > 1 && dIn * dOut > MOST_DENSE_WEIGHTS) {
      throw new NotAffine(
          "with the zeros between its "
              + groups
              + " groups it has "
              + dIn * dOut
              + " weights, the most is "
              + MOST_DENSE_WEIGHTS
              + "; keep it in clear");
    }
    ConstantTensor constant = kernels.get();
    AffineMap map =
        AffineMap.product(
            (int) dIn,
            dOut,
            () -> Convolution.dense(constant.values(), dOut, groups),
            IntegerConstant.of(graph, constants, weight).flatMap(i -> i.kernels(dOut, groups)),
            weight);
    Mapped result = convolved(input, unfolding, map);
    return has(node, 2) ? shifted(result, vector(node.getInput(2), dOut)) : result;
  }

  private static Mapped convolved(SymbolicValue input, Unfolding unfolding, AffineMap map)
      throws NotAffine {
    int positions = unfolding.rowValues() / unfolding.channels();
    if (input instanceof Scaled scaled) {
      if (scaled.layout() == Layout.LAST) {
        throw new NotAffine("what scales its input is not a number for each channel");
      }
      requireChannels(scaled, unfolding.channels());
      if (!scaled.shift().isZero() && Convolution.isPadded(unfolding)) {
        throw new NotAffine("its input is shifted and then padded with zeros");
      }
      return new Mapped(
          scaled.source(), unfolding, map.after(scaled.scale(), scaled.shift(), positions));
    }
    Mapped inner = (Mapped) input;
    if (inner.unfolding() == null
        || inner.unfolding().kernel().size() != unfolding.kernel().size()
        || inner.map().dOut() != unfolding.channels()) {
      throw new NotAffine("a convolution follows a matrix product over the last axis");
    }
    if (Convolution.hasOnePosition(unfolding)) {
      return new Mapped(
          inner.source(),
          Convolution.strided(inner.unfolding(), unfolding.strides()),
          map.after(inner.map(), 1));
    }
    if (Convolution.isPointwise(inner.unfolding())
        && !(inner.map().hasShift() && Convolution.isPadded(unfolding))) {
      requireSize((long) inner.map().dIn() * positions, map.dOut());
      return new Mapped(
          inner.source(),
          new Unfolding(
              inner.map().dIn(),
              unfolding.kernel(),
              unfolding.strides(),
              unfolding.padsBegin(),
              unfolding.padsEnd(),
              unfolding.dilations()),
          map.after(inner.map(), positions));
    }
    throw new NotAffine(
        "it convolves what another convolution made; only 1x1 kernels merge with others");
  }

  private ChannelVector vector(String name, int channels) throws NotAffine {
    Optional<ConstantTensor> constant =
        constants.floats(name).filter(found -> found.elements() == channels);
    if (constant.isEmpty()) {
      throw new NotAffine(
          "its operand '"
              + name
              + "' is no constant vector of float32"
              + (channels > 0 ? ", of " + channels + " elements" : ""));
    }
    return ChannelVector.of(constant.get().values());
  }

  private SymbolicValue batchNormalization(NodeProto node) throws NotAffine {
    if (attribute(node, "training_mode").map(AttributeProto::getI).orElse(0L) != 0) {
      throw new NotAffine("it normalises by the batch; export the model after model.eval()");
    }
    SymbolicValue input = operand(node, 0);
    int channels =
        constants
            .floats(node.getInput(1))
            .map(constant -> Math.toIntExact(constant.elements()))
            .orElse(0);
    double epsilon = attribute(node, "epsilon").map(AttributeProto::getF).orElse(1e-5f);
    double[] gamma = vector(node.getInput(1), channels).values();
    double[] beta = vector(node.getInput(2), channels).values();
    double[] mean = vector(node.getInput(3), channels).values();
    double[] variance = vector(node.getInput(4), channels).values();
    double[] factor = new double[channels];
    double[] addend = new double[channels];
    for (int i = 0; i < channels; i++) {
      factor[i] = gamma[i] / Math.sqrt(variance[i] + epsilon);
      addend[i] = beta[i] - mean[i] * factor[i];
    }
    if (input instanceof Mapped mapped && mapped.map().dOut() != channels) {
      throw new NotAffine("it normalises another axis than that of the product before it");
    }
    // Axis 1 is the last one of what a Linear reads, and the channels of a convolution: of an
    // input that nothing has been done to, either may follow.
    return shifted(scaled(input, new ChannelVector(factor)), new ChannelVector(addend));
  }

  private SymbolicValue reshape(NodeProto node) throws NotAffine {
    SymbolicValue input = operand(node, 0);
    Optional<long[]> target = constants.integers(node.getInput(1));
    long last =
        target.filter(axes -> axes.length > 0).map(axes -> axes[axes.length - 1]).orElse(-1L);
    if (input instanceof Mapped mapped) {
      boolean keepsRows =
          mapped.unfolding() == null
              && !rearrangements.contains(mapped.source())
              && (last <= 0 || last == mapped.map().dOut());
      return keepsRows ? input : rearranged(node);
    }
    Scaled scaled = (Scaled) input;
    long extent = declared.last(node.getInput(0));
    if (scaled.isIdentity() && extent > 0 && last > 0 && extent != last) {
      return rearranged(node);
    }
    if (scaled.layout() == Layout.SECOND || !scaled.padding().isEmpty()) {
      throw new NotAffine("it rearranges channels");
    }
    return scaled.with(Layout.LAST, scaled.scale(), scaled.shift());
  }

  /**
   * What only moves values stays in clear: before the first product it makes the tensor that is
   * sent, after the last one it reads the result.
   */
  private SymbolicValue rearranged(NodeProto node) throws NotAffine {
    SymbolicValue input = operand(node, 0);
    if (input instanceof Mapped) {
      return Scaled.identity(node.getInput(0));
    }
    if (!((Scaled) input).isIdentity()) {
      throw new NotAffine("it rearranges values that were scaled, shifted or padded before");
    }
    rearrangements.add(node.getOutput(0));
    // Behind a product nothing but the end of the region may follow, see AffineRegions.
    return value(((Scaled) input).source()) instanceof Mapped
        ? input
        : Scaled.identity(node.getOutput(0));
  }

  private SymbolicValue pad(NodeProto node) throws NotAffine {
    boolean zeros =
        attribute(node, "mode")
                .map(a -> a.getS().toStringUtf8())
                .orElse("constant")
                .equals("constant")
            && (!has(node, 2)
                || constants
                    .floats(node.getInput(2))
                    .filter(c -> c.elements() == 1 && c.values()[0] == 0)
                    .isPresent());
    Optional<long[]> pads = constants.integers(node.getInput(1));
    if (!zeros || pads.isEmpty() || has(node, 3)) {
      throw new NotAffine("only constant padding with zeros can be part of a convolution");
    }
    if (!(operand(node, 0) instanceof Scaled scaled)
        || scaled.layout() == Layout.LAST
        || !scaled.shift().isZero()
        || !scaled.padding().isEmpty()) {
      throw new NotAffine("only what a convolution reads can be padded");
    }
    int rank = pads.get().length / 2;
    List<Integer> spatial = new ArrayList<>();
    for (int i = 0; i < 2 * rank; i++) {
      int pad = Math.toIntExact(pads.get()[i]);
      if (i % rank >= 2) {
        spatial.add(pad);
      } else if (pad != 0) {
        throw new NotAffine("it pads other axes than the spatial ones");
      }
      if (pad < 0) {
        throw new NotAffine("it has negative padding");
      }
    }
    return new Scaled(scaled.source(), Layout.SECOND, scaled.scale(), scaled.shift(), spatial);
  }
}
