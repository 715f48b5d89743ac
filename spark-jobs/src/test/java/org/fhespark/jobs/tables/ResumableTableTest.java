package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.format.ColumnChunk;
import org.apache.parquet.format.FileMetaData;
import org.apache.parquet.format.RowGroup;
import org.apache.parquet.format.Util;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import scala.collection.immutable.ArraySeq;

class ResumableTableTest {
  private static final int PART = 3;
  private static final StructType INPUT =
      new StructType()
          .add("id", DataTypes.LongType)
          .add("name", DataTypes.StringType)
          .add("x", DataTypes.createArrayType(DataTypes.FloatType));
  private static final StructType SCHEMA =
      INPUT.add("y", DataTypes.createArrayType(DataTypes.FloatType));
  private static SparkSession session;

  @TempDir java.nio.file.Path folder;

  @BeforeAll
  static void start() {
    session = LocalSession.start();
  }

  @AfterAll
  static void stop() {
    session.stop();
  }

  private static List<Row> input(int rows) {
    return IntStream.range(0, rows)
        .mapToObj(
            i ->
                RowFactory.create(
                    (long) i,
                    i % 4 == 0 ? null : "name " + i,
                    new ArraySeq.ofFloat(new float[] {i, -i})))
        .toList();
  }

  private static Row result(Row row) {
    return RowFactory.create(
        row.get(0),
        row.get(1),
        row.get(2),
        new ArraySeq.ofFloat(new float[] {row.getLong(0) + 0.5f}));
  }

  private Path path(String name) {
    return new Path(folder.resolve(name).toUri());
  }

  private ResumableTable open(TableFormat format, boolean overwrite, String work) {
    return ResumableTable.open(
        session, path("out"), SCHEMA, INPUT.length(), format, overwrite, PART, work);
  }

  private ResumableTable open(TableFormat format) {
    return open(format, false, "work");
  }

  /** Writes so many of the rows that are not taken over; returns how many were. */
  private static long write(ResumableTable table, List<Row> input, int most) {
    AtomicLong takenOver = new AtomicLong();
    Iterator<Row> rows = table.unfinished(input.iterator(), takenOver::addAndGet);
    for (int i = 0; i < most && rows.hasNext(); i++) {
      table.write(result(rows.next()));
    }
    return takenOver.get();
  }

  private List<Row> read(String name) {
    List<Row> rows = new ArrayList<>();
    try (TableReader reader = TableReader.open(session, path(name))) {
      reader.rows().forEachRemaining(rows::add);
    }
    return rows;
  }

  private List<String> names(java.nio.file.Path in) throws IOException {
    try (Stream<java.nio.file.Path> files = Files.list(in)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @ParameterizedTest
  @EnumSource
  void partsOfEveryFormatAreTakenOver(TableFormat format) throws IOException {
    List<Row> input = input(11);
    try (ResumableTable table = open(format)) {
      write(table, input, 11);
      table.commit();
    }
    Files.move(folder.resolve("out"), folder.resolve("undisturbed"));
    try (ResumableTable table = open(format)) {
      assertEquals(0, write(table, input, 8));
      assertEquals(6, table.finishedRecords());
    }
    try (ResumableTable table = open(format)) {
      assertEquals(6, table.finishedRecords());
      assertEquals(6, write(table, input, 11));
      table.commit();
    }
    assertEquals(read("undisturbed"), read("out"));
    assertEquals(names(folder.resolve("undisturbed")), names(folder.resolve("out")));
    for (String name : names(folder.resolve("out"))) {
      assertArrayEquals(
          Files.readAllBytes(folder.resolve("undisturbed").resolve(name)),
          Files.readAllBytes(folder.resolve("out").resolve(name)),
          name);
    }
    assertEquals(List.of("out", "undisturbed"), names(folder));
  }

  @Test
  void partsAreTakenWhereverTheirRowsAre() {
    List<Row> input = input(12);
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      write(table, input, 12);
    }
    // The last part, and rows of the first two in another order.
    List<Row> moved = new ArrayList<>(input.subList(6, 9));
    moved.addAll(input.subList(2, 5));
    moved.addAll(input.subList(3, 6));
    moved.addAll(input.subList(10, 12));
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      assertEquals(6, write(table, moved, 12));
      table.commit();
    }
    assertEquals(ids(moved), ids(read("out")));
  }

  /** As text, for CSV does not tell integers from longs. */
  private static List<String> ids(List<Row> rows) {
    return rows.stream().map(row -> row.get(0).toString()).toList();
  }

  @Test
  void nothingIsLeftOfARunThatFinishedNoPart() throws IOException {
    try (ResumableTable table =
        ResumableTable.open(
            session, path("a/b/out"), SCHEMA, 3, TableFormat.PARQUET, false, PART, "work")) {
      write(table, input(3), 2);
      assertEquals(1, names(folder).size());
    }
    assertEquals(List.of(), names(folder));
  }

  @Test
  void otherWorkTakesNothingOver() {
    List<Row> input = input(9);
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      write(table, input, 9);
    }
    try (ResumableTable table = open(TableFormat.PARQUET, false, "other work")) {
      assertEquals(0, write(table, input, 9));
    }
    session.conf().set("spark.sql.parquet.compression.codec", "gzip");
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      assertEquals(0, write(table, input, 9));
    } finally {
      session.conf().unset("spark.sql.parquet.compression.codec");
    }
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      assertEquals(9, write(table, input, 9));
    }
  }

  @ParameterizedTest
  @EnumSource
  void ofTwoRunsAtATimeTheSecondGoesOnAndTheFirstFails(TableFormat format) throws IOException {
    List<Row> input = input(20);
    ResumableTable first = open(format);
    Iterator<Row> rows = first.unfinished(input.iterator(), more -> {});
    for (int i = 0; i < 8; i++) {
      first.write(result(rows.next()));
    }
    try (ResumableTable second = open(format)) {
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class,
              () -> {
                for (int i = 8; i < 20; i++) {
                  first.write(result(rows.next()));
                }
                first.commit();
              });
      assertTrue(error.getMessage().contains("another run"), error.getMessage());
      assertEquals(6, write(second, input, 20));
      first.close();
      second.commit();
    }
    assertEquals(ids(input), ids(read("out")));
    assertEquals(List.of("out"), names(folder));
  }

  @Test
  void aRunThatWasTakenOverCannotCommit() throws IOException {
    List<Row> input = input(9);
    ResumableTable first = open(TableFormat.PARQUET);
    write(first, input, 9);
    try (ResumableTable second = open(TableFormat.PARQUET)) {
      assertThrows(InvalidInputException.class, first::commit);
      first.close();
      assertFalse(Files.exists(folder.resolve("out")));
      assertEquals(9, write(second, input, 9));
      second.commit();
    }
    assertEquals(ids(input), ids(read("out")));
    assertEquals(List.of("out"), names(folder));
  }

  /** What was renamed already goes back to what it was. */
  @Test
  void aCommitThatEndedMidwayIsTakenUp() throws IOException {
    List<Row> input = input(10);
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      write(table, input, 10);
      Files.createDirectory(folder.resolve("out"));
      Files.writeString(folder.resolve("out/part-00000.parquet"), "of somebody else");
      InvalidInputException error = assertThrows(InvalidInputException.class, table::commit);
      assertTrue(error.getMessage().contains("--overwrite"), error.getMessage());
    }
    java.nio.file.Path unfinished = folder.resolve(names(folder).get(0));
    java.nio.file.Path run = unfinished.resolve(names(unfinished).get(0));
    assertTrue(names(run).contains("_order"), names(run).toString());
    // As if it had not come to the third.
    String third = Files.readAllLines(run.resolve("_order")).get(2);
    Files.move(run.resolve("table/part-00002.snappy.parquet"), run.resolve(third));
    try (ResumableTable table = open(TableFormat.PARQUET, true, "work")) {
      assertEquals(10, write(table, input, 0) + table.finishedRecords());
    }
    try (ResumableTable table = open(TableFormat.PARQUET, true, "work")) {
      assertEquals(10, write(table, input, 10));
      table.commit();
    }
    assertEquals(ids(input), ids(read("out")));
    assertEquals(List.of("out"), names(folder));
  }

  @Test
  void aPartThatIsCutOffIsScoredAgain() throws IOException {
    List<Row> input = input(9);
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      write(table, input, 7);
    }
    java.nio.file.Path unfinished = folder.resolve(names(folder).get(0));
    java.nio.file.Path run = unfinished.resolve(names(unfinished).get(0));
    String part =
        names(run).stream().filter(name -> name.matches("[0-9a-f].*")).findFirst().orElseThrow();
    byte[] bytes = Files.readAllBytes(run.resolve(part));
    Files.write(run.resolve(part), Arrays.copyOf(bytes, bytes.length - 100));
    Files.delete(run.resolve("." + part + ".crc"));
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      assertEquals(3, write(table, input, 9));
      table.commit();
    }
    assertEquals(ids(input), ids(read("out")));
  }

  @Test
  void aFullFileSystemIsOneLineAndFinishedPartsStay() throws IOException {
    List<Row> input = input(9);
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      write(table, input, 7);
      java.nio.file.Path unfinished = folder.resolve(names(folder).get(0));
      java.nio.file.Path run = unfinished.resolve(names(unfinished).get(0));
      // Its name is taken: the next part cannot begin.
      Files.delete(run.resolve("_part.snappy.parquet"));
      Files.createDirectories(run.resolve("_part.snappy.parquet/in"));
      InvalidInputException error =
          assertThrows(
              InvalidInputException.class,
              () -> {
                for (Row row : input) {
                  table.write(result(row));
                }
              });
      assertTrue(error.getMessage().contains("cannot be written"), error.getMessage());
      assertEquals(1, error.getMessage().lines().count(), error.getMessage());
      assertEquals(6, table.finishedRecords());
      Files.delete(run.resolve("_part.snappy.parquet/in"));
    }
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      assertEquals(6, write(table, input, 9));
    }
  }

  /** As another JVM may have written them. */
  @Test
  void encodingsOfParquetFilesAreOrdered() throws IOException {
    try (ResumableTable table = open(TableFormat.PARQUET)) {
      write(table, input(3), 3);
      table.commit();
    }
    Path file = path("out/part-00000.snappy.parquet");
    FileSystem fs = file.getFileSystem(PartFormat.hadoopConf(session));
    byte[] ordered = Files.readAllBytes(folder.resolve("out/part-00000.snappy.parquet"));
    int footerBytes =
        ByteBuffer.wrap(ordered).order(ByteOrder.LITTLE_ENDIAN).getInt(ordered.length - 8);
    int start = ordered.length - 8 - footerBytes;
    FileMetaData footer =
        Util.readFileMetaData(new ByteArrayInputStream(ordered, start, footerBytes));
    for (RowGroup group : footer.getRow_groups()) {
      for (ColumnChunk column : group.getColumns()) {
        assertTrue(column.getMeta_data().getEncodings().size() > 1);
        Collections.reverse(column.getMeta_data().getEncodings());
      }
    }
    ByteArrayOutputStream changed = new ByteArrayOutputStream();
    changed.write(ordered, 0, start);
    Util.writeFileMetaData(footer, changed);
    changed.write(ordered, ordered.length - 8, 8);
    assertEquals(ordered.length, changed.size());
    assertFalse(Arrays.equals(ordered, changed.toByteArray()));
    try (var out = fs.create(file, true)) {
      out.write(changed.toByteArray());
    }
    ParquetFooter.order(new TablePlace(session, path("out"), true), file, path("out/copy"));
    assertArrayEquals(ordered, Files.readAllBytes(folder.resolve("out/part-00000.snappy.parquet")));
    assertFalse(fs.exists(path("out/copy")));
  }
}
