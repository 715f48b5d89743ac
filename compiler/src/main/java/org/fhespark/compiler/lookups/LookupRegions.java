package org.fhespark.compiler.lookups;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import org.fhespark.compiler.lookups.LookupRegion.Activation;
import org.fhespark.compiler.lookups.LookupRegion.Maximum;
import org.fhespark.compiler.lookups.LookupRegion.Step;
import org.fhespark.compiler.onnx.Constants;
import org.fhespark.compiler.onnx.OnnxGraph;
import org.fhespark.compiler.onnx.OnnxModel;

/** Finds the parts of a graph that look-ups can compute. */
public final class LookupRegions {
  private static final Set<String> PRODUCTS = Set.of("Gemm", "MatMul", "Conv", "ConvTranspose");

  /** Operators that are affine in their activations, if all else they read is constant. */
  private static final Set<String> AFFINE =
      Set.of(
          "Gemm",
          "MatMul",
          "Conv",
          "ConvTranspose",
          "BatchNormalization",
          "AveragePool",
          "GlobalAveragePool",
          "ReduceMean",
          "ReduceSum",
          "Reshape",
          "Flatten",
          "Squeeze",
          "Unsqueeze",
          "Transpose",
          "Pad",
          "Concat",
          "Slice",
          "Split",
          "Gather",
          "DepthToSpace",
          "SpaceToDepth");

  /** Functions of single values, whatever else they read being constant numbers. */
  private static final Set<String> FUNCTIONS =
      Set.of(
          "Relu",
          "LeakyRelu",
          "Clip",
          "Sigmoid",
          "Tanh",
          "Erf",
          "Gelu",
          "QuickGelu",
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
          "ThresholdedRelu",
          "Exp",
          "Pow",
          "Sqrt",
          "Sin",
          "Cos",
          "Max",
          "Min");

  private static final Set<String> MAXIMA = Set.of("MaxPool", "GlobalMaxPool", "ReduceMax");

  private final OnnxGraph graph;
  private final Constants constants;
  private final IntPredicate isShapeArithmetic;

  /**
   * A finder.
   *
   * @param isShapeArithmetic whether a node computes shapes and not values
   */
  public LookupRegions(OnnxModel model, IntPredicate isShapeArithmetic) {
    this.graph = model.graph();
    this.constants = new Constants(model);
    this.isShapeArithmetic = isShapeArithmetic;
  }

  /**
   * What a set of nodes is.
   *
   * @param region what they compute, if look-ups can; null if they cannot
   * @param refusal one clause that says why not, otherwise
   */
  public record Found(LookupRegion region, String refusal) {}

  /** Ends the search. */
  private static final class Refusal extends Exception {
    private static final long serialVersionUID = 1;

    Refusal(String reason) {
      super(reason, null, false, false);
    }
  }

  /**
   * What nodes of a module compute.
   *
   * @param nodes those that compute values, in order
   */
  public Found of(Collection<Integer> nodes) {
    try {
      return new Found(new Search(nodes).region(), "");
    } catch (Refusal refusal) {
      return new Found(null, refusal.getMessage());
    }
  }

  /**
   * Whether a node is QuantizeLinear, DequantizeLinear, or a Clip between them, with one scale for
   * all values.
   */
  static boolean isFakeQuantisation(OnnxGraph graph, int index) {
    NodeProto node = graph.node(index);
    if (node.getOpType().equals("Clip")) {
      int producer = graph.producer(node.getInput(0));
      return producer >= 0 && graph.node(producer).getOpType().equals("QuantizeLinear");
    }
    return node.getOpType().equals("QuantizeLinear") || node.getOpType().equals("DequantizeLinear");
  }

  /** One set of nodes. */
  private final class Search {
    private final Set<Integer> members = new HashSet<>();
    private final Map<String, Elementwise> values = new HashMap<>();
    private final Map<String, Step> steps = new LinkedHashMap<>();
    private final Set<String> sources = new LinkedHashSet<>();

    /** Quantised forms of what the region reads: their nodes stay in clear. */
    private final Set<String> quantisedSources = new HashSet<>();

    private boolean hasProduct;

    /**
     * A tensor each of whose values is a function of the value of another tensor in the same place.
     *
     * @param argument the other tensor
     * @param isAffine whether that function is affine, as far as its operators tell
     */
    private record Elementwise(String argument, boolean isAffine) {}

    private Search(Collection<Integer> nodes) throws Refusal {
      for (int node : nodes) {
        if (!isOfSource(node)) {
          members.add(node);
          evaluate(node);
        }
      }
    }

    /** Whether a node quantises what the region reads. */
    private boolean isOfSource(int index) {
      NodeProto node = graph.node(index);
      if (!isFakeQuantisation(graph, index)) {
        return false;
      }
      String read = node.getInput(0);
      if (graph.isConstant(read)
          || (values.containsKey(read) && !quantisedSources.contains(read))) {
        return false;
      }
      if (!node.getOpType().equals("DequantizeLinear")) {
        quantisedSources.add(node.getOutput(0));
      }
      return true;
    }

    private void evaluate(int index) throws Refusal {
      NodeProto node = graph.node(index);
      String operator = node.getOpType();
      List<String> reads = graph.reads(index).stream().filter(this::isActivation).toList();
      if (reads.isEmpty()) {
        throw refusal(node, "it reads no activation");
      }
      hasProduct |= PRODUCTS.contains(operator);
      Optional<Elementwise> elementwise = elementwise(index, reads);
      if (elementwise.isPresent()) {
        values.put(node.getOutput(0), elementwise.get());
      } else if (MAXIMA.contains(operator) || operator.equals("Max")) {
        if (node.getOutputCount() > 1 && !node.getOutput(1).isEmpty()) {
          throw refusal(node, "it makes the places of its maxima too");
        }
        if (reads.size() < node.getInputCount() && operator.equals("Max")) {
          throw refusal(node, "it compares with a constant for each channel");
        }
        for (String read : reads) {
          take(read);
        }
        String result = node.getOutput(0);
        steps.put(result, new Maximum(index, reads, result));
        values.put(result, new Elementwise(result, true));
      } else {
        requireAffine(node, reads);
        for (String read : reads) {
          take(read);
        }
        for (String output : node.getOutputList()) {
          if (!output.isEmpty()) {
            values.put(output, new Elementwise(output, true));
          }
        }
      }
    }

    private boolean isActivation(String tensor) {
      int producer = graph.producer(tensor);
      return !graph.isConstant(tensor) && (producer < 0 || !isShapeArithmetic.test(producer));
    }

    private Elementwise value(String tensor) {
      Elementwise known = values.get(tensor);
      if (known != null) {
        return known;
      }
      sources.add(tensor);
      return new Elementwise(tensor, true);
    }

    /** What a node makes, if that is a function of one tensor's single values. */
    private Optional<Elementwise> elementwise(int index, List<String> reads) throws Refusal {
      NodeProto node = graph.node(index);
      String operator = node.getOpType();
      List<String> arguments = reads.stream().map(read -> value(read).argument).distinct().toList();
      boolean isAffine = reads.stream().allMatch(read -> value(read).isAffine);
      if (arguments.size() != 1) {
        return Optional.empty();
      }
      if (isFakeQuantisation(graph, index)) {
        requireNumbers(node, "it quantises with a scale for each channel");
        return Optional.of(new Elementwise(arguments.get(0), isAffine));
      }
      boolean hasNumbers = node.getInputList().stream().allMatch(this::isNumber);
      return switch (operator) {
        case "Identity", "Neg", "Dropout" ->
            Optional.of(new Elementwise(arguments.get(0), isAffine));
        case "Cast" -> {
          requireFloat(node);
          yield Optional.of(new Elementwise(arguments.get(0), isAffine));
        }
        case "Add", "Sub", "Sum" ->
            hasNumbers
                ? Optional.of(new Elementwise(arguments.get(0), isAffine))
                : Optional.empty();
        case "Mul" -> {
          boolean squares = activations(node) > 1;
          yield hasNumbers
              ? Optional.of(new Elementwise(arguments.get(0), isAffine && !squares))
              : Optional.empty();
        }
        case "Div" -> {
          boolean divides = isActivation(node.getInput(1));
          yield hasNumbers
              ? Optional.of(new Elementwise(arguments.get(0), isAffine && !divides))
              : Optional.empty();
        }
        default -> {
          if (!FUNCTIONS.contains(operator)) {
            yield Optional.empty();
          }
          requireNumbers(node, "what it reads beside activations is not a number for all channels");
          yield Optional.of(new Elementwise(arguments.get(0), false));
        }
      };
    }

    private long activations(NodeProto node) {
      return node.getInputList().stream().filter(this::isActivation).count();
    }

    /** Whether an operand is an activation, absent, or a constant with one element. */
    private boolean isNumber(String tensor) {
      return tensor.isEmpty() || isActivation(tensor) || elements(tensor) == 1;
    }

    private void requireNumbers(NodeProto node, String refusal) throws Refusal {
      if (!node.getInputList().stream().allMatch(this::isNumber)) {
        throw refusal(node, refusal);
      }
    }

    private void requireFloat(NodeProto node) throws Refusal {
      for (AttributeProto attribute : node.getAttributeList()) {
        if (attribute.getName().equals("to")
            && attribute.getI() != TensorProto.DataType.FLOAT_VALUE) {
          throw refusal(node, "it changes the type; only float32 can be encrypted");
        }
      }
    }

    private void requireAffine(NodeProto node, List<String> reads) throws Refusal {
      switch (node.getOpType()) {
        case "Add", "Sub", "Sum" -> {}
        case "Mul" -> {
          if (activations(node) > 1) {
            throw refusal(node, "it multiplies two activations");
          }
        }
        case "Div" -> {
          if (isActivation(node.getInput(1))) {
            throw refusal(node, "it divides by an activation");
          }
        }
        case "MatMul", "Gemm", "Conv", "ConvTranspose" -> {
          if (isActivation(node.getInput(0)) == isActivation(node.getInput(1))) {
            throw refusal(node, "it multiplies two activations");
          }
        }
        default -> {
          if (!AFFINE.contains(node.getOpType())) {
            throw refusal(
                node, "look-ups compute affine operators, functions of single values and maxima");
          }
          boolean joins = node.getOpType().equals("Concat");
          if (!joins && (reads.size() != 1 || !reads.get(0).equals(node.getInput(0)))) {
            throw refusal(node, "an operand beside its first is an activation");
          }
        }
      }
    }

    /** Ends a function of single values where something else than one reads it. */
    private void take(String tensor) {
      Elementwise value = value(tensor);
      if (!value.isAffine) {
        steps.putIfAbsent(tensor, new Activation(value.argument, tensor));
        values.put(tensor, new Elementwise(tensor, true));
      }
    }

    private LookupRegion region() throws Refusal {
      if (!hasProduct) {
        throw new Refusal("holds no product by weights: there is nothing to hide or to save");
      }
      Set<String> outputs = new LinkedHashSet<>();
      for (int node : members) {
        for (String tensor : graph.node(node).getOutputList()) {
          if (!tensor.isEmpty() && isReadOutside(tensor)) {
            outputs.add(tensor);
          }
        }
      }
      if (outputs.size() != 1) {
        throw new Refusal(
            outputs.isEmpty()
                ? "makes nothing that is read"
                : "makes several tensors that others read, '"
                    + String.join("', '", new TreeSet<>(outputs))
                    + "'; a remote part makes one");
      }
      String output = outputs.iterator().next();
      take(output);
      if (steps.isEmpty()) {
        throw new Refusal("has no non-linearity");
      }
      return closed(output);
    }

    private boolean isReadOutside(String tensor) {
      return graph.outputNames().contains(tensor)
          || graph.consumers(tensor).stream()
              .anyMatch(reader -> !members.contains(reader) && !isShapeArithmetic.test(reader));
    }

    /** The region with all nodes between its input and its output, and no others. */
    private LookupRegion closed(String output) throws Refusal {
      TreeSet<Integer> all = new TreeSet<>();
      TreeSet<Integer> computing = new TreeSet<>();
      Set<String> read = new LinkedHashSet<>();
      Set<String> foreign = new LinkedHashSet<>();
      List<String> pending = new ArrayList<>(List.of(output));
      while (!pending.isEmpty()) {
        String tensor = pending.remove(pending.size() - 1);
        int producer = graph.producer(tensor);
        if (graph.isConstant(tensor)) {
          continue;
        }
        if (producer >= 0 && (members.contains(producer) || isShapeArithmetic.test(producer))) {
          if (all.add(producer)) {
            if (members.contains(producer)) {
              computing.add(producer);
            }
            pending.addAll(graph.reads(producer));
          }
        } else if (sources.contains(tensor)) {
          read.add(tensor);
        } else {
          foreign.add(tensor);
        }
      }
      foreign.removeAll(read);
      if (read.size() != 1) {
        throw new Refusal(
            "reads several tensors, '"
                + String.join("', '", new TreeSet<>(read))
                + "'; a remote part reads one");
      }
      if (!foreign.isEmpty()) {
        throw new Refusal(
            "takes its shape from '" + foreign.iterator().next() + "', which is not its input");
      }
      Set<String> weights = new LinkedHashSet<>();
      for (int node : computing) {
        if (PRODUCTS.contains(graph.node(node).getOpType())) {
          graph.node(node).getInputList().stream()
              .limit(2)
              .filter(graph::isConstant)
              .forEach(weights::add);
        }
      }
      return new LookupRegion(
          List.copyOf(all),
          List.copyOf(computing),
          read.iterator().next(),
          output,
          steps.values().stream()
              .filter(step -> computing.contains(graph.producer(step.result())))
              .toList(),
          weights);
    }

    private Refusal refusal(NodeProto node, String reason) {
      return new Refusal(
          "contains "
              + node.getOpType()
              + " at node "
              + (node.getName().isEmpty() ? "'" + node.getOutput(0) + "'" : node.getName())
              + ": "
              + reason);
    }
  }

  /** Elements of a constant. */
  private long elements(String tensor) {
    TensorProto initializer = graph.initializers().get(tensor);
    if (initializer != null) {
      return initializer.getDimsList().stream().reduce(1L, Math::multiplyExact);
    }
    return constants
        .floats(tensor)
        .map(constant -> constant.elements())
        .or(() -> constants.integers(tensor).map(values -> (long) values.length))
        .orElse(2L);
  }
}
