package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.nativelib.SecretKeyShape;

/**
 * What client.json holds.
 *
 * @param formatVersion {@link ArtifactJson#FORMAT_VERSION}
 * @param modelDigest SHA-256 of the ONNX model, in hexadecimal
 * @param inputs the model's inputs, in order
 * @param outputs the model's outputs, in order
 * @param paddingMask the model's input, {@code [batch, sequence]}, that is 0 where a sequence is
 *     padded; null if there is none
 * @param segments the clear segments, by stage
 * @param remote the calls of remote modules, by stage
 * @param secretKeyShapes the distinct shapes of secret keys that they need
 * @param log2PError log2 of the probability of a wrong accumulator that was asked for
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record ClientSpecs(
    int formatVersion,
    String modelDigest,
    List<TensorSpec> inputs,
    List<TensorSpec> outputs,
    String paddingMask,
    List<SegmentSpec> segments,
    List<RemoteCallSpec> remote,
    List<SecretKeyShape> secretKeyShapes,
    double log2PError) {
  public ClientSpecs {
    inputs = List.copyOf(inputs);
    outputs = List.copyOf(outputs);
    segments = List.copyOf(segments);
    remote = List.copyOf(remote);
    secretKeyShapes = List.copyOf(secretKeyShapes);
  }
}
