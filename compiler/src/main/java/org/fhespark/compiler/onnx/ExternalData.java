package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.UnsafeByteOperations;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;

/**
 * The tensors that a model keeps in files beside it. Each is read on its own, so that no file is in
 * memory twice.
 */
final class ExternalData {
  /** Protocol buffers end at 2 GiB; this leaves 16 MiB for the graph itself. */
  private static final long LARGEST_MODEL = (1L << 31) - (1L << 24);

  /** Bytes an element of the types that a model's weights have. */
  private static final Map<Integer, Integer> ELEMENT_BYTES =
      Map.of(
          TensorProto.DataType.FLOAT_VALUE, 4,
          TensorProto.DataType.FLOAT16_VALUE, 2,
          TensorProto.DataType.DOUBLE_VALUE, 8,
          TensorProto.DataType.INT8_VALUE, 1,
          TensorProto.DataType.UINT8_VALUE, 1,
          TensorProto.DataType.INT32_VALUE, 4,
          TensorProto.DataType.INT64_VALUE, 8);

  private final String file;
  private final Path model;
  private final FileStore files;
  private final MessageDigest digest;
  private final Map<String, Long> lengths = new HashMap<>();
  private long total;

  /**
   * Data of one model.
   *
   * @param digest takes in what is read, in the order of the tensors
   */
  ExternalData(String file, Path model, FileStore files, MessageDigest digest) {
    this.file = file;
    this.model = model;
    this.files = files;
    this.digest = digest;
  }

  /**
   * The model with all of its tensors inside.
   *
   * @throws InvalidInputException if a tensor's data is not in a file beside the model, its file is
   *     missing or too short, its length is not what its shape asks for, or all together take 2 GiB
   */
  ModelProto readInto(ModelProto proto) throws IOException {
    GraphProto graph = complete(proto.getGraph());
    return graph == proto.getGraph() ? proto : proto.toBuilder().setGraph(graph).build();
  }

  private GraphProto complete(GraphProto graph) throws IOException {
    Map<Integer, TensorProto> initializers = new TreeMap<>();
    for (int i = 0; i < graph.getInitializerCount(); i++) {
      if (isExternal(graph.getInitializer(i))) {
        initializers.put(i, read(graph.getInitializer(i), graph.getInitializer(i).getName()));
      }
    }
    Map<Integer, NodeProto> nodes = new TreeMap<>();
    for (int i = 0; i < graph.getNodeCount(); i++) {
      NodeProto complete = complete(graph.getNode(i));
      if (complete != graph.getNode(i)) {
        nodes.put(i, complete);
      }
    }
    if (initializers.isEmpty() && nodes.isEmpty()) {
      return graph;
    }
    GraphProto.Builder builder = graph.toBuilder();
    initializers.forEach(builder::setInitializer);
    nodes.forEach(builder::setNode);
    return builder.build();
  }

  /** Constant nodes hold tensors too, and bodies of If and Loop hold graphs. */
  private NodeProto complete(NodeProto node) throws IOException {
    Map<Integer, AttributeProto> attributes = new TreeMap<>();
    for (int i = 0; i < node.getAttributeCount(); i++) {
      AttributeProto attribute = node.getAttribute(i);
      if (attribute.hasT() && isExternal(attribute.getT())) {
        TensorProto tensor = read(attribute.getT(), node.getOutput(0));
        attributes.put(i, attribute.toBuilder().setT(tensor).build());
      } else if (attribute.hasG()) {
        GraphProto body = complete(attribute.getG());
        if (body != attribute.getG()) {
          attributes.put(i, attribute.toBuilder().setG(body).build());
        }
      }
    }
    if (attributes.isEmpty()) {
      return node;
    }
    NodeProto.Builder builder = node.toBuilder();
    attributes.forEach(builder::setAttribute);
    return builder.build();
  }

  private static boolean isExternal(TensorProto tensor) {
    return tensor.getDataLocation() == TensorProto.DataLocation.EXTERNAL;
  }

  private TensorProto read(TensorProto tensor, String name) throws IOException {
    Map<String, String> entries = new HashMap<>();
    for (StringStringEntryProto entry : tensor.getExternalDataList()) {
      entries.put(entry.getKey(), entry.getValue());
    }
    String location = entries.getOrDefault("location", "");
    if (!isBesideTheModel(location)) {
      throw new InvalidInputException(
          file
              + ": tensor '"
              + name
              + "' keeps its data at '"
              + location
              + "', expected a file beside the model");
    }
    Path data = new Path(model.getParent(), location);
    long held = heldBy(data, location, name);
    long offset = number(entries, "offset", 0, name);
    long length = number(entries, "length", held - offset, name);
    if (offset < 0 || length < 0 || offset > held - length) {
      throw new InvalidInputException(
          file
              + ": external data '"
              + location
              + "' holds "
              + held
              + " bytes, tensor '"
              + name
              + "' is at "
              + offset
              + " + "
              + length
              + "; the file is truncated or of another model");
    }
    checkLength(tensor, name, location, length);
    total += length;
    if (total > LARGEST_MODEL) {
      throw new InvalidInputException(
          file + ": its weights take 2 GiB or more; models of that size cannot be compiled");
    }
    byte[] bytes = files.read(data, offset, Math.toIntExact(length));
    digest.update(bytes);
    return tensor.toBuilder()
        .clearExternalData()
        .clearDataLocation()
        .setRawData(UnsafeByteOperations.unsafeWrap(bytes))
        .build();
  }

  /** A relative path that leads nowhere else: no folder above, no other file system. */
  private static boolean isBesideTheModel(String location) {
    Set<String> parts = new HashSet<>(List.of(location.split("[/\\\\]", -1)));
    return !location.contains(":") && !parts.contains("..") && !parts.contains("");
  }

  private long heldBy(Path data, String location, String name) throws IOException {
    Long known = lengths.get(location);
    if (known == null) {
      if (!files.exists(data) || files.isFolder(data)) {
        throw new InvalidInputException(
            file
                + ": external data "
                + data
                + " (tensor '"
                + name
                + "') is missing; put it beside the model");
      }
      known = files.length(data);
      lengths.put(location, known);
    }
    return known;
  }

  private long number(Map<String, String> entries, String key, long otherwise, String name) {
    try {
      return entries.containsKey(key) ? Long.parseLong(entries.get(key)) : otherwise;
    } catch (NumberFormatException e) {
      throw new InvalidInputException(
          file
              + ": tensor '"
              + name
              + "' has no readable "
              + key
              + " of its external data; export it again",
          e);
    }
  }

  private void checkLength(TensorProto tensor, String name, String location, long length) {
    Integer elementBytes = ELEMENT_BYTES.get(tensor.getDataType());
    if (elementBytes == null) {
      return;
    }
    long expected = elementBytes;
    for (long axis : tensor.getDimsList()) {
      expected = axis >= 0 && expected <= LARGEST_MODEL ? expected * axis : -1;
    }
    if (expected != length) {
      throw new InvalidInputException(
          file
              + ": tensor '"
              + name
              + "' of shape "
              + tensor.getDimsList()
              + " has "
              + length
              + " bytes in '"
              + location
              + "' instead of "
              + expected
              + "; the file is of another model");
    }
  }
}
