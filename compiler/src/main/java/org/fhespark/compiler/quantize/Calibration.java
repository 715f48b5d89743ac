package org.fhespark.compiler.quantize;

import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.RowSource;
import org.fhespark.compiler.artifact.ActivationSummary;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.artifact.PaddingSide;
import org.fhespark.compiler.lookups.RowSample;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.split.LookupCall;
import org.fhespark.compiler.split.RemoteCall;

/**
 * Runs the float model on calibration data, looks at what enters the remote modules, and compares
 * what leaves them with the maps that the compiler found.
 */
public final class Calibration {
  /** What the tensors of one run may take. */
  private static final long RUN_BYTES = 256L << 20;

  /** Records of the first run, which tells how large their tensors are. */
  private static final int FIRST_RECORDS = 4;

  private final OnnxModel model;
  private final ExposedModel exposed;
  private final List<AffineCall> calls;

  /** Those of each module with look-ups, and what of its calls' rows is kept. */
  private final Map<LookupCall, RowSample> samples = new LinkedHashMap<>();

  private final Set<String> modelInputs = new LinkedHashSet<>();
  private final Map<RowSource, ActivationStatistics> statistics = new LinkedHashMap<>();
  private final Optional<PaddingMask> mask;
  private final Set<RowSource> skipping = new HashSet<>();
  private final Set<LookupCall> skippingLookups = new HashSet<>();
  private final Set<PaddingSide> tried = EnumSet.noneOf(PaddingSide.class);
  private Optional<String> harm = Optional.empty();
  private long records;
  private int recordsPerRun = FIRST_RECORDS;

  private Calibration(
      OnnxModel model,
      ExposedModel exposed,
      List<RemoteCall> calls,
      List<LookupCall> lookups,
      Optional<PaddingMask> mask) {
    this.model = model;
    this.mask = mask;
    this.exposed = exposed;
    this.calls = calls.stream().map(RemoteCall::call).toList();
    model.graph().inputs().stream().map(ValueInfoProto::getName).forEach(modelInputs::add);
    this.calls.forEach(call -> statistics.put(call.rows(), new ActivationStatistics()));
    Map<String, RowSample> byModule = new HashMap<>();
    for (LookupCall call : lookups) {
      samples.put(
          call,
          byModule.computeIfAbsent(call.module(), unused -> new RowSample(model, call.region())));
    }
  }

  /**
   * What calibration found.
   *
   * @param statistics of the rows that remote calls read, without padding that is skipped
   * @param samples some rows that modules with look-ups read, by their keys
   * @param records of the data
   * @param skipping those whose padding can be skipped
   * @param skippingLookups calls of modules with look-ups of which the same is true
   * @param paddingSides on which it can be skipped
   * @param harm what skipping padding would change, so that none is skipped; one clause
   */
  public record Result(
      Map<RowSource, ActivationStatistics> statistics,
      Map<String, RowSample> samples,
      long records,
      Set<RowSource> skipping,
      Set<LookupCall> skippingLookups,
      Set<PaddingSide> paddingSides,
      Optional<String> harm) {
    /** Whether a call need not compute padding. */
    public boolean skipsPadding(AffineCall call) {
      return skipping.contains(call.rows());
    }

    /** The same of a call of a module with look-ups. */
    public boolean skipsPadding(LookupCall call) {
      return skippingLookups.contains(call);
    }

    /** Whether some call need not. */
    public boolean skipsPadding() {
      return !skipping.isEmpty() || !skippingLookups.isEmpty();
    }

    /** Statistics of the rows that a call reads. */
    public ActivationStatistics of(AffineCall call) {
      return statistics.get(call.rows());
    }

    /** Rows that a record makes on average, at least one. */
    public double rowsPerRecord(AffineCall call) {
      return Math.max(1, (double) of(call).records() / records);
    }
  }

  /**
   * Takes statistics that were gathered elsewhere. There are no records then on which to compare
   * calls with the float model or to try what skipping padding changes: a call whose padding was
   * skipped where they were gathered may skip it.
   *
   * @throws InvalidInputException if they are another model's, or do not cover a call
   */
  public static Result of(
      CalibrationStatistics gathered,
      OnnxModel model,
      List<RemoteCall> calls,
      Optional<PaddingMask> mask) {
    if (!gathered.modelDigest().equals(model.digest())) {
      throw new InvalidInputException(
          "the statistics are another model's: they were gathered with the one of SHA-256 "
              + gathered.modelDigest()
              + ", "
              + model.file()
              + " has "
              + model.digest()
              + "; gather them with an artefact of this model");
    }
    boolean maskedAlike = mask.isPresent() && mask.get().input().equals(gathered.paddingMask());
    Map<RowSource, ActivationStatistics> statistics = new LinkedHashMap<>();
    Set<RowSource> skipping = new HashSet<>();
    for (RemoteCall call : calls) {
      RowSource rows = call.call().rows();
      ActivationSummary summary =
          gathered
              .of(rows.tensor(), rows.unfolding())
              .filter(input -> input.width() == call.call().dIn())
              .orElseThrow(
                  () ->
                      new InvalidInputException(
                          "the statistics hold nothing of tensor '"
                              + rows.tensor()
                              + "' as module '"
                              + call.module()
                              + "' reads it; gather them with a client artefact in which that"
                              + " module is remote"));
      statistics.computeIfAbsent(rows, unused -> ActivationStatistics.of(summary));
      if (summary.skipsPadding() && maskedAlike) {
        skipping.add(rows);
      }
    }
    return new Result(
        statistics,
        Map.of(),
        gathered.records(),
        Set.copyOf(skipping),
        Set.of(),
        // What a table's sentences are padded to; statistics do not tell of others.
        Set.of(PaddingSide.BEHIND),
        Optional.empty());
  }

  /**
   * Runs the model.
   *
   * @param exposed the model with inputs and outputs of the calls exposed
   * @param mask which positions of sequences are padding, if the model is told
   * @param data batches, read once
   * @throws InvalidInputException if there is no record, an input is missing from a batch, ONNX
   *     Runtime refuses a batch, an activation is infinite or not a number, or a call computes
   *     something else than the compiler understood
   */
  public static Result run(
      OnnxModel model,
      ExposedModel exposed,
      List<RemoteCall> calls,
      List<LookupCall> lookups,
      Optional<PaddingMask> mask,
      Iterable<CalibrationBatch> data) {
    Calibration calibration = new Calibration(model, exposed, calls, lookups, mask);
    for (CalibrationBatch batch : data) {
      calibration.add(batch);
    }
    calibration.statistics.forEach(
        (rows, seen) -> {
          if (seen.records() == 0) {
            throw noRecord(rows.tensor());
          }
        });
    Map<String, RowSample> samples = new LinkedHashMap<>();
    calibration.samples.forEach(
        (call, sample) -> {
          if (sample.count() == 0) {
            throw noRecord(call.region().input());
          }
          samples.put(call.module(), sample);
        });
    return new Result(
        calibration.statistics,
        samples,
        calibration.records,
        Set.copyOf(calibration.skipping),
        Set.copyOf(calibration.skippingLookups),
        Set.copyOf(calibration.tried),
        calibration.harm);
  }

  private static InvalidInputException noRecord(String tensor) {
    return new InvalidInputException(
        "calibration data: no record reaches tensor '"
            + tensor
            + "'; give at least one, better a few hundred");
  }

  private void add(CalibrationBatch batch) {
    for (String name : modelInputs) {
      if (!batch.inputs().containsKey(name)) {
        throw new InvalidInputException(
            "calibration data: no column for input '" + name + "' of " + model.file());
      }
    }
    int count =
        modelInputs.stream()
            .mapToInt(name -> Math.toIntExact(batch.inputs().get(name).records()))
            .min()
            .orElse(0);
    for (int from = 0; from < count; ) {
      int to = Math.min(count, from + recordsPerRun);
      Map<String, BatchTensor> slice = new HashMap<>();
      for (String name : modelInputs) {
        slice.put(name, batch.inputs().get(name).slice(from, to));
      }
      run(slice, to - from);
      from = to;
    }
  }

  private void run(Map<String, BatchTensor> slice, int count) {
    boolean first = records == 0;
    Set<String> wanted = new LinkedHashSet<>();
    for (AffineCall call : calls) {
      wanted.add(call.input());
      if (first) {
        wanted.add(call.output());
      }
    }
    samples.keySet().forEach(call -> wanted.add(call.region().input()));
    wanted.removeAll(modelInputs);
    Map<String, OnnxTensor> tensors = new HashMap<>();
    try {
      for (Map.Entry<String, BatchTensor> input : slice.entrySet()) {
        tensors.put(input.getKey(), input.getValue().toOnnxTensor(OrtEnvironment.getEnvironment()));
      }
      records += count;
      // Before the run: what is wrong with a record shows there in stranger ways.
      long bytes = look(tensors, modelInputs);
      if (!wanted.isEmpty()) {
        try (OrtSession.Result result = exposed.run(tensors, wanted)) {
          Map<String, OnnxTensor> all = new HashMap<>(tensors);
          wanted.forEach(name -> all.put(name, (OnnxTensor) result.get(name).orElseThrow()));
          decideSkipping(slice, all, first);
          bytes += look(all, wanted);
          if (first) {
            calls.forEach(call -> MapCheck.check(model.file(), call, all));
          }
        }
      }
      recordsPerRun = (int) Math.max(1, Math.min(1 << 16, RUN_BYTES * count / Math.max(1, bytes)));
    } catch (OrtException e) {
      throw new InvalidInputException(
          "calibration data: ONNX Runtime refuses a batch: " + e.getMessage(), e);
    } finally {
      tensors.values().forEach(OnnxTensor::close);
    }
  }

  /**
   * Tries whether padding can be skipped: on the first records with padding behind and where they
   * have it, on later ones where none had it before.
   */
  private void decideSkipping(
      Map<String, BatchTensor> slice, Map<String, OnnxTensor> tensors, boolean first)
      throws OrtException {
    if (mask.isEmpty() || (!first && skipping.isEmpty() && skippingLookups.isEmpty())) {
      return;
    }
    OnnxTensor maskTensor = tensors.get(mask.get().input());
    Set<PaddingSide> sides = PaddingTrial.sides(maskTensor);
    if (first) {
      sides.add(PaddingSide.BEHIND);
    }
    if (!tried.addAll(sides)) {
      return;
    }
    List<AffineCall> candidates =
        calls.stream()
            .filter(call -> call.unfolding().isEmpty() && !modelInputs.contains(call.input()))
            .filter(call -> PaddingMask.covers(maskTensor, tensors.get(call.input())))
            .toList();
    List<LookupCall> lookups = new ArrayList<>();
    samples.forEach(
        (call, sample) -> {
          OnnxTensor input = tensors.get(call.region().input());
          if (!modelInputs.contains(call.region().input())
              && PaddingMask.covers(maskTensor, input)
              && sample.readsRows(input)) {
            lookups.add(call);
          }
        });
    Set<String> outputs = new HashSet<>();
    candidates.forEach(call -> outputs.add(call.output()));
    lookups.forEach(call -> outputs.add(call.region().output()));
    if (outputs.isEmpty()) {
      return;
    }
    harm = new PaddingTrial(model, mask.get(), outputs).harm(exposed, slice, sides);
    if (harm.isEmpty()) {
      candidates.forEach(call -> skipping.add(call.rows()));
      skippingLookups.addAll(lookups);
    } else if (!first) {
      throw new InvalidInputException(
          "calibration data: padding cannot be skipped for all records, for "
              + harm.get()
              + "; compile with --padding-mask none");
    }
  }

  /** Looks at the rows of some tensors; returns the tensors' bytes. */
  private long look(Map<String, OnnxTensor> tensors, Set<String> names) {
    long bytes = 0;
    for (Map.Entry<RowSource, ActivationStatistics> entry : statistics.entrySet()) {
      String name = entry.getKey().tensor();
      if (names.contains(name)) {
        requireReadable(entry.getKey(), tensors.get(name));
        if (skipping.contains(entry.getKey())) {
          addReal(name, tensors.get(name), real(name, tensors), entry.getValue());
        } else {
          add(entry.getKey(), tensors.get(name), entry.getValue());
        }
        bytes += (long) Float.BYTES * floats(tensors.get(name)).remaining();
      }
    }
    for (Map.Entry<LookupCall, RowSample> entry : samples.entrySet()) {
      String name = entry.getKey().region().input();
      if (names.contains(name)) {
        if (skippingLookups.contains(entry.getKey())) {
          entry.getValue().addReal(tensors.get(name), real(name, tensors));
        } else {
          entry.getValue().add(tensors.get(name));
        }
        bytes += (long) Float.BYTES * floats(tensors.get(name)).remaining();
      }
    }
    return bytes;
  }

  private int width(RowSource rows) {
    return calls.stream()
        .filter(call -> call.rows().equals(rows))
        .mapToInt(AffineCall::dIn)
        .findFirst()
        .orElseThrow();
  }

  private void requireReadable(RowSource rows, OnnxTensor tensor) {
    long[] shape = tensor.getInfo().getShape();
    int width = width(rows);
    boolean fits =
        rows.unfolding()
            .map(u -> shape.length == u.kernel().size() + 2 && shape[1] == u.channels())
            .orElse(shape.length >= 1 && shape[shape.length - 1] == width);
    if (!fits) {
      throw new InvalidInputException(
          model.file()
              + ": tensor '"
              + rows.tensor()
              + "' has shape "
              + java.util.Arrays.toString(shape)
              + ", but the remote module that reads it takes "
              + rows.unfolding()
                  .map(u -> u.channels() + " channels at axis 1")
                  .orElse("rows of " + width + " at its last axis")
              + "; keep that module in clear");
    }
  }

  private void add(RowSource rows, OnnxTensor tensor, ActivationStatistics seen) {
    FloatBuffer values = floats(tensor);
    if (rows.unfolding().isEmpty()) {
      seen.add(rows.tensor(), values, width(rows));
      return;
    }
    seen.addMagnitudes(rows.tensor(), values.duplicate());
    new Windows(rows.unfolding().get(), tensor.getInfo().getShape())
        .sample(values, (row, standsFor) -> seen.add(rows.tensor(), row, standsFor));
  }

  /** Which rows of a tensor are no padding. */
  private boolean[] real(String name, Map<String, OnnxTensor> tensors) {
    OnnxTensor maskTensor = tensors.get(mask.orElseThrow().input());
    if (!PaddingMask.covers(maskTensor, tensors.get(name))) {
      throw PaddingTrial.otherShape(mask.get(), name, tensors.get(name).getInfo().getShape());
    }
    return PaddingMask.real(maskTensor);
  }

  /** Adds the rows that are no padding. */
  private static void addReal(
      String name, OnnxTensor tensor, boolean[] real, ActivationStatistics seen) {
    FloatBuffer values = floats(tensor);
    float[] row = new float[values.remaining() / Math.max(1, real.length)];
    for (boolean counts : real) {
      values.get(row);
      if (counts) {
        seen.add(name, row, 1);
      }
    }
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
