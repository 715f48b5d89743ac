package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.FileUtil;
import org.apache.hadoop.fs.Path;
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
import scala.collection.immutable.ArraySeq;

class TableWriterTest {
  private static final StructType SCHEMA =
      new StructType()
          .add("id", DataTypes.LongType)
          .add("y", DataTypes.createArrayType(DataTypes.FloatType));
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

  @Test
  void partsRollAndSparkReadsThemInOrder() throws IOException {
    write("out", TableFormat.PARQUET, false, 10, 4);
    assertEquals(
        List.of(
            "_SUCCESS",
            "part-00000.snappy.parquet",
            "part-00001.snappy.parquet",
            "part-00002.snappy.parquet"),
        visible("out"));
    List<Row> rows = session.read().parquet(path("out").toString()).orderBy("id").collectAsList();
    assertEquals(10, rows.size());
    assertEquals(List.of(7f, -0.5f), rows.get(7).getList(1));
    assertEquals(List.of("out"), visible("."));
  }

  @Test
  void csvHoldsArraysAsJsonText() throws IOException {
    write("out", TableFormat.CSV, false, 2, 100);
    assertEquals(
        List.of("id,y", "0,\"[0.0,-0.5]\"", "1,\"[1.0,-0.5]\""),
        Files.readAllLines(folder.resolve("out/part-00000.csv")));
  }

  @Test
  void jsonKeepsColumnsThatAreNull() throws IOException {
    try (TableWriter writer =
        TableWriter.create(session, path("out"), SCHEMA, TableFormat.JSON, false)) {
      writer.write(RowFactory.create(1L, null));
      writer.commit();
    }
    assertEquals(
        List.of("{\"id\":1,\"y\":null}"),
        Files.readAllLines(folder.resolve("out/part-00000.json")));
  }

  @Test
  void nothingIsLeftWithoutCommit() throws IOException {
    try (TableWriter writer =
        TableWriter.create(session, path("out"), SCHEMA, TableFormat.PARQUET, false)) {
      writer.write(row(1));
      assertEquals(1, visible(".").size());
    }
    assertEquals(List.of(), visible("."));
  }

  @Test
  void aFullOutputIsRefusedUnlessOverwrittenAndThenReplacedAtCommitOnly() throws IOException {
    write("out", TableFormat.PARQUET, false, 3, 1);
    InvalidInputException e =
        assertThrows(
            InvalidInputException.class, () -> write("out", TableFormat.JSON, false, 1, 1));
    assertTrue(
        e.getMessage()
            .contains("exists and is not empty: choose another path or pass --overwrite"));
    try (TableWriter writer =
        TableWriter.create(session, path("out"), SCHEMA, TableFormat.JSON, true)) {
      writer.write(row(1));
      assertEquals(4, visible("out").size());
      writer.commit();
    }
    assertEquals(List.of("_SUCCESS", "part-00000.json"), visible("out"));
    assertEquals(List.of("out"), visible("."));
  }

  @Test
  void anOutputTakenMeanwhileIsNotTouched() throws IOException {
    try (TableWriter writer =
        TableWriter.create(session, path("out"), SCHEMA, TableFormat.JSON, false)) {
      writer.write(row(1));
      write("out", TableFormat.CSV, false, 1, 1);
      assertThrows(InvalidInputException.class, writer::commit);
    }
    assertEquals(List.of("_SUCCESS", "part-00000.csv"), visible("out"));
    assertEquals(List.of("out"), visible("."));
  }

  @Test
  void overwritingDeletesTablesOnly() throws IOException {
    Files.createDirectory(folder.resolve("home"));
    Files.writeString(folder.resolve("home/letter.txt"), "dear");
    InvalidInputException e =
        assertThrows(
            InvalidInputException.class, () -> write("home", TableFormat.PARQUET, true, 1, 1));
    assertTrue(e.getMessage().contains("'letter.txt'"), e::getMessage);
    assertEquals(List.of("letter.txt"), visible("home"));
  }

  @Test
  void directoriesAboveTheOutputStayOnlyIfItDoes() throws IOException {
    try (TableWriter writer =
        TableWriter.create(session, path("a/b/out"), SCHEMA, TableFormat.JSON, false)) {
      writer.write(row(1));
    }
    assertEquals(List.of(), visible("."));
    try (TableWriter writer =
        TableWriter.create(session, path("a/b/out"), SCHEMA, TableFormat.JSON, false)) {
      writer.write(row(1));
      Files.writeString(folder.resolve("a/note"), "mine");
    }
    assertEquals(List.of("note"), visible("a"));
    write("a/b/out", TableFormat.JSON, false, 1, 1);
    assertEquals(List.of("_SUCCESS", "part-00000.json"), visible("a/b/out"));
  }

  @Test
  void aFileSystemThatRefusesAPartIsOneLine() throws IOException {
    for (TableFormat format : TableFormat.values()) {
      try (TableWriter writer =
          TableWriter.create(session, path("out"), SCHEMA, format, false, 1)) {
        writer.write(row(1));
        // A file where the writer's directory was: the next part cannot be made.
        try (var temporary = Files.list(folder)) {
          for (java.nio.file.Path directory : temporary.toList()) {
            FileUtil.fullyDelete(directory.toFile());
            Files.writeString(directory, "");
          }
        }
        InvalidInputException e =
            assertThrows(InvalidInputException.class, () -> writer.write(row(2)));
        assertTrue(e.getMessage().contains("out cannot be written: "), e::getMessage);
        assertTrue(e.getMessage().contains("; free some space"), e::getMessage);
        assertEquals(1, e.getMessage().lines().count());
      }
      assertEquals(List.of(), visible("."));
    }
  }

  @Test
  void anOutputThatCannotBeWrittenIsOneLine() throws IOException {
    Files.writeString(folder.resolve("file"), "x");
    for (String name : List.of("file", "file/out")) {
      InvalidInputException e =
          assertThrows(
              InvalidInputException.class, () -> write(name, TableFormat.PARQUET, true, 1, 1));
      assertTrue(e.getMessage().contains(name), e::getMessage);
      assertEquals(1, e.getMessage().lines().count());
    }
    StructType struct = new StructType().add("s", SCHEMA);
    InvalidInputException e =
        assertThrows(
            InvalidInputException.class,
            () -> TableWriter.create(session, path("out"), struct, TableFormat.CSV, false));
    assertTrue(e.getMessage().contains("column 's'"), e::getMessage);
    assertEquals(List.of("file"), visible("."));
  }

  private void write(
      String out, TableFormat format, boolean overwrite, int rows, long rowsPerFile) {
    try (TableWriter writer =
        TableWriter.create(session, path(out), SCHEMA, format, overwrite, rowsPerFile)) {
      for (int i = 0; i < rows; i++) {
        writer.write(row(i));
      }
      assertEquals(rows, writer.rowCount());
      writer.commit();
    }
  }

  private static Row row(int id) {
    return RowFactory.create((long) id, new ArraySeq.ofFloat(new float[] {id, -0.5f}));
  }

  private Path path(String name) {
    return new Path(folder.resolve(name).toUri());
  }

  private List<String> visible(String name) throws IOException {
    List<String> names = new ArrayList<>();
    try (var files = Files.list(folder.resolve(name))) {
      files
          .map(f -> f.getFileName().toString())
          .filter(f -> !f.startsWith("."))
          .forEach(names::add);
    }
    names.sort(null);
    return names;
  }
}
