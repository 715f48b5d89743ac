package org.fhespark.compiler.affine;

import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.fhespark.compiler.onnx.OnnxGraph;

/** The extents of tensors, where the file says them. */
final class DeclaredShapes {
  private final Map<String, TensorShapeProto> shapes = new HashMap<>();

  DeclaredShapes(OnnxGraph graph) {
    Stream.concat(graph.proto().getValueInfoList().stream(), graph.proto().getInputList().stream())
        .filter(info -> info.getType().getTensorType().hasShape())
        .forEach(this::add);
  }

  private void add(ValueInfoProto info) {
    shapes.put(info.getName(), info.getType().getTensorType().getShape());
  }

  /** Extent of the last axis, 0 where it is open or the file does not say. */
  long last(String tensor) {
    TensorShapeProto shape = shapes.get(tensor);
    return shape == null || shape.getDimCount() == 0
        ? 0
        : shape.getDim(shape.getDimCount() - 1).getDimValue();
  }

  /** Extents of the axes from 2, 0 where one is open; empty if the file does not say. */
  Optional<List<Long>> spatial(String tensor, int rank) {
    return Optional.ofNullable(shapes.get(tensor))
        .filter(shape -> shape.getDimCount() == rank)
        .map(
            shape ->
                shape.getDimList().stream()
                    .skip(2)
                    .map(TensorShapeProto.Dimension::getDimValue)
                    .toList());
  }
}
