package org.fhespark.jobs.client;

import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.fhespark.compiler.artifact.ClientSpecs;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.RecordBatches;

/** How a model's records come in waves. */
final class Waves {
  private Waves() {}

  /** With a padding mask, records may be sequences of any length. */
  static Iterator<List<Batch>> of(
      ClientSpecs specs,
      Iterator<Row> rows,
      InputBinding binding,
      BatchSizes sizes,
      Measurements measurements) {
    return specs.paddingMask() != null
        ? new SequenceReader(rows, binding, sizes, measurements)
        : new WaveReader(
            new RecordBatches(rows, binding, sizes::batchUnits),
            binding.specs(),
            sizes,
            measurements);
  }
}
