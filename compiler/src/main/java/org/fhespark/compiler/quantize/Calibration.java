package org.fhespark.compiler.quantize;

import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.split.RemoteCall;

/** Runs the float model on calibration data and looks at what enters the remote modules. */
public final class Calibration {
  private Calibration() {}

  /**
   * Statistics of the input of each remote call, by the input tensor's name.
   *
   * @param exposed the model with those tensors exposed
   * @param data batches, read once
   * @throws InvalidInputException if there is no record, an input is missing from a batch, ONNX
   *     Runtime refuses a batch, or an activation is infinite or not a number
   */
  public static Map<String, ActivationStatistics> run(
      OnnxModel model,
      ExposedModel exposed,
      List<RemoteCall> calls,
      Iterable<CalibrationBatch> data) {
    Map<String, Integer> widths = new LinkedHashMap<>();
    calls.forEach(call -> widths.put(call.call().input(), call.call().dIn()));
    Map<String, ActivationStatistics> statistics = new LinkedHashMap<>();
    widths.keySet().forEach(tensor -> statistics.put(tensor, new ActivationStatistics()));
    Set<String> modelInputs = new LinkedHashSet<>();
    model.graph().inputs().stream().map(ValueInfoProto::getName).forEach(modelInputs::add);
    Set<String> inner = new LinkedHashSet<>(widths.keySet());
    inner.removeAll(modelInputs);
    for (CalibrationBatch batch : data) {
      Map<String, OnnxTensor> inputs = new HashMap<>();
      try {
        for (String name : modelInputs) {
          BatchTensor tensor = batch.inputs().get(name);
          if (tensor == null) {
            throw new InvalidInputException(
                "calibration data: no column for input '" + name + "' of " + model.file());
          }
          inputs.put(name, tensor.toOnnxTensor(OrtEnvironment.getEnvironment()));
        }
        for (String name : widths.keySet()) {
          if (modelInputs.contains(name)) {
            statistics.get(name).add(name, floats(inputs.get(name)), widths.get(name));
          }
        }
        if (!inner.isEmpty()) {
          try (OrtSession.Result result = exposed.run(inputs, inner)) {
            for (String name : inner) {
              OnnxTensor value = (OnnxTensor) result.get(name).orElseThrow();
              statistics.get(name).add(name, floats(value), widths.get(name));
            }
          }
        }
      } catch (OrtException e) {
        throw new InvalidInputException(
            "calibration data: ONNX Runtime refuses a batch: " + e.getMessage(), e);
      } finally {
        inputs.values().forEach(OnnxTensor::close);
      }
    }
    statistics.forEach(
        (tensor, seen) -> {
          if (seen.records() == 0) {
            throw new InvalidInputException(
                "calibration data: no record reaches tensor '"
                    + tensor
                    + "'; give at least one, better a few hundred");
          }
        });
    return statistics;
  }

  private static FloatBuffer floats(OnnxTensor tensor) {
    FloatBuffer values = tensor.getFloatBuffer();
    if (values == null) {
      throw new InvalidInputException(
          "calibration: the input of a remote module is "
              + tensor.getInfo().type
              + "; only float32 can be encrypted");
    }
    return values;
  }
}
