package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.zip.GZIPOutputStream;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import scala.collection.immutable.ArraySeq;

class TableReaderTest {
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

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void whatSparkWroteAsParquetIsReadAsSparkReadsIt(boolean vectorized) {
    Dataset<Row> written =
        session.sql(
            "SELECT id, CAST(id AS STRING) AS key, CAST(id AS DECIMAL(12, 3)) / 7 AS price,"
                + " transform(sequence(0, 40), i -> CAST(i * id AS FLOAT) / 3) AS features,"
                + " array(array(id, 2L), array(3L, id + 1)) AS nested,"
                + " IF(id % 3 = 0, NULL, array(id, CAST(NULL AS BIGINT))) AS gaps,"
                + " DATE'2024-02-29' + CAST(id AS INT) AS day,"
                + " TIMESTAMP'1823-01-01 00:00:01' AS moment,"
                + " map('a', id) AS m, named_struct('u', id, 'v', 'w') AS s,"
                + " CAST(CAST(id AS STRING) AS BINARY) AS b"
                + " FROM range(0, 9000, 1, 3)");
    written.write().parquet(file("t").toString());
    List<Row> expected = session.read().parquet(file("t").toString()).orderBy("id").collectAsList();
    session.conf().set("spark.sql.parquet.enableVectorizedReader", vectorized);
    try (TableReader reader = TableReader.open(session, file("t"))) {
      assertEquals(9000, reader.rowCountHint());
      assertEquals(written.schema().asNullable(), reader.schema());
      assertEquals(expected, rows(reader));
      assertEquals(expected.get(0), reader.rows().next());
    } finally {
      session.conf().unset("spark.sql.parquet.enableVectorizedReader");
    }
  }

  @Test
  void arraysOfNumbersAreNotBoxed() {
    session.sql("SELECT array(1.5F, 2.5F) AS x").write().parquet(file("t").toString());
    try (TableReader reader = TableReader.open(session, file("t"))) {
      assertTrue(reader.rows().next().get(0) instanceof ArraySeq.ofFloat);
    }
  }

  @Test
  void csvNumbersAreTypedByAllRecordsAndTheRestStaysText() throws IOException {
    text("t/part-1.csv", "\uFEFFday,a,b,c,ok\n2024-02-29,1,2,7,true\n");
    text("t/part-2.csv", "day,a,b,c,ok\n\"1, \\\"x\\\"\ny\",0.5,99999999999,,false\n\n");
    text("t/_SUCCESS", "");
    text("t/.part-1.csv.crc", "x");
    try (TableReader reader = TableReader.open(session, file("t"))) {
      assertEquals(
          "day:string a:double b:bigint c:int ok:string",
          String.join(
              " ",
              java.util.Arrays.stream(reader.schema().fields())
                  .map(f -> f.name() + ":" + f.dataType().simpleString())
                  .toList()));
      assertEquals(
          "[[2024-02-29,1.0,2,7,true], [1, \"x\"\ny,0.5,99999999999,null,false]]",
          rows(reader).toString());
      assertEquals(2, reader.rowCountHint());
    }
  }

  @Test
  void jsonColumnsKeepTheOrderOfTheirFirstAppearance() throws IOException {
    gzip(
        "t.json.gz", "{\"x10\": 1, \"x9\": [1, 2]}\n\n{\"x9\": [0.5], \"z\": \"t\", \"x10\": 2}\n");
    try (TableReader reader = TableReader.open(session, file("t.json.gz"))) {
      assertEquals(List.of("x10", "x9", "z"), List.of(reader.schema().fieldNames()));
      assertEquals(
          DataTypes.createArrayType(DataTypes.DoubleType), reader.schema().apply("x9").dataType());
      assertEquals(2L, rows(reader).get(1).getLong(0));
      assertEquals(0.5, (Double) rows(reader).get(1).getList(1).get(0));
    }
  }

  @Test
  void gzippedCsvIsReadAndAStatedFormatBeatsTheExtension() throws IOException {
    gzip("t.csv.gz", "a\n1\n");
    text("t.txt", "a\n1\n");
    try (TableReader reader = TableReader.open(session, file("t.csv.gz"))) {
      assertEquals(1, rows(reader).get(0).getInt(0));
    }
    assertRefused("does not tell its format", "t.txt");
    try (TableReader reader =
        TableReader.open(session, file("t.txt"), Optional.of(TableFormat.CSV))) {
      assertEquals(1, rows(reader).get(0).getInt(0));
    }
  }

  @Test
  void anIteratorEndsWhenAnotherOneBeginsOrTheReaderCloses() throws IOException {
    text("t.csv", "a\n1\n2\n");
    TableReader reader = TableReader.open(session, file("t.csv"));
    var first = reader.rows();
    first.next();
    var second = reader.rows();
    assertFalse(first.hasNext());
    assertEquals(1, second.next().getInt(0));
    reader.close();
    assertThrows(NoSuchElementException.class, second::next);
    assertThrows(IllegalStateException.class, reader::rows);
  }

  @Test
  void whatIsNoTableIsRefusedInOneLineThatNamesTheFile() throws IOException {
    assertRefused("does not exist", "absent.parquet");
    Files.createDirectory(folder.resolve("none"));
    text("none/_SUCCESS", "");
    assertRefused("no data file", "none");
    text("header.csv", "a,b\n");
    assertRefused("is empty", "header.csv");
    text("zero.csv", "");
    assertRefused("is empty", "zero.csv");
    text("zero.json", "\n");
    assertRefused("is empty", "zero.json");
    session.range(5).filter("id < 0").write().parquet(file("norows.parquet").toString());
    assertRefused("is empty", "norows.parquet");
    text("text.parquet", "this is no Parquet file, whatever its name says");
    assertRefused("text.parquet is not a readable Parquet file", "text.parquet");
    text("empty.parquet", "");
    assertRefused("empty.parquet is not a readable Parquet file", "empty.parquet");
    text("parts/a=1/part-0.csv", "a\n1\n");
    assertRefused("holds a directory 'a=1'", "parts");
    text("mixed/a.csv", "a\n1\n");
    text("mixed/b.json", "{\"a\":1}\n");
    assertRefused("mixes formats: 'a.csv' and 'b.json'", "mixed");
    text("ragged.csv", "a,b\n1,2\n3\n");
    assertRefused("record 2: expected 2 fields as in the header line, found 1", "ragged.csv");
    text("twice.csv", "a,b,a\n1,2,3\n");
    assertRefused("names column 'a' twice", "twice.csv");
    text("headers/1.csv", "a,b\n1,2\n");
    text("headers/2.csv", "b,a\n1,2\n");
    assertRefused("2.csv does not have the header line of 1.csv", "headers");
    text("broken.json", "{\"a\":1}\n{\"a\":\n");
    assertRefused("broken.json, line 2 is not a record", "broken.json");
    text("array.json", "[{\"a\":1}]\n");
    assertRefused("must be a JSON object", "array.json");
    text("double.json", "{\"a\":1,\"a\":2}\n");
    assertRefused("field 'a' appears twice", "double.json");
    text("tail.json", "{\"a\":1} {\"a\":2}\n");
    assertRefused("text follows the object", "tail.json");
  }

  @Test
  void parquetFilesOfDifferentColumnsAreRefused() throws IOException {
    session.sql("SELECT 1 AS a, 2 AS b").write().parquet(file("p").toString());
    session.sql("SELECT 1 AS a, 2L AS b").write().parquet(file("q").toString());
    session.sql("SELECT 2 AS b, 1 AS a").write().parquet(file("r").toString());
    for (String other : List.of("q", "r")) {
      Files.createDirectory(folder.resolve("with-" + other));
      copyPart("p", "with-" + other + "/1.parquet");
      copyPart(other, "with-" + other + "/2.parquet");
    }
    assertRefused(
        "2.parquet does not have the columns of 1.parquet: column 2 is 'b' bigint"
            + " instead of 'b' int",
        "with-q");
    assertRefused("column 1 is 'b' int instead of 'a' int", "with-r");
  }

  @Test
  void aDamagedParquetPageIsOneLineThatNamesTheFile() throws IOException {
    session
        .sql("SELECT array(rand(1), rand(2)) AS x FROM range(0, 3000, 1, 1)")
        .write()
        .parquet(file("p").toString());
    copyPart("p", "damaged.parquet");
    java.nio.file.Path damaged = folder.resolve("damaged.parquet");
    byte[] bytes = Files.readAllBytes(damaged);
    for (int i = 4; i < bytes.length / 2; i++) {
      bytes[i] = (byte) 0x5A;
    }
    Files.write(damaged, bytes);
    try (TableReader reader = TableReader.open(session, file("damaged.parquet"))) {
      InvalidInputException e = assertThrows(InvalidInputException.class, () -> rows(reader));
      assertTrue(
          e.getMessage().contains("damaged.parquet cannot be read after record 0"), e::getMessage);
      assertEquals(1, e.getMessage().lines().count());
    }
  }

  private void assertRefused(String expected, String name) {
    InvalidInputException e =
        assertThrows(
            InvalidInputException.class,
            () -> {
              try (TableReader reader = TableReader.open(session, file(name))) {
                rows(reader);
              }
            });
    assertTrue(e.getMessage().contains(expected), e::getMessage);
    assertTrue(e.getMessage().contains(name), e::getMessage);
    assertEquals(1, e.getMessage().lines().count(), e::getMessage);
  }

  private static List<Row> rows(TableReader reader) {
    List<Row> rows = new ArrayList<>();
    reader.rows().forEachRemaining(rows::add);
    return rows;
  }

  private Path file(String name) {
    return new Path(folder.resolve(name).toUri());
  }

  private void text(String name, String content) throws IOException {
    Files.createDirectories(folder.resolve(name).getParent());
    Files.writeString(folder.resolve(name), content);
  }

  private void gzip(String name, String content) throws IOException {
    try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(folder.resolve(name)))) {
      out.write(content.getBytes(StandardCharsets.UTF_8));
    }
  }

  private void copyPart(String table, String to) throws IOException {
    try (var files = Files.list(folder.resolve(table))) {
      java.nio.file.Path part =
          files.filter(f -> f.getFileName().toString().startsWith("part-")).findFirst().get();
      Files.copy(part, folder.resolve(to));
    }
  }
}
