package org.fhespark.jobs.client;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.RecordBatch;
import org.fhespark.jobs.tables.SequenceRecord;

/**
 * Groups sequences of any length into batches and batches into waves, as they are asked for. A wave
 * holds records that follow one another; within it batches are formed by length, so that little is
 * padded.
 */
final class SequenceReader implements Iterator<List<Batch>> {
  /** Positions · length of a batch, which bounds what attention makes. */
  private static final long MOST_PAIRS = 1L << 20;

  private final Iterator<Row> rows;
  private final InputBinding binding;
  private final BatchSizes sizes;
  private final Measurements measurements;

  /** A record that did not fit the wave before it. */
  private SequenceRecord waiting;

  SequenceReader(
      Iterator<Row> rows, InputBinding binding, BatchSizes sizes, Measurements measurements) {
    this.rows = rows;
    this.binding = binding;
    this.sizes = sizes;
    this.measurements = measurements;
  }

  @Override
  public boolean hasNext() {
    return waiting != null || rows.hasNext();
  }

  @Override
  public List<Batch> next() {
    try (var unused = measurements.time(Step.READ)) {
      int batchTokens = sizes.batchUnits();
      List<SequenceRecord> records = nextRecords(sizes.waveTokens());
      records.sort(Comparator.comparingInt(SequenceRecord::length));
      List<Batch> wave = new ArrayList<>();
      int first = 0;
      for (int end = 1; end <= records.size(); end++) {
        if (end == records.size() || !fit(end + 1 - first, records.get(end), batchTokens)) {
          wave.add(batch(records.subList(first, end)));
          first = end;
        }
      }
      return wave;
    }
  }

  /** As many as have at most so many tokens together, at least one. */
  private List<SequenceRecord> nextRecords(long mostTokens) {
    List<SequenceRecord> records = new ArrayList<>();
    long tokens = 0;
    while (hasNext()) {
      SequenceRecord record = waiting == null ? binding.measure(rows.next()) : waiting;
      tokens += record.length();
      if (!records.isEmpty() && tokens > mostTokens) {
        waiting = record;
        return records;
      }
      waiting = null;
      records.add(record);
    }
    return records;
  }

  /** Whether so many records fit a batch, the longest of which is given. */
  private static boolean fit(long records, SequenceRecord longest, int batchTokens) {
    long positions = records * longest.length();
    return positions <= batchTokens && positions * longest.length() <= MOST_PAIRS;
  }

  private Batch batch(List<SequenceRecord> records) {
    RecordBatch padded = binding.pad(records);
    return new Batch(
        records.stream().mapToLong(record -> record.number() - 1).toArray(),
        List.copyOf(padded.rows()),
        WaveReader.tensors(padded, binding.specs()),
        records.stream().mapToInt(SequenceRecord::length).toArray());
  }
}
