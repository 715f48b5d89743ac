package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.apache.hadoop.fs.FileUtil;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.ExchangeSession;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.client.ScoreProgress;
import org.fhespark.jobs.server.CorruptBlocks;
import org.fhespark.jobs.server.EvaluationJob;
import org.fhespark.jobs.server.EvaluationReport;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.udf.BlockTable;
import org.fhespark.udf.QuarantineTable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Blocks and files of blocks that are damaged, strict and lenient. */
class CorruptBlocksTest {
  /** Three blocks. */
  private static final int RECORDS = 9000;

  private static Artefacts shared;
  private static Path records;
  private static List<Row> expected;

  private Path folder;
  private JobsApart jobs;

  @BeforeAll
  static void score() {
    shared = Artefacts.shared();
    SparkSession spark = Digits.session();
    List<Row> images = Digits.images(spark);
    List<Row> rows = new ArrayList<>();
    for (int record = 0; record < RECORDS; record++) {
      rows.add(images.get(record % images.size()));
    }
    records = Digits.write(spark, "records", Digits.schema(), rows);
    spark.stop();
    Path scored = Digits.newFolder("scored").resolve("scored");
    CommandRun.of(
            "score",
            "--mode",
            "disable",
            "--client",
            shared.client().toString(),
            "--server",
            shared.server().toString(),
            "--input",
            records.toString(),
            "--output",
            scored.toString())
        .assertDone();
    expected = Digits.read(scored);
  }

  @BeforeEach
  void makeAFolder() {
    folder = Digits.newFolder("corrupt");
    jobs = new JobsApart(shared, folder);
  }

  /** The blocks that encrypt wrote, which are taken out of their folder. */
  private List<Row> encrypt() throws IOException {
    jobs.encrypt(records).assertDone();
    SparkSession spark = Digits.session();
    List<Row> blocks =
        spark.read().parquet(jobs.blocks().toString()).orderBy("number").collectAsList();
    spark.stop();
    FileUtil.fullyDelete(jobs.blocks().toFile());
    Files.createDirectories(jobs.blocks());
    assertEquals(3, blocks.size());
    return blocks;
  }

  /** A file of a table. */
  private static Path write(SparkSession spark, StructType schema, List<Row> rows, Path file)
      throws IOException {
    Path table = Digits.newFolder("table").resolve("table");
    spark.createDataFrame(rows, schema).coalesce(1).write().parquet(table.toString());
    Files.createDirectories(file.getParent());
    try (Stream<Path> parts = Files.list(table)) {
      return Files.move(
          parts.filter(part -> part.toString().endsWith(".parquet")).findFirst().get(), file);
    }
  }

  private static Row withBlock(Row row, UnaryOperator<byte[]> change) {
    Object[] values = new Object[row.length()];
    Arrays.setAll(values, row::get);
    values[5] = change.apply(((byte[]) values[5]).clone());
    return RowFactory.create(values);
  }

  /** A change of the header, with its checksum right again. */
  private static UnaryOperator<byte[]> header(Consumer<ByteBuffer> change) {
    return block -> {
      ByteBuffer fields = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
      change.accept(fields);
      CRC32C checksum = new CRC32C();
      checksum.update(block, 0, 124);
      fields.putInt(124, (int) checksum.getValue());
      return block;
    };
  }

  private static UnaryOperator<byte[]> flipped(int at) {
    return block -> {
      block[at < 0 ? block.length + at : at] ^= 1;
      return block;
    };
  }

  /** What may be wrong with a block, and what is said of it. */
  private static Map<UnaryOperator<byte[]>, String> kinds() {
    Map<UnaryOperator<byte[]>, String> kinds = new LinkedHashMap<>();
    kinds.put(flipped(90), "its header does not match its checksum");
    kinds.put(flipped(-7), "damaged");
    kinds.put(flipped(0), "no encrypted block");
    kinds.put(block -> Arrays.copyOf(block, block.length / 2), "encrypted block");
    kinds.put(block -> Arrays.copyOf(block, 100), "truncated: 100 bytes");
    kinds.put(block -> new byte[0], "truncated: 0 bytes");
    kinds.put(block -> null, "the column is null");
    kinds.put(header(fields -> fields.put(8, (byte) ~fields.get(8))), "not registered");
    kinds.put(header(fields -> fields.putShort(4, (short) 9)), "version 9");
    kinds.put(header(fields -> fields.put(6, (byte) 2)), "truncated or too long");
    kinds.put(header(fields -> fields.putInt(84, 1 << 30)), "encrypted block");
    kinds.put(header(fields -> fields.putLong(96, 5)), "header says number 5");
    return kinds;
  }

  /** Those that a strict job is shown; the others it would word in the same way. */
  private static final Set<String> STRICTLY =
      Set.of("damaged", "the column is null", "not registered");

  private EvaluationJob open(SparkSession spark) {
    return EvaluationJob.open(spark, Digits.hadoop(shared.server()), List.of(), List.of());
  }

  private EvaluationReport evaluate(EvaluationJob job, Path results, CorruptBlocks corrupt) {
    return job.run(Digits.hadoop(jobs.blocks()), Digits.hadoop(results), corrupt);
  }

  private void assertNamed(EvaluationJob job, Path results, String... names) {
    InvalidInputException refused =
        assertThrows(InvalidInputException.class, () -> evaluate(job, results, CorruptBlocks.FAIL));
    assertEquals(1, refused.getMessage().lines().count(), refused.getMessage());
    for (String name : names) {
      assertTrue(refused.getMessage().contains(name), name + " is not in " + refused.getMessage());
    }
  }

  @Test
  void fileRowAndReasonOfEveryKindOfDamageAreTold() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    try (EvaluationJob job = open(spark)) {
      List<Row> damaged = new ArrayList<>();
      for (Map.Entry<UnaryOperator<byte[]>, String> kind : kinds().entrySet()) {
        Row row = withBlock(blocks.get(1), kind.getKey());
        damaged.add(row);
        if (!STRICTLY.contains(kind.getValue())) {
          continue;
        }
        Path file = jobs.blocks().resolve("file.parquet");
        write(spark, blocks.get(0).schema(), List.of(blocks.get(0), row), file);
        Path results = folder.resolve("strict-" + damaged.size());
        assertNamed(
            job,
            results,
            file.toString(),
            ", row 1, block number " + row.getLong(3) + ": ",
            kind.getValue(),
            "--corrupt quarantine");
        Files.delete(file);
      }
      // All of them at once are put aside, and what is good is evaluated.
      Path file = jobs.blocks().resolve("all.parquet");
      List<Row> all = new ArrayList<>(damaged);
      all.add(4, blocks.get(0));
      write(spark, blocks.get(0).schema(), all, file);
      Path results = folder.resolve("lenient");
      EvaluationReport report = evaluate(job, results, CorruptBlocks.QUARANTINE);
      assertEquals(1, report.blocks());
      assertEquals(damaged.size(), report.quarantinedBlocks());
      assertEquals(0, report.quarantinedFiles());
      List<Row> aside = quarantined(spark, results);
      assertEquals(damaged.size(), aside.size());
      List<String> reasons = List.copyOf(kinds().values());
      for (int i = 0; i < aside.size(); i++) {
        Row row = aside.get(i);
        assertEquals("file:" + file, row.getAs(QuarantineTable.FILE));
        assertEquals(i < 4 ? i : i + 1L, row.<Long>getAs(QuarantineTable.ROW));
        String reason = row.getAs(QuarantineTable.REASON);
        assertTrue(reason.contains(reasons.get(i)), reason);
        assertEquals(damaged.get(i).getLong(3), row.getLong(3));
        byte[] block = row.getAs(BlockTable.BLOCK);
        assertTrue(Arrays.equals((byte[]) damaged.get(i).get(5), block));
      }
      assertEquals(1, spark.read().parquet(results.toString()).count());
    } finally {
      spark.stop();
    }
  }

  private static List<Row> quarantined(SparkSession spark, Path results) {
    return spark
        .read()
        .parquet(results.resolve("_quarantine").toString())
        .orderBy(QuarantineTable.FILE, QuarantineTable.ROW)
        .collectAsList();
  }

  @Test
  void filesThatCannotBeReadAreTold() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    try (EvaluationJob job = open(spark)) {
      StructType schema = blocks.get(0).schema();
      Map<Path, String> bad = new TreeMap<>();
      Path truncated = folder.resolve("bad/b-truncated.parquet");
      Artefacts.truncate(write(spark, schema, blocks, truncated));
      bad.put(truncated, "cannot be read: ");
      Path text = Files.writeString(folder.resolve("bad/c-text.parquet"), "no Parquet at all");
      bad.put(text, "not a Parquet file");
      Path inside = folder.resolve("bad/d-inside.parquet");
      write(spark, schema, List.of(blocks.get(0), blocks.get(1)), inside);
      byte[] bytes = Files.readAllBytes(inside);
      // The page's header of the first column.
      Arrays.fill(bytes, 4, 40, (byte) 0xff);
      Files.write(inside, bytes);
      bad.put(inside, "cannot be read");
      Path columns = folder.resolve("bad/e-columns.parquet");
      StructType other = StructType.fromDDL("number STRING, block BIGINT");
      write(spark, other, List.of(RowFactory.create("one", 1L)), columns);
      bad.put(columns, "");

      Path good = write(spark, schema, blocks, jobs.blocks().resolve("a-good.parquet"));
      int run = 0;
      for (Map.Entry<Path, String> one : bad.entrySet()) {
        Path copy = jobs.blocks().resolve(one.getKey().getFileName().toString());
        Files.copy(one.getKey(), copy);
        assertNamed(
            job,
            folder.resolve("strict-" + run++),
            "file",
            copy.toString(),
            one.getValue(),
            "--corrupt quarantine");
        if (one.getKey().equals(columns)) {
          // Where it is the only file, too.
          Files.move(good, folder.resolve("good"));
          assertNamed(job, folder.resolve("strict-" + run++), copy.toString());
          Files.move(folder.resolve("good"), good);
        }
        Files.delete(copy);
      }
      for (Path one : bad.keySet()) {
        Files.copy(one, jobs.blocks().resolve(one.getFileName().toString()));
      }
      Path results = folder.resolve("lenient");
      EvaluationReport report = evaluate(job, results, CorruptBlocks.QUARANTINE);
      assertEquals(3, report.blocks());
      assertEquals(4, report.quarantinedBlocks() + report.quarantinedFiles(), report.toString());
      List<String> files =
          quarantined(spark, results).stream()
              .map(row -> row.<String>getAs(QuarantineTable.FILE))
              .map(file -> file.substring(file.lastIndexOf('/') + 1))
              .toList();
      assertEquals(
          bad.keySet().stream().map(file -> file.getFileName().toString()).toList(), files);
      assertEquals(3, spark.read().parquet(results.toString()).count());
    } finally {
      spark.stop();
    }
  }

  @Test
  void recordsOfLostBlocksHaveNoOutputsAndAllOthersTheirs() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    StructType schema = blocks.get(0).schema();
    write(
        spark,
        schema,
        List.of(blocks.get(0), withBlock(blocks.get(1), flipped(-7))),
        jobs.blocks().resolve("a.parquet"));
    Path broken = jobs.blocks().resolve("b.parquet");
    Artefacts.truncate(write(spark, schema, List.of(blocks.get(2)), broken));
    spark.stop();

    CommandRun evaluated = jobs.evaluate(shared.server(), "--corrupt", "quarantine");
    evaluated.assertDone();
    assertTrue(evaluated.out().contains("evaluate: 1 blocks"), evaluated.out());
    assertTrue(
        evaluated.out().contains("1 blocks and 1 files could not be evaluated: "), evaluated.out());
    assertTrue(evaluated.out().contains("/_quarantine says"), evaluated.out());
    assertQuarantine(blocks.get(1).getLong(3), broken);

    // A job that ended between the two tables: the next writes the second.
    Path results = jobs.results();
    FileUtil.fullyDelete(results.resolve("_quarantine").toFile());
    Files.delete(results.resolve("_checkpoint/commits/0"));
    Files.deleteIfExists(results.resolve("_checkpoint/commits/.0.crc"));
    CommandRun again = jobs.evaluate(shared.server(), "--corrupt", "quarantine");
    again.assertDone();
    assertTrue(again.out().contains("evaluate: 0 blocks"), again.out());
    assertQuarantine(blocks.get(1).getLong(3), broken);
    CommandRun none = jobs.evaluate(shared.server(), "--corrupt", "quarantine");
    none.assertDone();
    assertFalse(none.out().contains("could not"), none.out());
    assertQuarantine(blocks.get(1).getLong(3), broken);
    // Nor does a strict job see them again.
    jobs.evaluate(shared.server()).assertDone();

    String[] tables = {
      "--out", jobs.blocks().toString(), "--output", folder.resolve("scored").toString()
    };
    jobs.decrypt(tables)
        .assertRefused(
            "lacks 2 of the 3 blocks of round 1",
            blocks.get(1).getLong(3) + " (could not be evaluated, file:" + jobs.blocks(),
            "a.parquet, row 1: ",
            "damaged",
            String.valueOf(blocks.get(2).getLong(3)),
            "--lost null");
    String[] lost =
        Stream.of(tables, new String[] {"--lost", "null"})
            .flatMap(Stream::of)
            .toArray(String[]::new);
    int kept = blocks.get(0).getInt(4);
    for (int round = 1; round <= 3; round++) {
      CommandRun decrypted = jobs.decrypt(lost);
      decrypted.assertDone();
      assertTrue(
          decrypted.out().contains((RECORDS - kept) + " records have no outputs"), decrypted.out());
      if (round < 3) {
        assertTrue(decrypted.out().contains("of 3: 1 blocks"), decrypted.out());
        jobs.evaluate(shared.server()).assertDone();
      }
    }
    List<Row> scored = Digits.read(folder.resolve("scored"));
    assertEquals(expected.size(), scored.size());
    int scoredRecords = 0;
    for (int record = 0; record < RECORDS; record++) {
      Row row = scored.get(record);
      int output = row.length() - 1;
      assertEquals(expected.get(record).getLong(0), row.getLong(0));
      if (!row.isNullAt(output)) {
        assertEquals(expected.get(record), row);
        scoredRecords++;
      }
    }
    assertEquals(kept, scoredRecords);
  }

  private void assertQuarantine(long number, Path broken) {
    SparkSession spark = Digits.session();
    List<Row> aside = quarantined(spark, jobs.results());
    assertEquals(1, spark.read().parquet(jobs.results().toString()).count());
    spark.stop();
    assertEquals(2, aside.size());
    assertEquals(number, aside.get(0).getLong(3));
    assertEquals(1L, aside.get(0).<Long>getAs(QuarantineTable.ROW));
    assertTrue(aside.get(1).isNullAt(3));
    assertEquals("file:" + broken, aside.get(1).getAs(QuarantineTable.FILE));
    String reason = aside.get(1).getAs(QuarantineTable.REASON);
    assertTrue(reason.contains("cannot be read: "), reason);
  }

  @Test
  void aDamagedResultIsNamedOrItsRecordsHaveNoOutputs() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    write(spark, blocks.get(0).schema(), blocks, jobs.blocks().resolve("a.parquet"));
    try (EvaluationJob job = open(spark)) {
      evaluate(job, folder.resolve("good"), CorruptBlocks.FAIL);
    }
    List<Row> results =
        spark.read().parquet(folder.resolve("good").toString()).orderBy("number").collectAsList();
    List<Row> damaged = new ArrayList<>(results);
    damaged.set(2, withBlock(results.get(2), flipped(-7)));
    Path file = jobs.results().resolve("results.parquet");
    write(spark, blocks.get(0).schema(), damaged, file);
    spark.stop();
    String[] tables = {"--out", jobs.blocks().toString()};
    jobs.decrypt(tables)
        .assertRefused(
            file.toString(),
            "block number " + blocks.get(2).getLong(3) + ", module seq.0",
            "damaged",
            "--lost null");
    CommandRun decrypted = jobs.decrypt("--out", jobs.blocks().toString(), "--lost", "null");
    decrypted.assertDone();
    assertTrue(
        decrypted.out().contains(blocks.get(2).getInt(4) + " records have no outputs"),
        decrypted.out());
  }

  @Test
  void aResultThatIsNullIsMissing() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    StructType schema = blocks.get(0).schema();
    write(spark, schema, blocks, jobs.blocks().resolve("a.parquet"));
    try (EvaluationJob job = open(spark)) {
      evaluate(job, folder.resolve("good"), CorruptBlocks.FAIL);
    }
    List<Row> results =
        spark.read().parquet(folder.resolve("good").toString()).orderBy("number").collectAsList();
    // As an outer join makes it.
    Row without = withBlock(results.get(1), block -> null);
    Path file = jobs.results().resolve("a.parquet");
    write(spark, schema, List.of(results.get(0), without, results.get(2)), file);
    Path other = jobs.results().resolve("b.parquet");
    Object[] values = new Object[schema.length()];
    values[schema.fieldIndex(BlockTable.BLOCK)] = results.get(1).get(5);
    write(spark, schema, List.of(results.get(0), RowFactory.create(values)), other);
    spark.stop();

    Path scored = folder.resolve("scored");
    String[] tables = {"--out", jobs.blocks().toString(), "--output", scored.toString()};
    jobs.decrypt(tables)
        .assertRefused(
            "results " + jobs.results(),
            "column 'number' is NULL",
            "file file:" + other + ", row 1",
            "leave out");
    Files.delete(other);
    jobs.decrypt(tables)
        .assertRefused(
            "lacks 1 of the 3 blocks of round 1, number " + blocks.get(1).getLong(3),
            "--lost null");
    spark = Digits.session();
    write(spark, schema, List.of(results.get(1)), other);
    spark.stop();
    jobs.decrypt(tables).assertDone();
  }

  @Test
  void aResultThatGoesWhileItIsReadIsNamed() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    StructType schema = blocks.get(0).schema();
    write(spark, schema, blocks, jobs.blocks().resolve("a.parquet"));
    HybridModel model = Digits.load(shared.model());
    try (EvaluationJob job = open(spark);
        ClientKey key = ClientKey.load(shared.keys().resolve("client.key"));
        ExchangeSession session = model.exchange(spark, key)) {
      evaluate(job, folder.resolve("good"), CorruptBlocks.FAIL);
      List<Row> results =
          spark.read().parquet(folder.resolve("good").toString()).orderBy("number").collectAsList();
      Path file = jobs.results().resolve("a.parquet");
      write(spark, schema, results, file);
      ScoreProgress replacing =
          new ScoreProgress() {
            @Override
            public void started(long records) {
              try {
                Files.delete(file);
                write(spark, schema, results.subList(0, 2), file);
              } catch (IOException error) {
                throw new UncheckedIOException(error);
              }
            }
          };
      InvalidInputException gone =
          assertThrows(
              InvalidInputException.class,
              () ->
                  session.decrypt(
                      jobs.state(),
                      Digits.hadoop(jobs.results()),
                      Optional.of(Digits.hadoop(jobs.blocks())),
                      Optional.empty(),
                      false,
                      replacing));
      assertTrue(
          gone.getMessage()
              .contains(
                  "block number "
                      + results.get(2).getLong(3)
                      + " is no longer in file file:"
                      + file),
          gone.getMessage());
    } finally {
      spark.stop();
    }
  }

  @Test
  void aWatchingJobPutsDamagedBlocksAsideAndGoesOn() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    StructType schema = blocks.get(0).schema();
    try (EvaluationJob job = open(spark)) {
      Watching watching = new Watching(job, CorruptBlocks.QUARANTINE);
      Row damaged = withBlock(blocks.get(1), flipped(-7));
      Path first = jobs.blocks().resolve("a.parquet");
      write(spark, schema, List.of(blocks.get(0), damaged), first);
      watching.awaitResults(spark, schema, 1);
      Path broken = jobs.blocks().resolve("b.parquet");
      Files.writeString(broken, "no Parquet at all");
      write(spark, schema, List.of(blocks.get(2)), jobs.blocks().resolve("c.parquet"));
      watching.awaitResults(spark, schema, 2);
      assertInstanceOf(CancellationException.class, watching.stop());

      // All of it in the tables, whether the last files came in one batch or in two.
      EvaluationReport rest = evaluate(job, jobs.results(), CorruptBlocks.QUARANTINE);
      assertEquals(0, rest.blocks());
      List<Row> aside = quarantined(spark, jobs.results());
      assertEquals(
          List.of("file:" + first, "file:" + broken),
          aside.stream().map(row -> row.<String>getAs(QuarantineTable.FILE)).toList());
      assertEquals(damaged.getLong(3), aside.get(0).getLong(3));
      assertEquals(2, spark.read().parquet(jobs.results().toString()).count());
    } finally {
      spark.stop();
    }
  }

  /** A job that watches the blocks on a thread of its own. */
  private final class Watching {
    private final AtomicReference<Throwable> ended = new AtomicReference<>();
    private final Thread thread;

    Watching(EvaluationJob job, CorruptBlocks corrupt) {
      thread =
          new Thread(
              () -> {
                try {
                  job.watch(
                      Digits.hadoop(jobs.blocks()),
                      Digits.hadoop(jobs.results()),
                      Duration.ofSeconds(1),
                      corrupt);
                } catch (Throwable error) {
                  ended.set(error);
                }
              });
      thread.start();
    }

    void awaitResults(SparkSession spark, StructType schema, int blocks)
        throws InterruptedException {
      while (!Files.exists(jobs.results())
          || spark.read().schema(schema).parquet(jobs.results().toString()).count() < blocks) {
        assertTrue(thread.isAlive(), () -> "ended: " + ended.get());
        Thread.sleep(100);
      }
    }

    /** What it ended with. */
    Throwable stop() throws InterruptedException {
      // Hadoop's shell commands for local files may swallow one.
      while (thread.isAlive()) {
        thread.interrupt();
        thread.join(1000);
      }
      return ended.get();
    }
  }

  @Test
  void aSecondJobOnTheSameResultsIsRefused() throws Exception {
    SparkSession spark = Digits.session();
    Files.createDirectories(jobs.blocks());
    Path leases = jobs.results().resolve("_evaluating");
    try (EvaluationJob job = open(spark)) {
      Watching watching = new Watching(job, CorruptBlocks.FAIL);
      String lease = lease(leases, "HOLDING");
      assertNamed(job, jobs.results(), jobs.results().toString(), "written by another job");
      assertInstanceOf(CancellationException.class, watching.stop());
      assertEquals(List.of(), files(leases));

      // Of a process of this machine that is gone.
      Path killed = leases.resolve("0-killed");
      Files.writeString(killed, "HOLDING " + lease.split(" ")[1] + " 4194305@1 7\n");
      assertEquals(0, evaluate(job, jobs.results(), CorruptBlocks.FAIL).blocks());
      assertFalse(Files.exists(killed));

      // Of one of another machine that goes on.
      Path elsewhere = leases.resolve("z-elsewhere");
      AtomicBoolean isOver = new AtomicBoolean();
      Thread beating =
          new Thread(
              () -> {
                try {
                  for (int beat = 0; !isOver.get(); beat++) {
                    Files.writeString(elsewhere, "HOLDING other/pid:[1] 7@1 " + beat + "\n");
                    Thread.sleep(500);
                  }
                } catch (InterruptedException | IOException error) {
                  throw new IllegalStateException(error);
                }
              });
      beating.start();
      lease(leases, "HOLDING other");
      assertNamed(job, jobs.results(), "written by another job, process 7@1");
      isOver.set(true);
      beating.join();
    } finally {
      spark.stop();
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    if (!Files.exists(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> !file.getFileName().toString().startsWith(".")).toList();
    }
  }

  /** What a job writes while it runs, once it begins so. */
  private static String lease(Path leases, String beginning) throws Exception {
    while (true) {
      for (Path file : files(leases)) {
        String text = Files.readString(file);
        if (text.startsWith(beginning) && text.endsWith("\n")) {
          return text;
        }
      }
      Thread.sleep(50);
    }
  }

  private List<String> evaluateCommand(String... more) {
    List<String> command =
        new ArrayList<>(
            List.of(
                "evaluate",
                "--server",
                shared.server().toString(),
                "--input",
                jobs.blocks().toString(),
                "--out",
                jobs.results().toString()));
    command.addAll(List.of(more));
    return command;
  }

  @Test
  void aProcessSaysOneLineWhateverSparkLogs() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    Path file = jobs.blocks().resolve("a.parquet");
    List<Row> rows = List.of(blocks.get(0), withBlock(blocks.get(1), flipped(-7)));
    write(spark, blocks.get(0).schema(), rows, file);
    spark.stop();
    new ChildJvm()
        .run(FheSpark.class, evaluateCommand("--master", "local[2]"))
        .assertRefused(file + ", row 1, block number " + blocks.get(1).getLong(3), "damaged");
    // Memory that is not there is another thing: no block is at fault, and no process ends.
    new ChildJvm()
        .option("-XX:MaxDirectMemorySize=1m")
        .run(FheSpark.class, evaluateCommand("--master", "local[2]", "--corrupt", "quarantine"))
        .assertRefusedAmongLogs("cannot be evaluated", "direct");
    assertFalse(Files.exists(jobs.results().resolve("_quarantine")));
    // What could not be evaluated for want of memory is by the next job.
    CommandRun next = jobs.evaluate(shared.server(), "--corrupt", "quarantine");
    next.assertDone();
    assertTrue(next.out().contains("evaluate: 1 blocks"), next.out());
  }

  @Test
  @Tag("slow")
  void aFullDiskIsOneLineAndTheNextJobGoesOn() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    List<Row> many = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      many.add(blocks.get(i % 3));
    }
    write(spark, blocks.get(0).schema(), many, jobs.blocks().resolve("a.parquet"));
    spark.stop();
    // Too little for the file of results, but enough for the native libraries'.
    CommandRun run =
        new ChildJvm()
            .fileSizeLimit(58_000)
            .run(
                FheSpark.class,
                evaluateCommand(
                    "--master",
                    "local[1]",
                    "--conf",
                    "spark.sql.files.maxPartitionBytes=1g",
                    "--corrupt",
                    "quarantine"));
    run.assertRefusedAmongLogs(jobs.results().toString(), "cannot be evaluated", "have room");
    assertFalse(Files.exists(jobs.results().resolve("_quarantine")));
    CommandRun next = jobs.evaluate(shared.server());
    next.assertDone();
    assertTrue(next.out().contains("evaluate: 100 blocks"), next.out());
  }

  @Test
  @Tag("slow")
  void executorsOfTheirOwnSayThatLineToo() throws Exception {
    List<Row> blocks = encrypt();
    SparkSession spark = Digits.session();
    Path file = jobs.blocks().resolve("a.parquet");
    List<Row> rows = List.of(blocks.get(0), withBlock(blocks.get(1), flipped(-7)));
    write(spark, blocks.get(0).schema(), rows, file);
    Path broken = jobs.blocks().resolve("b.parquet");
    Artefacts.truncate(write(spark, blocks.get(0).schema(), List.of(blocks.get(2)), broken));
    spark.stop();
    String[] cluster = {
      "--master",
      "local-cluster[2,1,1024]",
      "--conf",
      "spark.ui.enabled=false",
      "--conf",
      "spark.executor.memory=512m",
      "--conf",
      "spark.executor.extraClassPath=" + System.getProperty("java.class.path")
    };
    new ChildJvm()
        .executors(folder)
        .run(FheSpark.class, evaluateCommand(cluster))
        .assertRefused("--corrupt quarantine", jobs.blocks().toString());
    List<String> lenient = evaluateCommand(cluster);
    lenient.addAll(List.of("--corrupt", "quarantine"));
    CommandRun run =
        new ChildJvm().executors(Digits.newFolder("more")).run(FheSpark.class, lenient);
    run.assertDone();
    assertTrue(run.out().contains("evaluate: 1 blocks"), run.out());
    assertQuarantine(blocks.get(1).getLong(3), broken);
  }
}
