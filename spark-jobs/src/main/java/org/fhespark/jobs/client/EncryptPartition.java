package org.fhespark.jobs.client;

import java.nio.file.Path;
import java.util.Collections;
import java.util.Iterator;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.Function2;
import org.apache.spark.sql.Row;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.PartFormat;
import org.fhespark.jobs.tables.PartWriter;
import org.fhespark.nativelib.ClientKey;

/**
 * A task of a cluster that the client trusts: takes a partition's records to the first round. It
 * reads model and key from where they are on its host; the closure has no secret.
 */
final class EncryptPartition implements Function2<Integer, Iterator<Row>, Iterator<long[]>> {
  private static final long serialVersionUID = 1;

  private final String client;
  private final KeysOnHosts keys;
  private final String key;
  private final OutOfRange outOfRange;
  private final String table;
  private final String state;
  private final String run;
  private final org.apache.hadoop.fs.Path blocks;
  private final PartFormat blockFormat;
  private final PartFormat recordFormat;

  /**
   * @param client folder of the client artefact
   * @param key id of the key that {@code keys} shall hold on every host
   * @param outOfRange what becomes of records that a leveled circuit is not made for
   * @param table what the records' table is called
   * @param state a folder that every host sees
   */
  EncryptPartition(
      org.apache.hadoop.fs.Path client,
      KeysOnHosts keys,
      String key,
      OutOfRange outOfRange,
      String table,
      ExchangeState state,
      org.apache.hadoop.fs.Path blocks,
      PartFormat blockFormat,
      PartFormat recordFormat) {
    this.client = client.toString();
    this.keys = keys;
    this.key = key;
    this.outOfRange = outOfRange;
    this.table = table;
    this.state = state.folder().toAbsolutePath().toString();
    this.run = state.run();
    this.blocks = blocks;
    this.blockFormat = blockFormat;
    this.recordFormat = recordFormat;
  }

  /**
   * @return the partition's number, and of records, blocks, their bytes, and rows that this attempt
   *     drew into range; nothing if it is empty
   */
  @Override
  public Iterator<long[]> call(Integer partition, Iterator<Row> rows) {
    if (!rows.hasNext()) {
      return Collections.emptyIterator();
    }
    Optional<ExchangeState> done = ExchangeState.part(Path.of(state), partition);
    if (done.isPresent()) {
      // The task's result was lost, not what it did.
      ExchangeState.Entry entry = done.get().entry();
      return one(partition, entry.records(), entry.blocks(), 0, 0);
    }
    Configuration conf = blockFormat.conf();
    HybridModel model = HybridModel.load(new org.apache.hadoop.fs.Path(client), conf);
    int cores = TaskContext.get().cpus();
    try (KeyFolder folder = keys.open();
        ExchangeSteps steps =
            new ExchangeSteps(model, requireKey(folder), cores, cores, outOfRange)) {
      return encrypt(partition, rows, model, steps);
    }
  }

  private static Iterator<long[]> one(long... numbers) {
    return Collections.singleton(numbers).iterator();
  }

  private ClientKey requireKey(KeyFolder folder) {
    ClientKey found = folder.current();
    if (!found.id().equals(key)) {
      throw new InvalidInputException(
          folder.path()
              + ": holds key "
              + found.id()
              + " on one of the hosts, and key "
              + key
              + " on the driver's: give all hosts the same folder");
    }
    return found;
  }

  private Iterator<long[]> encrypt(
      int partition, Iterator<Row> rows, HybridModel model, ExchangeSteps steps) {
    InputBinding binding = InputBinding.bind(recordFormat.schema(), model.specs().inputs(), table);
    BlockTableWriter writer = new BlockTableWriter(blockFormat, blocks);
    ExchangeState attempt =
        ExchangeState.createPart(Path.of(state), run, partition, TaskContext.get().taskAttemptId());
    try {
      ExchangeState.Entry entry;
      try (PartWriter records = new PartWriter(recordFormat, attempt.records())) {
        entry =
            steps.encrypt(
                rows, binding, table, attempt, writer, records::write, ScoreProgress.SILENT);
      }
      attempt.enter(entry);
      attempt.becomePart(run, partition);
      return one(partition, entry.records(), writer.blocks(), writer.bytes(), steps.clampedRows());
    } catch (Throwable error) {
      attempt.delete();
      throw error;
    }
  }
}
