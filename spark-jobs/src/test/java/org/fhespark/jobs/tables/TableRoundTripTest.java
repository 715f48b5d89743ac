package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.apache.hadoop.fs.FileUtil;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.ArraySeq;
import scala.jdk.javaapi.CollectionConverters;

class TableRoundTripTest {
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "text STRING, n BIGINT, f FLOAT, x ARRAY<FLOAT>, ids ARRAY<BIGINT>,"
              + " nested ARRAY<ARRAY<DOUBLE>>");
  private static SparkSession session;
  private static java.nio.file.Path folder;

  @BeforeContainer
  static void start() throws IOException {
    session = LocalSession.start();
    folder = Files.createTempDirectory("round-trip");
  }

  @AfterContainer
  static void stop() {
    session.stop();
    FileUtil.fullyDelete(folder.toFile());
  }

  @Property(tries = 20)
  void parquetGivesBackTheRowsThatWereWrittenInTheirOrder(
      @ForAll("rows") @Size(min = 1, max = 30) List<Row> rows,
      @ForAll @IntRange(min = 8, max = 30) int rowsPerFile) {
    assertEquals(rows, writeAndRead(rows, SCHEMA, TableFormat.PARQUET, rowsPerFile));
  }

  @Property(tries = 20)
  void csvAndJsonGiveBackDoublesExactly(
      @ForAll @Size(min = 1, max = 30) List<Double> values,
      @ForAll @IntRange(min = 8, max = 30) int rowsPerFile) {
    StructType schema = StructType.fromDDL("id STRING, v DOUBLE");
    List<Row> rows = values.stream().map(v -> RowFactory.create("r" + v, v)).toList();
    assertEquals(rows, writeAndRead(rows, schema, TableFormat.CSV, rowsPerFile));
    assertEquals(rows, writeAndRead(rows, schema, TableFormat.JSON, rowsPerFile));
  }

  @Provide
  Arbitrary<List<Row>> rows() {
    Arbitrary<String> text = Arbitraries.strings().ofMaxLength(8).injectNull(0.1);
    Arbitrary<Float> floats = Arbitraries.floats();
    Arbitrary<Object> vector =
        floats.array(float[].class).ofMaxSize(9).map(v -> (Object) new ArraySeq.ofFloat(v));
    Arbitrary<Object> ids =
        Arbitraries.longs().array(long[].class).ofMaxSize(9).map(ArraySeq.ofLong::new);
    Arbitrary<Object> nested =
        Arbitraries.doubles()
            .list()
            .ofMaxSize(3)
            .injectNull(0.1)
            .map(v -> v == null ? null : CollectionConverters.asScala(v))
            .list()
            .ofMaxSize(3)
            .map(CollectionConverters::asScala);
    return Combinators.combine(
            text, Arbitraries.longs().injectNull(0.1), floats, vector.injectNull(0.1), ids, nested)
        .as((t, n, f, x, i, d) -> RowFactory.create(t, n, f, x, i, d))
        .list();
  }

  private static List<Row> writeAndRead(
      List<Row> rows, StructType schema, TableFormat format, int rowsPerFile) {
    Path out = new Path(folder.resolve(UUID.randomUUID().toString()).toUri());
    try (TableWriter writer =
        TableWriter.create(session, out, schema, format, false, rowsPerFile)) {
      rows.forEach(writer::write);
      writer.commit();
    }
    List<Row> read = new ArrayList<>();
    try (TableReader reader = TableReader.open(session, out)) {
      reader.rows().forEachRemaining(read::add);
    }
    return read;
  }
}
