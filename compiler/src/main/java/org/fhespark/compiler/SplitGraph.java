package org.fhespark.compiler;

import ai.onnxruntime.TensorInfo;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.LongStream;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.SegmentSpec;
import org.fhespark.compiler.onnx.TensorSpec;

/**
 * The split model as a graph: what runs where, and which tensors pass between.
 *
 * @param nodes in the order they run
 * @param edges by the node that reads
 */
public record SplitGraph(List<Node> nodes, List<Edge> edges) {
  public SplitGraph {
    nodes = List.copyOf(nodes);
    edges = List.copyOf(edges);
  }

  /** What a node is. */
  public enum Kind {
    /** An input of the model. */
    INPUT,
    /** A clear segment, which runs at the client. */
    CLEAR,
    /** A call of a remote circuit. */
    REMOTE,
    /** An output of the model. */
    OUTPUT
  }

  /**
   * Something that makes or reads tensors.
   *
   * @param kind what it is
   * @param stage of a clear segment or a remote call; -1 of others
   * @param name the tensor of an input or output, a segment's file, a circuit's name
   * @param modules keys of a circuit's modules; empty of others
   */
  public record Node(Kind kind, int stage, String name, List<String> modules) {
    public Node {
      modules = List.copyOf(modules);
    }
  }

  /**
   * A tensor that one node makes and another reads.
   *
   * @param from index of the node that makes it
   * @param to index of a node that reads it
   * @param tensor its name
   * @param type its element type
   * @param shape batch axis included; -1 for open axes
   */
  public record Edge(int from, int to, String tensor, String type, List<Long> shape) {
    public Edge {
      shape = List.copyOf(shape);
    }
  }

  /** The graph of what client.json says, with the types of the tensors it names. */
  static SplitGraph of(ClientSpecs specs, Function<String, TensorInfo> types) {
    List<Node> nodes = new ArrayList<>();
    List<List<String>> reads = new ArrayList<>();
    Map<String, Integer> makers = new LinkedHashMap<>();
    for (TensorSpec input : specs.inputs()) {
      makers.put(input.name(), nodes.size());
      nodes.add(new Node(Kind.INPUT, -1, input.name(), List.of()));
      reads.add(List.of());
    }
    int stages =
        1
            + Math.max(
                specs.segments().stream().mapToInt(SegmentSpec::stage).max().orElse(-1),
                specs.remote().stream().mapToInt(RemoteCallSpec::stage).max().orElse(-1));
    for (int stage = 0; stage < stages; stage++) {
      for (SegmentSpec segment : specs.segments()) {
        if (segment.stage() == stage) {
          segment.outputs().forEach(tensor -> makers.put(tensor, nodes.size()));
          nodes.add(new Node(Kind.CLEAR, stage, segment.file(), List.of()));
          reads.add(segment.inputs());
        }
      }
      for (RemoteCallSpec call : specs.remote()) {
        if (call.stage() == stage) {
          call.outputs().forEach(output -> makers.put(output.tensor(), nodes.size()));
          List<String> modules = call.outputs().stream().map(CallOutput::module).toList();
          nodes.add(new Node(Kind.REMOTE, stage, call.circuit(), modules));
          reads.add(List.of(call.input()));
        }
      }
    }
    for (TensorSpec output : specs.outputs()) {
      nodes.add(new Node(Kind.OUTPUT, -1, output.name(), List.of()));
      reads.add(List.of(output.name()));
    }
    List<Edge> edges = new ArrayList<>();
    for (int to = 0; to < nodes.size(); to++) {
      for (String tensor : reads.get(to)) {
        Integer from = makers.get(tensor);
        if (from == null) {
          // A constant that no segment hands out: nothing passes between nodes.
          continue;
        }
        TensorInfo type = types.apply(tensor);
        edges.add(
            new Edge(
                from,
                to,
                tensor,
                type.type.name(),
                LongStream.of(type.getShape()).boxed().toList()));
      }
    }
    return new SplitGraph(nodes, edges);
  }
}
