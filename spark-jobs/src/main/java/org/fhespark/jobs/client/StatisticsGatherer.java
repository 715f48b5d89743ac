package org.fhespark.jobs.client;

import java.nio.FloatBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.affine.RowSource;
import org.fhespark.compiler.artifact.ActivationSummary;
import org.fhespark.compiler.artifact.ArtifactJson;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.quantize.ActivationHistogram;
import org.fhespark.compiler.quantize.Windows;

/** Looks at the rows that remote calls read. Safe to share between threads. */
final class StatisticsGatherer {
  private final ClientSpecs specs;

  /** Rows that several calls read are looked at once, for the first of them. */
  private final Map<RowSource, RemoteCallSpec> readers = new LinkedHashMap<>();

  private final Map<RowSource, ActivationHistogram> histograms = new LinkedHashMap<>();
  private final AtomicLong records = new AtomicLong();

  StatisticsGatherer(ClientSpecs specs) {
    this.specs = specs;
    for (RemoteCallSpec call : specs.remote()) {
      if (readers.putIfAbsent(rows(call), call) == null) {
        histograms.put(rows(call), new ActivationHistogram(call.input()));
      }
    }
  }

  private static RowSource rows(RemoteCallSpec call) {
    return new RowSource(call.input(), Optional.ofNullable(call.unfolding()));
  }

  /** Counts records of which all rows have been seen. */
  void countRecords(int number) {
    records.addAndGet(number);
  }

  /**
   * Looks at the rows that a call reads of a batch, but those of padding.
   *
   * @throws InvalidInputException naming module and record if a value is infinite or not a number
   */
  void look(RemoteLayer layer, Batch batch) {
    RowSource rows = rows(layer.spec());
    if (readers.get(rows) != layer.spec()) {
      return;
    }
    Tensor input = layer.inputOf(batch);
    FloatBuffer values = input.data().asFloatBuffer();
    ActivationHistogram histogram = histograms.get(rows);
    int width = layer.spec().dIn();
    for (RowBlock.Run run : layer.activeRows(batch)) {
      try {
        if (rows.unfolding().isPresent()) {
          histogram.addWindows(values, new Windows(rows.unfolding().get(), input.shape()));
        } else {
          int first = run.first() * width;
          histogram.addRows(values.slice(first, run.rows() * width), width);
        }
      } catch (InvalidInputException error) {
        throw new RowBlock(layer, List.of(run)).explain(error);
      }
    }
  }

  /**
   * What was seen so far.
   *
   * @throws InvalidInputException if that is nothing, or no record reaches some call
   */
  CalibrationStatistics statistics() {
    histograms.forEach(
        (rows, histogram) -> {
          if (histogram.rows() == 0) {
            throw new InvalidInputException(
                "calibration: no record reaches tensor '"
                    + rows.tensor()
                    + "'; give at least one, better a few hundred");
          }
        });
    List<ActivationSummary> inputs =
        histograms.entrySet().stream()
            .map(
                entry -> {
                  RemoteCallSpec reader = readers.get(entry.getKey());
                  return entry
                      .getValue()
                      .summary(reader.unfolding(), reader.dIn(), reader.skipsPadding());
                })
            .toList();
    return new CalibrationStatistics(
        ArtifactJson.FORMAT_VERSION,
        specs.modelDigest(),
        specs.paddingMask(),
        records.get(),
        inputs);
  }
}
