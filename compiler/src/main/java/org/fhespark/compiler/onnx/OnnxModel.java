package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.compiler.storage.Sha256;
import org.fhespark.compiler.storage.UnusablePath;

/** An ONNX model in memory, with its external data read in. */
public final class OnnxModel {
  /** Oldest operator set whose Gemm, MatMul and Add mean what this compiler assumes. */
  private static final long OLDEST_OPSET = 13;

  private static final long NEWEST_PLAUSIBLE_IR_VERSION = 100;

  /** Protocol buffers end at 2 GiB; this leaves 16 MiB for the graph itself. */
  private static final long LARGEST_MODEL = (1L << 31) - (1L << 24);

  private final String file;
  private final ModelProto proto;
  private final String digest;
  private final OnnxGraph graph;

  private OnnxModel(String file, ModelProto proto, String digest) {
    this.file = file;
    this.proto = proto;
    this.digest = digest;
    this.graph = new OnnxGraph(proto.getGraph());
  }

  /**
   * Reads a model and the external data beside it.
   *
   * @throws InvalidInputException if the file is missing or cannot be read, is no ONNX model, is
   *     truncated, has an operator set before 13, defines functions, or lacks external data
   */
  public static OnnxModel load(Path path, Configuration configuration) {
    try {
      return read(path, configuration);
    } catch (IOException | FSError e) {
      throw UnusablePath.reading(path, e);
    }
  }

  private static OnnxModel read(Path path, Configuration configuration) throws IOException {
    FileStore files = FileStore.of(path, configuration);
    byte[] bytes = files.read(path);
    String file = path.getName();
    ModelProto proto = parse(file, bytes);
    checkOpset(file, proto);
    if (proto.getFunctionsCount() > 0) {
      throw new InvalidInputException(
          file
              + ": defines local functions; export it with export_modules_as_functions=False and"
              + " dynamo=False");
    }
    MessageDigest digest = Sha256.digest();
    digest.update(bytes);
    ModelProto complete = new ExternalData(file, path, files, digest).readInto(proto);
    return new OnnxModel(file, complete, HexFormat.of().formatHex(digest.digest()));
  }

  private static ModelProto parse(String file, byte[] bytes) {
    ModelProto proto;
    try {
      proto = ModelProto.parseFrom(bytes);
    } catch (InvalidProtocolBufferException e) {
      throw new InvalidInputException(
          startsLikeOnnx(bytes)
              ? file + ": truncated or damaged after " + bytes.length + " bytes; export it again"
              : file + ": not an ONNX file",
          e);
    }
    if (!proto.hasGraph() || proto.getOpsetImportCount() == 0) {
      throw new InvalidInputException(
          startsLikeOnnx(bytes)
              ? file + ": truncated: it ends before the graph is complete; export it again"
              : file + ": not an ONNX file");
    }
    return proto;
  }

  /** Exporters write ir_version, field 1, first. */
  private static boolean startsLikeOnnx(byte[] bytes) {
    CodedInputStream in = CodedInputStream.newInstance(bytes);
    try {
      int tag = in.readTag();
      if (tag != (ModelProto.IR_VERSION_FIELD_NUMBER << 3 | WireFormat.WIRETYPE_VARINT)) {
        return false;
      }
      long version = in.readInt64();
      return version >= 1 && version <= NEWEST_PLAUSIBLE_IR_VERSION;
    } catch (IOException e) {
      return false;
    }
  }

  private static void checkOpset(String file, ModelProto proto) {
    for (OperatorSetIdProto opset : proto.getOpsetImportList()) {
      boolean standard = opset.getDomain().isEmpty() || opset.getDomain().equals("ai.onnx");
      if (standard && opset.getVersion() < OLDEST_OPSET) {
        throw new InvalidInputException(
            file
                + ": operator set "
                + opset.getVersion()
                + " is too old; export it with opset_version="
                + OLDEST_OPSET
                + " or later");
      }
    }
  }

  /** The file's name, for messages. */
  public String file() {
    return file;
  }

  /** The same model with other contents. */
  public OnnxModel with(ModelProto contents) {
    return new OnnxModel(file, contents, digest);
  }

  public ModelProto proto() {
    return proto;
  }

  public OnnxGraph graph() {
    return graph;
  }

  /** SHA-256 of the file and of the external data it refers to, in hexadecimal. */
  public String digest() {
    return digest;
  }

  /** Reads the tensors that a model keeps in files beside it. */
  private static final class ExternalData {
    private final String file;
    private final Path model;
    private final FileStore files;
    private final MessageDigest digest;
    private final Map<String, byte[]> read = new HashMap<>();
    private long total;

    ExternalData(String file, Path model, FileStore files, MessageDigest digest) {
      this.file = file;
      this.model = model;
      this.files = files;
      this.digest = digest;
    }

    ModelProto readInto(ModelProto proto) throws IOException {
      GraphProto.Builder graph = null;
      for (int i = 0; i < proto.getGraph().getInitializerCount(); i++) {
        TensorProto tensor = proto.getGraph().getInitializer(i);
        if (tensor.getDataLocation() == TensorProto.DataLocation.EXTERNAL) {
          graph = graph == null ? proto.getGraph().toBuilder() : graph;
          graph.setInitializer(i, read(tensor));
        }
      }
      return graph == null ? proto : proto.toBuilder().setGraph(graph).build();
    }

    private TensorProto read(TensorProto tensor) throws IOException {
      Map<String, String> entries = new HashMap<>();
      for (StringStringEntryProto entry : tensor.getExternalDataList()) {
        entries.put(entry.getKey(), entry.getValue());
      }
      String location = entries.getOrDefault("location", "");
      if (location.isEmpty()
          || location.startsWith("/")
          || List.of(location.split("[/\\\\]")).contains("..")) {
        throw new InvalidInputException(
            file
                + ": tensor '"
                + tensor.getName()
                + "' keeps its data at '"
                + location
                + "', expected a file beside the model");
      }
      byte[] bytes = read.get(location);
      if (bytes == null) {
        Path data = new Path(model.getParent(), location);
        if (!files.exists(data)) {
          throw new InvalidInputException(
              file
                  + ": external data "
                  + data
                  + " (tensor '"
                  + tensor.getName()
                  + "') is missing; put it beside the model");
        }
        bytes = files.read(data);
        digest.update(bytes);
        read.put(location, bytes);
      }
      try {
        long offset = Long.parseLong(entries.getOrDefault("offset", "0"));
        long length =
            Long.parseLong(entries.getOrDefault("length", String.valueOf(bytes.length - offset)));
        if (offset < 0 || length < 0 || offset > bytes.length - length) {
          throw new InvalidInputException(
              file
                  + ": external data '"
                  + location
                  + "' holds "
                  + bytes.length
                  + " bytes, tensor '"
                  + tensor.getName()
                  + "' is at "
                  + offset
                  + " + "
                  + length
                  + "; the file is truncated or of another model");
        }
        total += length;
        if (total > LARGEST_MODEL) {
          throw new InvalidInputException(
              file + ": its weights take 2 GiB or more; models of that size cannot be compiled");
        }
        return tensor.toBuilder()
            .clearExternalData()
            .clearDataLocation()
            .setRawData(ByteString.copyFrom(bytes, (int) offset, (int) length))
            .build();
      } catch (NumberFormatException e) {
        throw new InvalidInputException(
            file
                + ": tensor '"
                + tensor.getName()
                + "' has no readable offset and length of its external data; export it again",
            e);
      }
    }
  }
}
