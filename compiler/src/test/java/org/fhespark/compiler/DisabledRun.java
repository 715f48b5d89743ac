package org.fhespark.compiler;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Map;
import java.util.stream.LongStream;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.SegmentSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.quantize.Windows;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.PackedCircuit;

/** A compiled model, run as its artefacts say: clear segments, and circuits on clear integers. */
public final class DisabledRun {
  private final ClientArtifact client;
  private final ServerArtifact server;
  private final boolean simulates;

  public DisabledRun(ClientArtifact client, ServerArtifact server) {
    this(client, server, false);
  }

  /**
   * A run.
   *
   * @param simulates whether look-ups have the noise that is predicted
   */
  public DisabledRun(ClientArtifact client, ServerArtifact server, boolean simulates) {
    this.client = client;
    this.server = server;
    this.simulates = simulates;
  }

  /** Adds every tensor that the artefacts name to the inputs. */
  public void run(Map<String, OnnxTensor> tensors) throws OrtException {
    int stages =
        client.specs().remote().stream().mapToInt(RemoteCallSpec::stage).max().orElse(-1) + 1;
    for (int stage = 0; stage <= stages; stage++) {
      for (SegmentSpec segment : client.specs().segments()) {
        if (segment.stage() == stage) {
          RecordedModel.runInto(client.segmentModel(segment), tensors);
        }
      }
      for (RemoteCallSpec call : client.specs().remote()) {
        if (call.stage() == stage) {
          evaluate(call, tensors);
        }
      }
    }
  }

  private void evaluate(RemoteCallSpec call, Map<String, OnnxTensor> tensors) throws OrtException {
    if (call.hasLookups()) {
      evaluateLookups(call, tensors);
      return;
    }
    OnnxTensor input = tensors.get(call.input());
    FloatBuffer values = input.getFloatBuffer();
    long[] shape = input.getInfo().getShape();
    Windows windows = call.unfolding() == null ? null : new Windows(call.unfolding(), shape);
    int rows = windows == null ? values.remaining() / call.dIn() : Math.toIntExact(windows.count());
    float[] results = new float[rows * call.dOut()];
    float[] row = new float[call.dIn()];
    try (PackedCircuit circuit = PackedCircuit.open(server.circuit(call.circuit()))) {
      for (int r = 0; r < rows; r++) {
        if (windows == null) {
          values.get(values.position() + r * row.length, row);
        } else {
          windows.read(values, r, row);
        }
        if (!call.skipsPadding() || isReal(tensors, r)) {
          evaluate(call, circuit, row, results, r * call.dOut());
        }
      }
    }
    int positions = windows == null ? 1 : (int) (rows / shape[0]);
    int from = 0;
    for (CallOutput output : call.outputs()) {
      tensors.put(output.tensor(), output(call, output, from, results, shape, rows, positions));
      from += output.columns();
    }
  }

  private void evaluateLookups(RemoteCallSpec call, Map<String, OnnxTensor> tensors)
      throws OrtException {
    OnnxTensor input = tensors.get(call.input());
    FloatBuffer values = input.getFloatBuffer();
    int rows = values.remaining() / call.dIn();
    int[] integers = new int[values.remaining()];
    int largest = (1 << (call.quantization().activationBits() - 1)) - 1;
    for (int i = 0; i < integers.length; i++) {
      double scaled = Math.rint(values.get(i) / call.quantization().staticScale());
      integers[i] = (int) Math.max(-largest, Math.min(largest, scaled));
    }
    FloatBuffer results =
        ByteBuffer.allocateDirect(4 * rows * call.dOut())
            .order(ByteOrder.nativeOrder())
            .asFloatBuffer();
    try (LookupCircuit circuit = LookupCircuit.open(server.circuit(call.circuit()))) {
      long[] phases = simulates ? circuit.simulate(integers) : circuit.phases(integers);
      for (int at = 0; at < phases.length; at++) {
        int j = at % call.dOut();
        double turns = phases[at] * 0x1p-64;
        results.put(at, (float) (turns * call.lookups().outputScales()[j] + call.bias()[j]));
      }
    }
    long[] shape = input.getInfo().getShape();
    if (call.lookups().readsRecords()) {
      shape =
          LongStream.concat(
                  LongStream.of(shape[0]),
                  call.lookups().outputShape().stream().mapToLong(Long::longValue))
              .toArray();
    } else {
      shape[shape.length - 1] = call.dOut();
    }
    tensors.put(
        call.outputs().get(0).tensor(),
        OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), results, shape));
  }

  private boolean isReal(Map<String, OnnxTensor> tensors, int row) {
    return tensors.get(client.specs().paddingMask()).getLongBuffer().get(row) != 0;
  }

  private static void evaluate(
      RemoteCallSpec call, PackedCircuit circuit, float[] row, float[] results, int at) {
    int largest = (1 << (call.quantization().activationBits() - 1)) - 1;
    float max = 0;
    for (float value : row) {
      max = Math.max(max, Math.abs(value));
    }
    double scale =
        call.quantization().isDynamic()
            ? (max == 0 ? 1 : max / (double) largest)
            : call.quantization().staticScale();
    int[] integers = new int[row.length];
    for (int i = 0; i < row.length; i++) {
      integers[i] = (int) Math.max(-largest, Math.min(largest, Math.rint(row[i] / scale)));
    }
    long[] accumulators = circuit.accumulate(integers);
    for (int j = 0; j < accumulators.length; j++) {
      float bias = call.bias() == null ? 0 : call.bias()[j];
      results[at + j] = (float) (accumulators[j] * scale * call.weightScales()[j] + bias);
    }
  }

  private static OnnxTensor output(
      RemoteCallSpec call,
      CallOutput output,
      int from,
      float[] results,
      long[] inputShape,
      int rows,
      int positions)
      throws OrtException {
    int columns = output.columns();
    long[] shape = inputShape.clone();
    if (call.unfolding() == null) {
      shape[shape.length - 1] = columns;
    } else {
      shape[1] = columns;
      for (int axis = 0; axis + 2 < shape.length; axis++) {
        shape[axis + 2] = call.unfolding().positions(axis, inputShape[axis + 2]);
      }
    }
    FloatBuffer values =
        ByteBuffer.allocateDirect(4 * rows * columns)
            .order(ByteOrder.nativeOrder())
            .asFloatBuffer();
    for (int r = 0; r < rows; r++) {
      for (int j = 0; j < columns; j++) {
        values.put(
            (r / positions * columns + j) * positions + r % positions,
            results[r * call.dOut() + from + j]);
      }
    }
    return OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), values, shape);
  }
}
