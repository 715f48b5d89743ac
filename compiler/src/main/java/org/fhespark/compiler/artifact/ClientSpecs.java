package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import org.fhespark.InvalidInputException;
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
 * @param paddingSides where padding need not be computed; behind if the file does not say
 * @param segments the clear segments, by stage
 * @param remote the calls of remote modules, by stage
 * @param secretKeyShapes the distinct shapes of secret keys that they need
 * @param lweDimensions the distinct LWE dimensions that look-ups need secret keys of
 * @param evaluationKeys the distinct evaluation keys that circuits need
 * @param log2PError log2 of the probability of a wrong accumulator that was asked for
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record ClientSpecs(
    int formatVersion,
    String modelDigest,
    List<TensorSpec> inputs,
    List<TensorSpec> outputs,
    String paddingMask,
    List<PaddingSide> paddingSides,
    List<SegmentSpec> segments,
    List<RemoteCallSpec> remote,
    List<SecretKeyShape> secretKeyShapes,
    List<Integer> lweDimensions,
    List<EvaluationKeySpec> evaluationKeys,
    double log2PError) {
  public ClientSpecs {
    if (modelDigest == null) {
      throw new IllegalArgumentException("no model digest");
    }
    inputs = List.copyOf(inputs);
    paddingSides = paddingSides == null ? List.of(PaddingSide.BEHIND) : List.copyOf(paddingSides);
    outputs = List.copyOf(outputs);
    segments = List.copyOf(segments);
    remote = List.copyOf(remote);
    secretKeyShapes = List.copyOf(secretKeyShapes);
    // Those of models without look-ups may lack both.
    lweDimensions = lweDimensions == null ? List.of() : List.copyOf(lweDimensions);
    evaluationKeys = evaluationKeys == null ? List.of() : List.copyOf(evaluationKeys);
  }

  /** The distinct degrees of rings that leveled circuits need secret keys of. */
  public int[] ringDegrees() {
    return evaluationKeys.stream()
        .filter(key -> key.leveled() != null)
        .mapToInt(key -> key.leveled().polynomialSize())
        .distinct()
        .toArray();
  }

  /**
   * Checks that every tensor is made before it is read, and one segment runs at a time.
   *
   * @param file for messages
   * @throws InvalidInputException naming a tensor or segment of which this is not so
   */
  void requireComplete(String file) {
    Set<String> made = new HashSet<>();
    inputs.forEach(input -> made.add(input.name()));
    if (paddingMask != null) {
      requireMade(file, made, paddingMask);
    }
    SortedMap<Integer, SegmentSpec> segmentByStage = new TreeMap<>();
    for (SegmentSpec segment : segments) {
      if (segmentByStage.put(segment.stage(), segment) != null) {
        throw incomplete(file, "stage " + segment.stage() + " has two segments");
      }
    }
    SortedSet<Integer> stages = new TreeSet<>(segmentByStage.keySet());
    remote.forEach(call -> stages.add(call.stage()));
    for (int stage : stages) {
      SegmentSpec segment = segmentByStage.get(stage);
      if (segment != null) {
        segment.inputs().forEach(tensor -> requireMade(file, made, tensor));
        made.addAll(segment.outputs());
      }
      List<RemoteCallSpec> calls = remote.stream().filter(call -> call.stage() == stage).toList();
      calls.forEach(call -> requireMade(file, made, call.input()));
      calls.forEach(call -> call.outputs().forEach(output -> made.add(output.tensor())));
    }
    outputs.forEach(output -> requireMade(file, made, output.name()));
  }

  private static void requireMade(String file, Set<String> made, String tensor) {
    if (!made.contains(tensor)) {
      throw incomplete(file, "tensor '" + tensor + "' is read before anything makes it");
    }
  }

  private static InvalidInputException incomplete(String file, String what) {
    return new InvalidInputException(file + ": " + what + "; compile the model again");
  }
}
