package org.fhespark.jobs.blocks;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Tables of results that a query with a join made: rows without a block, or without a number. */
class ResultTableTest {
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "circuit STRING, module STRING, key STRING, number BIGINT, records INT, block BINARY");
  private static final Duration PATIENCE = Duration.ofSeconds(1);

  private static SparkSession spark;

  private Path folder;

  @BeforeAll
  static void start() {
    spark = Digits.session();
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  @BeforeEach
  void makeAFolder() throws IOException {
    folder = Files.createDirectory(Digits.newFolder("results").resolve("results"));
  }

  private static byte[] block(long number) {
    byte[] block = new byte[10_000];
    Arrays.fill(block, (byte) number);
    return block;
  }

  private static Row row(Long number, byte[] block) {
    return RowFactory.create("c", "m", "k", number, 1, block);
  }

  private static Row whole(long number) {
    return row(number, block(number));
  }

  /** Writes a file of the table as one piece. */
  private Path write(String name, Row... rows) throws IOException {
    Path written = Digits.newFolder("written").resolve("written");
    // As blocks are written, whose files have small row groups.
    BlockSettings.sessionOf(spark)
        .createDataFrame(List.of(rows), SCHEMA)
        .coalesce(1)
        .write()
        .parquet(written.toString());
    try (Stream<Path> parts = Files.list(written)) {
      Path part = parts.filter(one -> one.toString().endsWith(".parquet")).findFirst().get();
      return Files.move(part, folder.resolve(name), StandardCopyOption.REPLACE_EXISTING);
    }
  }

  private ResultTable open() {
    return ResultTable.open(spark, Digits.hadoop(folder));
  }

  private static Set<Long> numbersOf(Map<Long, byte[]> blocks) {
    blocks.forEach((number, block) -> assertArrayEquals(block(number), block));
    return blocks.keySet();
  }

  @Test
  void aBlockThatIsNullIsNotThere() throws IOException {
    write("a.parquet", whole(1), row(2L, null), whole(3), row(4L, null), row(5L, null));
    write("b.parquet", whole(4), row(3L, null), row(6L, null), whole(6));
    ResultTable table = open();
    List<Long> missing = new ArrayList<>();
    table.forEachMissing(1, 6, missing::add);
    assertEquals(List.of(2L, 5L), missing);
    assertFalse(table.has(2));
    assertTrue(table.has(6));
    assertEquals("file:" + folder.resolve("b.parquet"), table.fileOf(4));
    assertEquals(Set.of(1L, 3L, 4L, 6L), numbersOf(table.read(List.of(1L, 3L, 4L, 6L))));
  }

  @Test
  void noBlockIsReadToTellWhichAreNull() throws Exception {
    Row[] rows = new Row[100];
    Arrays.setAll(rows, number -> row((long) number, new byte[1 << 20]));
    rows[7] = row(7L, null);
    write("a.parquet", rows);
    AtomicLong read = new AtomicLong();
    SparkListener listener =
        new SparkListener() {
          @Override
          public void onTaskEnd(SparkListenerTaskEnd end) {
            read.addAndGet(end.taskMetrics().inputMetrics().bytesRead());
          }
        };
    spark.sparkContext().addSparkListener(listener);
    ResultTable table = open();
    spark.sparkContext().listenerBus().waitUntilEmpty();
    spark.sparkContext().removeSparkListener(listener);
    assertTrue(table.has(6) && !table.has(7));
    // The page of the null may hold a block or two.
    assertTrue(read.get() > 0 && read.get() < 4 << 20, read + " bytes");
  }

  @Test
  void aBlockThatIsNullIsWaitedFor() throws Exception {
    write("a.parquet", whole(1), row(2L, null));
    ResultTable table = ResultTable.openToCome(spark, Digits.hadoop(folder));
    InvalidInputException waited =
        assertThrows(InvalidInputException.class, () -> table.await(List.of(1L, 2L), PATIENCE));
    assertTrue(waited.getMessage().contains("nothing has come"), waited.getMessage());
    CompletableFuture<Void> waiting =
        CompletableFuture.runAsync(() -> table.await(List.of(1L, 2L), Duration.ofMinutes(5)));
    write("b.parquet", whole(2));
    waiting.get(5, TimeUnit.MINUTES);
    assertEquals(Set.of(1L, 2L), numbersOf(table.read(List.of(1L, 2L))));
  }

  @Test
  void aRowWithoutANumberIsNamed() throws IOException {
    Path file = write("a.parquet", whole(1), row(null, block(2)));
    for (InvalidInputException refused :
        List.of(
            assertThrows(InvalidInputException.class, this::open),
            assertThrows(
                InvalidInputException.class,
                () ->
                    ResultTable.openToCome(spark, Digits.hadoop(folder))
                        .await(List.of(1L), PATIENCE)))) {
      String message = refused.getMessage();
      assertEquals(1, message.lines().count(), message);
      assertTrue(message.startsWith("results " + folder + ": column 'number' is NULL"), message);
      assertTrue(message.contains("in file file:" + file + ", row 1;"), message);
    }
  }

  @Test
  void aBlockThatHasGoneIsNotRead() throws IOException {
    write("a.parquet", whole(1), whole(2));
    ResultTable table = open();
    Path file = write("a.parquet", row(1L, null), whole(2));
    assertEquals(Set.of(2L), numbersOf(table.read(List.of(1L, 2L))));
    String message = table.gone(1).getMessage();
    assertTrue(message.contains("block number 1 is no longer in file file:" + file), message);
  }
}
