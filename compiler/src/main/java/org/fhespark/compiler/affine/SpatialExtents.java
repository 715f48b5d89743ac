package org.fhespark.compiler.affine;

import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.fhespark.compiler.onnx.OnnxGraph;

/** The extents of images and signals, where the file says them. */
final class SpatialExtents {
  private final Map<String, TensorShapeProto> shapes = new HashMap<>();

  SpatialExtents(OnnxGraph graph) {
    Stream.concat(graph.proto().getValueInfoList().stream(), graph.proto().getInputList().stream())
        .filter(info -> info.getType().getTensorType().hasShape())
        .forEach(this::add);
  }

  private void add(ValueInfoProto info) {
    shapes.put(info.getName(), info.getType().getTensorType().getShape());
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
