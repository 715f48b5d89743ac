package org.fhespark.compiler;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;

/**
 * A PyTorch model exported by make_models.py, and what PyTorch itself computed: see there.
 *
 * @param inputs the recorded batch
 * @param outputs the model's outputs for it, by PyTorch
 * @param modules what named_modules() says
 * @param classes their classes' names
 * @param affine keys of the modules that are an affine function of what they read
 * @param folded BatchNorms that the exporter folded, and the module that each went into
 * @param linears weights and biases of the Linear modules that are called and that the exporter
 *     folded nothing into
 * @param calls what forward hooks saw of each call of a leaf module or an affine container
 */
public record RecordedModel(
    OnnxModel model,
    Map<String, BatchTensor> inputs,
    Map<String, float[]> outputs,
    List<String> modules,
    Map<String, String> classes,
    List<String> affine,
    Map<String, String> folded,
    Map<String, Linear> linears,
    List<Call> calls) {

  private static final String MODELS = "src/test/resources/models";

  /** A Linear module; the bias is null if there is none. */
  public record Linear(float[] weight, float[] bias, int dIn, int dOut) {}

  /** Inputs and output of a call, flattened; {@code input} is the first. */
  public record Call(String module, float[] input, float[] output, List<float[]> inputs) {}

  /** Models by both exporters whose Linears can each be cut out. */
  private static final List<String> BY_BOTH =
      List.of(
          "nested_sequential",
          "module_list",
          "module_dict",
          "shared_twice",
          "named_lin_1",
          "named_lin_1_once",
          "named_lin_1_no_bias",
          "residual",
          "rank3",
          "unfolded",
          "no_bias",
          "top_level_sequential",
          "layered",
          "conv",
          "only_linear",
          "functional",
          "shared_block",
          "transformer",
          "resnet",
          "linear_batch_norm",
          "containers",
          "conv_containers",
          "numbered_names",
          "bert",
          "llama",
          "external_data");

  /** Models whose Linears can each be cut out, by either exporter. */
  public static final List<String> PLAIN =
      Stream.of(
              BY_BOTH.stream(),
              BY_BOTH.stream().map(name -> "dynamo/" + name),
              Stream.of("opset13", "dynamo/opset23"))
          .flatMap(names -> names)
          .toList();

  /** Every model by the TorchScript and the Dynamo exporter, without quantised ones. */
  public static List<String> all() {
    return Stream.of("", "dynamo/").flatMap(RecordedModel::namesIn).toList();
  }

  private static Stream<String> namesIn(String folder) {
    String[] files = new File(MODELS + "/" + folder).list((dir, name) -> name.endsWith(".json"));
    return Arrays.stream(files).sorted().map(name -> folder + name.replace(".json", ""));
  }

  public static Path path(String name) {
    return new Path(MODELS + "/" + name + ".onnx");
  }

  public static RecordedModel load(String name) {
    try {
      JsonNode json = new ObjectMapper().readTree(new File(MODELS + "/" + name + ".json"));
      Map<String, BatchTensor> inputs = new LinkedHashMap<>();
      json.get("inputs").properties().forEach(e -> inputs.put(e.getKey(), batch(e.getValue())));
      Map<String, float[]> outputs = new LinkedHashMap<>();
      json.get("outputs").properties().forEach(e -> outputs.put(e.getKey(), floats(e.getValue())));
      List<String> modules = new ArrayList<>();
      json.get("modules").forEach(key -> modules.add(key.asText()));
      List<String> affine = new ArrayList<>();
      json.get("affine").forEach(key -> affine.add(key.asText()));
      Map<String, Linear> linears = new LinkedHashMap<>();
      json.get("linears")
          .properties()
          .forEach(
              e -> {
                JsonNode weight = e.getValue().get("weight");
                JsonNode bias = e.getValue().get("bias");
                linears.put(
                    e.getKey(),
                    new Linear(
                        floats(weight),
                        bias.isNull() ? null : floats(bias),
                        weight.get("shape").get(1).asInt(),
                        weight.get("shape").get(0).asInt()));
              });
      List<Call> calls = new ArrayList<>();
      json.get("calls")
          .forEach(
              call ->
                  calls.add(
                      new Call(
                          call.get("module").asText(),
                          floats(call.get("input")),
                          floats(call.get("output")),
                          inputs(call))));
      Map<String, String> folded = texts(json.get("folded"));
      linears.keySet().removeAll(folded.values());
      linears.keySet().retainAll(calls.stream().map(Call::module).toList());
      return new RecordedModel(
          OnnxModel.load(path(name), new Configuration()),
          inputs,
          outputs,
          modules,
          texts(json.get("classes")),
          affine,
          folded,
          linears,
          calls);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Map<String, String> texts(JsonNode object) {
    Map<String, String> texts = new LinkedHashMap<>();
    object.properties().forEach(e -> texts.put(e.getKey(), e.getValue().asText()));
    return texts;
  }

  private static List<float[]> inputs(JsonNode call) {
    if (!call.has("inputs")) {
      return List.of(floats(call.get("input")));
    }
    List<float[]> inputs = new ArrayList<>();
    call.get("inputs").forEach(input -> inputs.add(floats(input)));
    return inputs;
  }

  private static float[] floats(JsonNode tensor) {
    JsonNode values = tensor.get("values");
    float[] floats = new float[values.size()];
    IntStream.range(0, floats.length).forEach(i -> floats[i] = (float) values.get(i).asDouble());
    return floats;
  }

  private static BatchTensor batch(JsonNode tensor) {
    JsonNode values = tensor.get("values");
    long[] shape = new long[tensor.get("shape").size()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = tensor.get("shape").get(i).asLong();
    }
    if (values.get(0).isIntegralNumber()) {
      LongBuffer longs =
          ByteBuffer.allocateDirect(8 * values.size())
              .order(ByteOrder.nativeOrder())
              .asLongBuffer();
      values.forEach(value -> longs.put(value.asLong()));
      return BatchTensor.of(longs.flip(), shape);
    }
    FloatBuffer floats =
        ByteBuffer.allocateDirect(4 * values.size()).order(ByteOrder.nativeOrder()).asFloatBuffer();
    values.forEach(value -> floats.put((float) value.asDouble()));
    return BatchTensor.of(floats.flip(), shape);
  }

  /**
   * What hooks saw of the calls of a module, in order; the output is that of the BatchNorm that was
   * folded into it.
   */
  public List<Call> callsOf(String key) {
    List<Call> own = calls.stream().filter(call -> call.module().equals(key)).toList();
    for (Map.Entry<String, String> fold : folded.entrySet()) {
      if (fold.getValue().equals(key)) {
        List<Call> norms = callsOf(fold.getKey());
        return IntStream.range(0, own.size())
            .mapToObj(
                i -> new Call(key, own.get(i).input(), norms.get(i).output(), own.get(i).inputs()))
            .toList();
      }
    }
    return own;
  }

  public ModuleTree tree() {
    return ModuleTree.of(model);
  }

  public CalibrationBatch calibrationBatch() {
    return new CalibrationBatch(inputs);
  }

  /** The recorded batch as ONNX Runtime tensors. */
  public Map<String, OnnxTensor> tensors() throws OrtException {
    Map<String, OnnxTensor> tensors = new HashMap<>();
    for (Map.Entry<String, BatchTensor> input : inputs.entrySet()) {
      tensors.put(input.getKey(), input.getValue().toOnnxTensor(OrtEnvironment.getEnvironment()));
    }
    return tensors;
  }

  /** Runs an ONNX model on some of the given tensors and adds its outputs to them. */
  public static void runInto(byte[] model, Map<String, OnnxTensor> tensors) throws OrtException {
    try (OrtSession session = OrtEnvironment.getEnvironment().createSession(model)) {
      Map<String, OnnxTensor> inputs = new HashMap<>();
      session.getInputNames().forEach(name -> inputs.put(name, tensors.get(name)));
      OrtSession.Result result = session.run(inputs);
      result.forEach(output -> tensors.put(output.getKey(), (OnnxTensor) output.getValue()));
    }
  }

  public static float[] values(OnnxTensor tensor) {
    FloatBuffer buffer = tensor.getFloatBuffer();
    float[] values = new float[buffer.remaining()];
    buffer.get(values);
    return values;
  }
}
