package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.apache.hadoop.fs.Path;
import org.apache.spark.TaskContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerBlockUpdated;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Executors are not trusted: clear tables must not come near them. */
class DriverOnlyTest {
  private static final StructType SCHEMA =
      new StructType()
          .add("key", DataTypes.StringType)
          .add("x", DataTypes.DoubleType)
          .add("y", DataTypes.DoubleType);
  private static final List<Row> ROWS =
      List.of(RowFactory.create("a", 1.5, -2.0), RowFactory.create("b", 3.25, 4.0));

  @TempDir java.nio.file.Path folder;
  private SparkSession session;

  @BeforeEach
  void start() {
    session = LocalSession.start();
  }

  @AfterEach
  void stop() {
    session.stop();
  }

  @ParameterizedTest
  @EnumSource(TableFormat.class)
  void readingAndWritingRunNoJobAndBroadcastNothing(TableFormat format) throws Exception {
    List<String> seen = Collections.synchronizedList(new ArrayList<>());
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onJobStart(SparkListenerJobStart job) {
            seen.add("job " + job.jobId());
          }

          @Override
          public void onBlockUpdated(SparkListenerBlockUpdated block) {
            seen.add("block " + block.blockUpdatedInfo().blockId());
          }
        };
    session.sparkContext().addSparkListener(listener);
    assertEquals(ROWS, writeAndRead(format));
    session.sparkContext().listenerBus().waitUntilEmpty(10_000);
    assertEquals(List.of(), seen);

    // The same listener sees Spark's own reader at work, so its silence above tells something.
    read(session, format);
    session.sparkContext().listenerBus().waitUntilEmpty(10_000);
    assertTrue(seen.stream().anyMatch(event -> event.startsWith("job ")), seen::toString);
    assertTrue(
        seen.stream().anyMatch(event -> event.startsWith("block broadcast_")), seen::toString);
  }

  @ParameterizedTest
  @EnumSource(TableFormat.class)
  void aSessionThatCannotRunJobsStillReadsAndWrites(TableFormat format) {
    // A session makes its state at the first use, and then needs the context for once.
    session.conf().getAll();
    session.sparkContext().stop();
    assertThrows(RuntimeException.class, () -> read(session, format));
    assertEquals(ROWS, writeAndRead(format));
  }

  @Test
  void noTaskContextStaysOnTheThread() {
    writeAndRead(TableFormat.PARQUET);
    assertNull(TaskContext.get());
  }

  private List<Row> writeAndRead(TableFormat format) {
    try (TableWriter writer = TableWriter.create(session, out(), SCHEMA, format, false)) {
      ROWS.forEach(writer::write);
      writer.commit();
    }
    List<Row> rows = new ArrayList<>();
    try (TableReader reader = TableReader.open(session, out())) {
      reader.rows().forEachRemaining(rows::add);
    }
    return rows;
  }

  private List<Row> read(SparkSession session, TableFormat format) {
    return session
        .read()
        .schema(SCHEMA)
        .option("header", "true")
        .format(format.name().toLowerCase(java.util.Locale.ROOT))
        .load(out().toString())
        .collectAsList();
  }

  private Path out() {
    return new Path(folder.resolve("out").toUri());
  }
}
