package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.WireFormat;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.OptionalLong;
import java.util.Set;
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

  /** Newest operator set of the standard that this ONNX Runtime knows. */
  private static final long NEWEST_OPSET = 23;

  private static final Set<String> STANDARD = Set.of("", "ai.onnx");

  /** Operators that ONNX Runtime has besides the standard's. */
  private static final Set<String> OTHER_DOMAINS = Set.of("ai.onnx.ml", "com.microsoft");

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
   *     truncated, has an operator set before 13 or unknown, defines functions, uses operators that
   *     ONNX Runtime lacks or sparse weights, or lacks external data
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
              + ": defines local functions; export it with export_modules_as_functions=False, and"
              + " with torch 2.6 or later if dynamo=True");
    }
    checkNodes(file, proto);
    MessageDigest digest = Sha256.digest();
    digest.update(bytes);
    ModelProto complete = new ExternalData(file, path, files, digest).readInto(proto);
    OnnxModel model = new OnnxModel(file, complete, HexFormat.of().formatHex(digest.digest()));
    model.checkOrder();
    return model;
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
    OptionalLong standard =
        proto.getOpsetImportList().stream()
            .filter(opset -> STANDARD.contains(opset.getDomain()))
            .mapToLong(OperatorSetIdProto::getVersion)
            .min();
    if (standard.isEmpty()) {
      throw new InvalidInputException(
          file + ": names no ONNX operator set; export it with torch.onnx.export");
    }
    long version = standard.getAsLong();
    if (version < OLDEST_OPSET || version > NEWEST_OPSET) {
      throw new InvalidInputException(
          file
              + ": operator set "
              + version
              + (version < OLDEST_OPSET
                  ? " is too old; export it with opset_version=" + OLDEST_OPSET + " or later"
                  : " is not known yet; export it with opset_version=" + NEWEST_OPSET));
    }
  }

  private static void checkNodes(String file, ModelProto proto) {
    for (NodeProto node : proto.getGraph().getNodeList()) {
      if (!STANDARD.contains(node.getDomain()) && !OTHER_DOMAINS.contains(node.getDomain())) {
        throw new InvalidInputException(
            file
                + ": node '"
                + node.getName()
                + "' uses operator "
                + node.getOpType()
                + " of '"
                + node.getDomain()
                + "', which ONNX Runtime does not have; export the model without custom operators");
      }
    }
    if (proto.getGraph().getSparseInitializerCount() > 0) {
      throw new InvalidInputException(
          file
              + ": tensor '"
              + proto.getGraph().getSparseInitializer(0).getValues().getName()
              + "' is stored sparse; export the model with dense weights");
    }
  }

  /** Everything that walks the graph relies on it that no tensor comes of itself. */
  private void checkOrder() {
    Set<String> made = new HashSet<>();
    proto.getGraph().getInputList().forEach(input -> made.add(input.getName()));
    proto.getGraph().getInitializerList().forEach(tensor -> made.add(tensor.getName()));
    for (int index = 0; index < graph.nodeCount(); index++) {
      NodeProto node = graph.node(index);
      for (String tensor : graph.reads(index)) {
        if (!made.contains(tensor)) {
          throw outOfOrder(node, "reads tensor '" + tensor + "' before anything makes it");
        }
      }
      for (String tensor : node.getOutputList()) {
        if (!tensor.isEmpty() && !made.add(tensor)) {
          throw outOfOrder(node, "makes tensor '" + tensor + "', which is there already");
        }
      }
    }
  }

  private InvalidInputException outOfOrder(NodeProto node, String what) {
    return new InvalidInputException(
        file + ": node '" + node.getName() + "' " + what + "; export the model again");
  }

  /** The file's name, for messages. */
  public String file() {
    return file;
  }

  /** The same model with other contents. */
  public OnnxModel with(ModelProto contents) {
    return new OnnxModel(file, contents, digest);
  }

  /** As the file has it, with weights of files beside it. */
  public ModelProto proto() {
    return proto;
  }

  /** Its main graph. */
  public OnnxGraph graph() {
    return graph;
  }

  /** SHA-256 of the file and of the external data it refers to, in hexadecimal. */
  public String digest() {
    return digest;
  }
}
