package org.fhespark.jobs.client;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import com.google.protobuf.InvalidProtocolBufferException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.SegmentSpec;
import org.fhespark.compiler.onnx.TensorSpec;

/**
 * An output of a model that is a remote module's, so that sums of results are sums of it.
 *
 * @param output the model's
 * @param call which of the model's remote calls makes it
 * @param first column of the call's results
 * @param columns their number
 */
record SummedOutput(TensorSpec output, int call, int first, int columns) {
  /**
   * The outputs of a model.
   *
   * @throws InvalidInputException naming the module that results cannot be added of, or behind
   *     which something is computed in clear
   */
  static List<SummedOutput> of(ClientArtifact client) {
    ClientSpecs specs = client.specs();
    List<RemoteCallSpec> calls = specs.remote();
    for (RemoteCallSpec call : calls) {
      requireSums(call, calls.get(calls.size() - 1));
    }
    List<SummedOutput> outputs = new ArrayList<>();
    Map<String, String> copies = copies(client);
    for (TensorSpec output : specs.outputs()) {
      String tensor = output.name();
      while (copies.containsKey(tensor)) {
        tensor = copies.get(tensor);
      }
      outputs.add(find(output, tensor, calls));
    }
    return outputs;
  }

  /** Tensors that clear segments make of others without changing them. */
  private static Map<String, String> copies(ClientArtifact client) {
    Map<String, String> copies = new HashMap<>();
    for (SegmentSpec segment : client.specs().segments()) {
      try {
        for (NodeProto node :
            ModelProto.parseFrom(client.segmentModel(segment)).getGraph().getNodeList()) {
          if (node.getOpType().equals("Identity")) {
            copies.put(node.getOutput(0), node.getInput(0));
          }
        }
      } catch (InvalidProtocolBufferException error) {
        throw new InvalidInputException(
            client.folder() + "/" + segment.file() + ": is no ONNX model; compile the model again",
            error);
      }
    }
    return copies;
  }

  private static void requireSums(RemoteCallSpec call, RemoteCallSpec last) {
    String module = "module " + call.circuit() + ": ";
    if (call.stage() != last.stage()) {
      throw new InvalidInputException(
          module
              + "module "
              + last.circuit()
              + " comes behind it, and sums come of one round only; compile with the last one"
              + " remote and the others in clear");
    }
    if (!call.isPacked()) {
      throw new InvalidInputException(
          module
              + "only results of linear modules can be added; keep its non-linearities in clear");
    }
    if (call.unfolding() != null) {
      throw new InvalidInputException(
          module
              + "a convolution makes many rows of a record, and sums are of rows; keep it in clear");
    }
    if (call.parameters().summands() < 2) {
      throw new InvalidInputException(
          module + "it was not compiled for sums; compile with --sums M, for groups of M blocks");
    }
  }

  private static SummedOutput find(TensorSpec output, String tensor, List<RemoteCallSpec> calls) {
    for (int call = 0; call < calls.size(); call++) {
      int first = 0;
      for (CallOutput made : calls.get(call).outputs()) {
        if (made.tensor().equals(tensor)) {
          return new SummedOutput(output, call, first, made.columns());
        }
        first += made.columns();
      }
    }
    throw new InvalidInputException(
        "output '"
            + output.name()
            + "' is computed in clear behind module "
            + calls.get(calls.size() - 1).circuit()
            + ", and the sum of it is not what comes of sums; export the model with that module's"
            + " result as output, or score the records and add in clear");
  }
}
