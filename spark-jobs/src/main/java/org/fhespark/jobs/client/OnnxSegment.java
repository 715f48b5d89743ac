package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.SegmentSpec;

/** A piece of the model that runs in clear in ONNX Runtime; safe to share between threads. */
final class OnnxSegment implements AutoCloseable {
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final String name;
  private final OrtSession session;
  private final List<String> inputs;
  private final List<String> outputs;
  private final OutputShapes shapes = new OutputShapes();

  /** A model with the inputs and outputs that it declares. */
  OnnxSegment(String name, byte[] model) {
    this(name, model, null, null);
  }

  /**
   * @param name what errors call it
   * @param model ONNX bytes
   * @throws InvalidInputException if ONNX Runtime refuses the model, or it has others
   */
  OnnxSegment(String name, byte[] model, List<String> inputs, List<String> outputs) {
    this.name = name;
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      // What fails is in the exception, and said once.
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      // Batches run side by side; one thread each keeps to the driver's cores.
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      // An arena keeps the most that its session ever used: too much for hundreds of sessions.
      options.setCPUArenaAllocator(false);
      // Fused quantised operators round otherwise than the model's own nodes.
      options.addConfigEntry("session.disable_quant_qdq", "1");
      this.session = environment.createSession(model, options);
      this.inputs = inputs != null ? inputs : List.copyOf(session.getInputNames());
      this.outputs = outputs != null ? outputs : List.copyOf(session.getOutputNames());
      if (!session.getInputNames().equals(Set.copyOf(this.inputs))
          || !session.getOutputNames().containsAll(this.outputs)) {
        session.close();
        throw new InvalidInputException(
            name + ": has other inputs or outputs than client.json says; compile the model again");
      }
    } catch (OrtException error) {
      throw new InvalidInputException(
          name + ": ONNX Runtime cannot load it: " + firstLine(error), error);
    }
  }

  /**
   * Opens the clear segments of a model.
   *
   * @param resources gets them
   * @return by the stage they run before
   */
  static Map<Integer, OnnxSegment> open(ClientArtifact client, Resources resources) {
    Map<Integer, OnnxSegment> segments = new HashMap<>();
    for (SegmentSpec segment : client.specs().segments()) {
      OnnxSegment opened =
          new OnnxSegment(
              segment.file(), client.segmentModel(segment), segment.inputs(), segment.outputs());
      segments.put(segment.stage(), resources.add(opened));
    }
    return segments;
  }

  /**
   * Runs a model of one input and one output on one tensor.
   *
   * @throws InvalidInputException if ONNX Runtime fails
   */
  Tensor apply(Tensor argument) {
    Map<String, Tensor> results = new HashMap<>();
    run(input -> argument, results::put);
    return results.get(outputs.get(0));
  }

  /** Tensors that it reads. */
  List<String> inputs() {
    return inputs;
  }

  /** Reads its inputs from the batch and puts its outputs there. */
  void run(Batch batch) {
    run(batch::tensor, batch::put);
  }

  private void run(Function<String, Tensor> arguments, BiConsumer<String, Tensor> results) {
    List<Tensor> tensors = inputs.stream().map(arguments).toList();
    Map<String, OnnxTensor> feeds = new HashMap<>();
    try {
      for (int i = 0; i < tensors.size(); i++) {
        feeds.put(inputs.get(i), tensors.get(i).toOnnx(environment));
      }
      List<Tensor> computed = compute(tensors, feeds);
      for (int i = 0; i < computed.size(); i++) {
        results.accept(outputs.get(i), computed.get(i));
      }
    } catch (OrtException error) {
      throw new InvalidInputException(
          name
              + ": ONNX Runtime failed on these records: "
              + firstLine(error)
              + "; correct the values that the node reads, indices out of range for instance",
          error);
    } finally {
      feeds.values().forEach(OnnxTensor::close);
    }
  }

  private List<Tensor> compute(List<Tensor> tensors, Map<String, OnnxTensor> feeds)
      throws OrtException {
    Optional<List<OutputShapes.Output>> expected = shapes.of(tensors);
    if (expected.isPresent()) {
      List<Tensor> places = expected.get().stream().map(OutputShapes.Output::allocate).toList();
      if (computeInto(places, feeds)) {
        return places;
      }
      shapes.giveUp();
      places.forEach(Tensor::release);
    }
    try (OrtSession.Result values = session.run(feeds)) {
      List<Tensor> computed = new ArrayList<>();
      for (String output : outputs) {
        OnnxValue value = values.get(output).orElseThrow();
        computed.add(Tensor.copyOf((OnnxTensor) value, output));
      }
      shapes.learn(tensors, computed);
      return computed;
    }
  }

  /** Whether the outputs were written to these tensors: not if they are of other shapes. */
  private boolean computeInto(List<Tensor> places, Map<String, OnnxTensor> feeds)
      throws OrtException {
    Map<String, OnnxTensor> pinned = new HashMap<>();
    try {
      for (int i = 0; i < places.size(); i++) {
        pinned.put(outputs.get(i), places.get(i).toOnnx(environment));
      }
      try (OrtSession.Result unused = session.run(feeds, pinned)) {
        return true;
      } catch (OrtException error) {
        return false;
      }
    } finally {
      pinned.values().forEach(OnnxTensor::close);
    }
  }

  private static String firstLine(OrtException error) {
    return error.getMessage().lines().findFirst().orElse("");
  }

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException error) {
      throw new IllegalStateException(name + " cannot be closed", error);
    }
  }
}
