package org.fhespark.jobs.client;

import java.util.Collections;
import java.util.List;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.blocks.ResultTable;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;

/** The tables and states about {@link GroupSteps}. */
final class GroupExchange {
  private final SparkSession spark;
  private final List<TensorSpec> inputs;
  private final GroupSteps steps;

  /**
   * @param inputs the model's
   */
  GroupExchange(SparkSession spark, List<TensorSpec> inputs, GroupSteps steps) {
    this.spark = spark;
    this.inputs = inputs;
    this.steps = steps;
  }

  /** {@link ExchangeSession#encryptGroups}. */
  GroupReport encrypt(
      Path input,
      String groupBy,
      java.nio.file.Path state,
      Path blocks,
      long waitingBytes,
      ScoreProgress progress) {
    long start = System.nanoTime();
    try (TableReader reader = TableReader.open(spark, input)) {
      AggregateColumns columns = AggregateColumns.of(reader, groupBy, steps.outputs());
      GroupSteps.Source source =
          new GroupSteps.Source(
              reader.name(),
              reader::rows,
              () ->
                  InputBinding.bind(
                      columns.features(reader.schema(), inputs), inputs, reader.name()),
              columns.ordinal());
      // Refuses now what could not be read later.
      source.binding().get();
      GroupCounts counts = new GroupCounts();
      reader.rows().forEachRemaining(row -> counts.add(row.get(columns.ordinal())));
      ExchangeState opened = ExchangeState.create(state);
      progress.started(counts.records());
      try (TableWriter told =
          TableWriter.create(
              spark, opened.groups(), columns.groups(), TableFormat.PARQUET, false)) {
        BlockTableWriter writer =
            new BlockTableWriter(BlockTableWriter.groupedFormat(spark), blocks);
        ExchangeState.Entry entry = steps.encrypt(source, counts, writer, waitingBytes, progress);
        for (int group = 0; group < counts.groups(); group++) {
          told.write(RowFactory.create(counts.value(group), counts.records(group)));
        }
        told.commit();
        opened.enter(entry);
        return report(entry, counts, writer.blocks(), writer.bytes(), start);
      } catch (Throwable error) {
        opened.delete();
        throw error;
      } finally {
        progress.ended();
      }
    }
  }

  /**
   * {@link ExchangeSession#decryptGroups}; the state stays as it is.
   *
   * @param state of groups
   */
  GroupReport decrypt(
      ExchangeState state,
      Path results,
      Aggregate aggregate,
      Path output,
      boolean overwrite,
      ScoreProgress progress) {
    long start = System.nanoTime();
    ExchangeState.Entry entry = state.entry();
    GroupCounts counts = new GroupCounts();
    progress.started(entry.records());
    try (TableReader told = TableReader.open(spark, state.groups())) {
      told.rows().forEachRemaining(row -> counts.add(row.get(0), row.getLong(1)));
      AggregateColumns columns =
          AggregateColumns.of(told, told.schema().fieldNames()[0], steps.outputs());
      TableFormat format = TableFormat.ofFileName(output.getName()).orElse(TableFormat.PARQUET);
      try (TableWriter writer =
          TableWriter.create(spark, output, columns.aggregates(), format, overwrite)) {
        steps.decrypt(
            entry,
            counts,
            ResultTable.open(spark, results),
            results.toString(),
            (group, sums) ->
                writer.write(
                    columns.row(counts.value(group), counts.records(group), sums, aggregate)),
            progress);
        writer.commit();
      }
    } finally {
      progress.ended();
    }
    return report(entry, counts, 0, 0, start);
  }

  private static GroupReport report(
      ExchangeState.Entry entry, GroupCounts counts, long blocks, long bytes, long start) {
    int blockRows = Collections.max(entry.grouping().blockRows());
    return new GroupReport(
        entry.records(),
        counts.groups(),
        blocks,
        blockRows,
        bytes,
        (System.nanoTime() - start) / 1e9);
  }
}
