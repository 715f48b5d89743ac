package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FileUtil;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** encrypt --group-by, evaluate --sum and decrypt --aggregate. */
class AggregatesTest {
  private static final int SUMS = 4;

  /** More than two blocks hold. */
  private static final int LARGEST = 9000;

  private static final StructType SCHEMA =
      StructType.fromDDL("id BIGINT, pixels ARRAY<FLOAT>, place STRING");

  private static Artefacts model;
  private static RemoteCallSpec last;
  private static Path records;

  /** Records of each group, in the order in which the groups come. */
  private static final Map<String, Integer> COUNTS = new LinkedHashMap<>();

  /** Of each group, the accumulators of mode disable, added up. */
  private static final Map<String, long[]> ACCUMULATORS = new LinkedHashMap<>();

  /** Of each group, the floats of mode disable, added up. */
  private static final Map<String, double[]> SUMS_IN_CLEAR = new LinkedHashMap<>();

  private Path folder;

  @BeforeAll
  static void scoreInClear() {
    SparkSession spark = Digits.session();
    model = compile(spark, SUMS, "seq.4");
    last = Digits.load(model.model()).specs().remote().get(0);
    List<Row> rows = new ArrayList<>();
    List<Row> images = Digits.images(spark);
    Random random = new Random(5);
    for (int record = 0; record < LARGEST + 1000; record++) {
      String place =
          record == 800 ? "one" : record % 10 > 0 ? "many" : record < 7000 ? "some" : null;
      List<Float> pixels = new ArrayList<>();
      for (float pixel : images.get(record % images.size()).<Float>getList(1)) {
        pixels.add(pixel + random.nextFloat());
      }
      rows.add(RowFactory.create((long) record, pixels.toArray(), place));
      COUNTS.merge(String.valueOf(place), 1, Integer::sum);
    }
    records = Digits.write(spark, "records", SCHEMA, rows);
    spark.stop();
    assertEquals(Map.of("some", 699, "many", LARGEST, "one", 1, "null", 300), COUNTS);

    Path scored = Digits.newFolder("scored").resolve("scored");
    CommandRun.of(
            "score",
            "--mode",
            "disable",
            "--client",
            model.client().toString(),
            "--server",
            model.server().toString(),
            "--input",
            records.toString(),
            "--output",
            scored.toString())
        .assertDone();
    for (Row row : Digits.read(scored)) {
      add(String.valueOf(row.getString(2)), row.getList(3));
    }
  }

  private static Artefacts compile(SparkSession spark, int sums, String... modules) {
    Path compiled =
        Digits.compile(spark, CompileOptions.remote(List.of(modules)).sums(sums).build());
    return new Artefacts(compiled, Artefacts.newKeys(compiled));
  }

  /** A value has few enough bits for the integer to be told from it. */
  private static void add(String group, List<Float> logits) {
    long[] accumulators = ACCUMULATORS.computeIfAbsent(group, unused -> new long[Digits.CLASSES]);
    double[] sums = SUMS_IN_CLEAR.computeIfAbsent(group, unused -> new double[Digits.CLASSES]);
    for (int j = 0; j < Digits.CLASSES; j++) {
      double exact = (logits.get(j) - (double) last.bias()[j]) / scale(j);
      assertEquals(Math.rint(exact), exact, 0.2);
      accumulators[j] += Math.round(exact);
      sums[j] += logits.get(j);
    }
  }

  private static double scale(int output) {
    return (double) last.quantization().staticScale() * last.weightScales()[output];
  }

  @BeforeEach
  void makeAFolder() {
    folder = Digits.newFolder("aggregates");
  }

  private CommandRun encrypt(Artefacts with, Path input, String... more) {
    return new JobsApart(with, folder).encrypt(input, more);
  }

  private CommandRun evaluate(String results, String... more) {
    return new JobsApart(model, folder, results).evaluate(model.server(), more);
  }

  private CommandRun decrypt(String results, String... more) {
    List<String> arguments =
        new ArrayList<>(List.of("--output", folder.resolve("told").toString()));
    arguments.addAll(List.of(more));
    return new JobsApart(model, folder, results).decrypt(arguments.toArray(String[]::new));
  }

  private void assertAggregates(boolean isMean) {
    List<Row> told = Digits.read(folder.resolve("told"));
    assertEquals(
        List.copyOf(COUNTS.keySet()),
        told.stream().map(row -> String.valueOf(row.getString(0))).toList());
    for (Row row : told) {
      String group = String.valueOf(row.getString(0));
      long count = COUNTS.get(group);
      assertEquals(count, row.getLong(1));
      double divisor = isMean ? count : 1;
      List<Double> values = row.getList(2);
      for (int j = 0; j < Digits.CLASSES; j++) {
        double exact = ACCUMULATORS.get(group)[j] * scale(j) + (double) last.bias()[j] * count;
        assertEquals(exact / divisor, values.get(j), group + " " + j);
        double floats = SUMS_IN_CLEAR.get(group)[j] / divisor;
        assertEquals(floats, values.get(j), 1e-5 * count / divisor, group + " " + j);
      }
    }
    assertEquals(List.of("place", "count", "logits"), List.of(told.get(0).schema().fieldNames()));
  }

  @Test
  void sumsOfGroupsAreThoseOfTheScoresInClear() throws Exception {
    CommandRun encrypted = encrypt(model, records, "--group-by", "place");
    encrypted.assertDone();
    assertTrue(encrypted.out().contains("10000 records of 4 groups"), encrypted.out());
    assertTrue(encrypted.out().contains("6 blocks of 3008"), encrypted.out());
    // Neither records nor groups' values are with the blocks, records nowhere.
    List<Row> blocks = readBlocks("blocks");
    assertEquals(6, blocks.size());
    assertEquals(
        List.of("circuit", "module", "key", "number", "records", "block", "group", "group_blocks"),
        List.of(blocks.get(0).schema().fieldNames()));
    assertEquals(4, blocks.stream().map(row -> row.getLong(6)).distinct().count());
    assertFalse(Files.exists(folder.resolve("state/records")));

    CommandRun evaluated = sumOnExecutors();
    assertEquals(0, evaluated.status(), evaluated.err());
    assertTrue(evaluated.out().contains("6 blocks, added to 4 sums"), evaluated.out());
    CommandRun again = evaluate("sums", "--sum");
    again.assertDone();
    assertTrue(again.out().contains("0 blocks, added to 0 sums"), again.out());

    evaluate("sums").assertRefused("blocks or sums already", "another folder");
    decrypt("sums").assertRefused("in groups", "--aggregate");
    decrypt("sums", "--aggregate", "max").assertRefused("--aggregate", "sum, mean");
    decrypt("sums", "--aggregate", "sum").assertDone();
    assertAggregates(false);
    decrypt("sums", "--aggregate", "sum", "--overwrite").assertRefused("scored already");
    try (Stream<Path> left = Files.walk(folder.resolve("state"))) {
      List<Path> files = left.filter(Files::isRegularFile).toList();
      assertEquals(List.of(folder.resolve("state/state.json")), files);
    }
  }

  /** evaluate --sum with executors that are processes of their own. */
  private CommandRun sumOnExecutors() throws Exception {
    return new ChildJvm()
        .executors(folder)
        .run(
            FheSpark.class,
            List.of(
                "evaluate",
                "--sum",
                "--master",
                "local-cluster[2,1,1024]",
                "--conf",
                "spark.ui.enabled=false",
                "--conf",
                "spark.executor.memory=512m",
                "--conf",
                "spark.executor.extraClassPath=" + System.getProperty("java.class.path"),
                "--server",
                model.server().toString(),
                "--input",
                folder.resolve("blocks").toString(),
                "--out",
                folder.resolve("sums").toString()));
  }

  private List<Row> readBlocks(String table) {
    SparkSession spark = Digits.session();
    try {
      return spark.read().parquet(folder.resolve(table).toString()).collectAsList();
    } finally {
      spark.stop();
    }
  }

  @Test
  void groupsAreAddedOnceTheyAreWhole() throws IOException {
    encrypt(model, records, "--group-by", "place").assertDone();
    Path all = folder.resolve("all");
    Files.move(folder.resolve("blocks"), all);
    // The blocks come in two parts, between which a group is cut.
    List<Row> blocks = readBlocks("all");
    List<Row> ofMany = blocks.stream().filter(row -> row.getInt(7) > 1).toList();
    List<Row> early = new ArrayList<>(blocks);
    early.remove(ofMany.get(1));
    write(early, "blocks", "blocks");
    CommandRun first = evaluate("sums", "--sum");
    first.assertDone();
    assertTrue(first.out().contains("3 blocks, added to 3 sums"), first.out());
    assertTrue(first.out().contains("1 groups lack blocks"), first.out());
    decrypt("sums", "--aggregate", "mean").assertRefused("lacks 1 of the 4 sums");

    write(List.of(ofMany.get(1)), "blocks", "late");
    Files.move(folder.resolve("late"), folder.resolve("blocks/late.parquet"));
    CommandRun second = evaluate("sums", "--sum");
    second.assertDone();
    assertTrue(second.out().contains("3 blocks, added to 1 sums"), second.out());
    decrypt("sums", "--aggregate", "mean").assertDone();
    assertAggregates(true);
  }

  @Test
  void aBlockThatIsThereTwiceIsNotAddedTwice() throws IOException {
    encrypt(model, records, "--group-by", "place").assertDone();
    Path blocks = folder.resolve("blocks");
    Path file;
    try (Stream<Path> files = Files.list(blocks)) {
      file = files.filter(one -> one.toString().endsWith(".parquet")).findFirst().get();
    }
    Path copy = blocks.resolve("copy.parquet");
    Files.copy(file, copy);
    evaluate("sums", "--sum")
        .assertRefused("is there twice", file.toString(), copy.toString(), "take one of them away");
    Files.delete(copy);
    evaluate("sums", "--sum").assertDone();
    // Of groups that have their sums nothing is added any more.
    Files.copy(file, copy);
    CommandRun again = evaluate("sums", "--sum");
    again.assertDone();
    assertTrue(again.out().contains("0 blocks, added to 0 sums"), again.out());
  }

  /** Writes blocks of groups as a table of one file, or as its file alone. */
  private void write(List<Row> blocks, String table, String as) throws IOException {
    SparkSession spark = Digits.session();
    Path written = folder.resolve("written");
    spark
        .createDataFrame(blocks, blocks.get(0).schema())
        .coalesce(1)
        .write()
        .parquet(written.toString());
    spark.stop();
    if (as.equals(table)) {
      Files.move(written, folder.resolve(table));
      return;
    }
    try (Stream<Path> files = Files.list(written)) {
      Path part = files.filter(file -> file.toString().endsWith(".parquet")).findFirst().get();
      Files.move(part, folder.resolve(as));
    }
    FileUtil.fullyDelete(written.toFile());
  }

  @Test
  void whatExceedsTheBudgetIsRefusedOnBothSides() throws IOException {
    SparkSession spark = Digits.session();
    Artefacts ofTwo = compile(spark, 2, "seq.4");
    spark.stop();
    encrypt(ofTwo, records, "--group-by", "place")
        .assertRefused("module seq.4", "9000 records", "3 blocks of 4096", "--sums 3");

    encrypt(model, records, "--group-by", "place").assertDone();
    Files.move(folder.resolve("blocks"), folder.resolve("all"));
    spark = Digits.session();
    spark
        .read()
        .parquet(folder.resolve("all").toString())
        .withColumn("group", functions.lit(7L))
        .withColumn("group_blocks", functions.lit(6))
        .write()
        .parquet(folder.resolve("blocks").toString());
    spark.stop();
    evaluate("sums", "--sum").assertRefusedAmongLogs("results would exceed the 4", "--sums");
  }

  @Test
  void sumsOfOtherBlocksAreNotTakenForAGroups() throws IOException {
    encrypt(model, records, "--group-by", "place").assertDone();
    // Two of the three groups of one block each change places.
    Files.move(folder.resolve("blocks"), folder.resolve("all"));
    List<Row> blocks = readBlocks("all");
    List<Long> single =
        blocks.stream().filter(row -> row.getInt(7) == 1).map(row -> row.getLong(6)).toList();
    Map<Long, Long> other = Map.of(single.get(0), single.get(1), single.get(1), single.get(0));
    List<Row> changed = blocks.stream().map(row -> withGroup(row, other)).toList();
    SparkSession spark = Digits.session();
    spark
        .createDataFrame(changed, blocks.get(0).schema())
        .write()
        .parquet(folder.resolve("blocks").toString());
    spark.stop();
    evaluate("sums", "--sum").assertDone();
    decrypt("sums", "--aggregate", "sum")
        .assertRefused("module seq.4, group ", "the sum of other blocks than the 1 of the group");

    // Results that nobody has added are told from sums.
    evaluate("results").assertDone();
    decrypt("results", "--aggregate", "sum").assertRefused("holds results, no sums", "--sum");
    evaluate("results", "--sum").assertRefused("not added", "another folder");
  }

  @Test
  void aSumThatIsNullIsMissingAndMadeAgain() throws IOException {
    encrypt(model, records, "--group-by", "place").assertDone();
    evaluate("all", "--sum").assertDone();
    List<Row> sums = new ArrayList<>(readBlocks("all"));
    Row whole = sums.get(2);
    sums.set(2, with(whole, "block", null));
    write(sums, "sums", "sums");
    decrypt("sums", "--aggregate", "sum").assertRefused("lacks 1 of the 4 sums");
    CommandRun again = evaluate("sums", "--sum");
    again.assertDone();
    assertTrue(again.out().contains(", added to 1 sums"), again.out());
    decrypt("sums", "--aggregate", "sum").assertDone();
    assertAggregates(false);
  }

  @Test
  void rowsOfNoGroupAreNamed() throws IOException {
    encrypt(model, records, "--group-by", "place").assertDone();
    evaluate("all", "--sum").assertDone();
    List<Row> sums = new ArrayList<>(readBlocks("all"));
    sums.set(1, with(sums.get(1), "number", null));
    write(sums, "sums", "sums");
    String[] told = {
      "results " + folder.resolve("sums"), "'number' is NULL", "row 1;", "leave out"
    };
    evaluate("sums", "--sum").assertRefused(told);
    decrypt("sums", "--aggregate", "sum").assertRefused(told);

    Files.move(folder.resolve("blocks"), folder.resolve("whole"));
    for (String column : List.of("group", "group_blocks", "number")) {
      List<Row> blocks = new ArrayList<>(readBlocks("whole"));
      blocks.set(1, with(blocks.get(1), column, null));
      write(blocks, "blocks", "blocks");
      evaluate("more", "--sum")
          .assertRefused(
              "blocks " + folder.resolve("blocks"), "'" + column + "' is NULL", "row 1;");
      FileUtil.fullyDelete(folder.resolve("blocks").toFile());
    }
  }

  private static Row with(Row row, String column, Object value) {
    Object[] values = IntStream.range(0, row.length()).mapToObj(row::get).toArray();
    values[row.fieldIndex(column)] = value;
    return RowFactory.create(values);
  }

  private static Row withGroup(Row row, Map<Long, Long> other) {
    Object[] values = IntStream.range(0, row.length()).mapToObj(row::get).toArray();
    values[6] = other.getOrDefault(row.getLong(6), row.getLong(6));
    return RowFactory.create(values);
  }

  @Test
  void modelsWhoseSumsWouldBeOthersAreRefused() {
    SparkSession spark = Digits.session();
    Artefacts followed = compile(spark, 2, "seq.2");
    Artefacts ofTwoRounds = compile(spark, 2, "seq.2", "seq.4");
    Artefacts notForSums = compile(spark, 1, "seq.4");
    spark.stop();
    encrypt(followed, records, "--group-by", "place")
        .assertRefused("output 'logits'", "in clear behind module seq.2", "export the model");
    encrypt(ofTwoRounds, records, "--group-by", "place")
        .assertRefused("module seq.2: module seq.4 comes behind it", "one round");
    encrypt(notForSums, records, "--group-by", "place")
        .assertRefused("module seq.4", "not compiled for sums", "--sums");
    encrypt(model, records, "--group-by", "plaice").assertRefused("'plaice'", "id, pixels, place");
    encrypt(model, records, "--group-by", "pixels").assertRefused("'pixels'", "plain values");
    encrypt(model, records, "--group-by", "place", "--on-cluster")
        .assertRefused("--group-by", "--on-cluster");
    assertFalse(Files.exists(folder.resolve("state")));
    evaluate("sums", "--sum", "--stream").assertRefused("--sum", "--stream");
    evaluate("sums", "--sum").assertRefused("holds no blocks");
    encrypt(model, records).assertDone();
    evaluate("sums", "--sum").assertRefused("no column 'group'", "--group-by");
    decrypt("sums", "--aggregate", "sum").assertRefused("in no groups", "--group-by");
  }

  @Test
  void aNumericColumnOfGroupsIsNoFeatureAmongPlainColumns() {
    SparkSession spark = Digits.session();
    StructType schema = new StructType().add("site", "int");
    for (int pixel = 0; pixel < 64; pixel++) {
      schema = schema.add("p" + pixel, "float");
    }
    List<Row> rows = new ArrayList<>();
    for (Row image : Digits.images(spark).subList(0, 20)) {
      List<Object> values = new ArrayList<>(List.of((int) (image.getLong(0) % 3)));
      values.addAll(image.<Float>getList(1));
      rows.add(RowFactory.create(values.toArray()));
    }
    Path plain = Digits.write(spark, "plain", schema, rows);
    spark.stop();
    encrypt(model, plain, "--group-by", "site").assertDone();
    evaluate("sums", "--sum").assertDone();
    decrypt("sums", "--aggregate", "mean").assertDone();
    List<Row> told = Digits.read(folder.resolve("told"));
    assertEquals(
        List.of("0 7", "1 7", "2 6"),
        told.stream().map(row -> row.getInt(0) + " " + row.getLong(1)).sorted().toList());
  }
}
