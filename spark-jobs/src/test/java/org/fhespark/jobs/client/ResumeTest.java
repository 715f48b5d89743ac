package org.fhespark.jobs.client;

import static org.fhespark.jobs.client.SameFiles.assertSameFiles;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Runs of {@code score} that end early, and those that go on. */
class ResumeTest {
  private static final int PART = 1500;

  private static SparkSession spark;

  private static HybridModel model;
  private static HybridModel other;
  private static ClientKey key;

  /** Four waves of two blocks, in parts that begin anywhere in a block; the last part is short. */
  private static List<Row> rows;

  private Path folder;
  private Path output;

  /** What a test ends a run with. */
  private static final class Killed extends RuntimeException {
    private static final long serialVersionUID = 1;
  }

  @BeforeAll
  static void start() {
    SparkConf conf = SparkSettings.addTo(new SparkConf());
    spark = Digits.session(conf.set(PartSize.RECORDS, Integer.toString(PART)));
    model = Digits.load(Digits.compiled(spark));
    other = Digits.load(Digits.compile(spark, CompileOptions.remote(List.of("seq.4")).build()));
    key = model.newKey();
    int block =
        model.specs().remote().stream()
            .mapToInt(call -> call.parameters().maxRecords())
            .min()
            .orElseThrow();
    rows = images(7 * block - block / 2);
  }

  @AfterAll
  static void stop() {
    key.close();
    spark.stop();
  }

  @BeforeEach
  void chooseAnOutput() {
    folder = Digits.newFolder("resume");
    output = folder.resolve("scored");
  }

  /** As many images as asked for, no two parts of them the same. */
  private static List<Row> images(int count) {
    List<Row> images = Digits.images(spark);
    List<Row> records = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Row image = images.get(i % Digits.IMAGES);
      records.add(RowFactory.create((long) i, image.get(1), image.get(2), image.get(3)));
    }
    return records;
  }

  private static Path table(List<Row> records) {
    return Digits.write(spark, "records", Digits.schema(), records);
  }

  private static HybridSession session(HybridModel model, Mode mode) {
    return mode.isEncrypted() ? model.session(spark, mode, key) : model.session(spark, mode);
  }

  private static ScoreReport score(HybridModel model, Mode mode, Path table, Path output) {
    try (HybridSession session = session(model, mode)) {
      return session.score(
          Digits.hadoop(table), Digits.hadoop(output), false, ScoreProgress.SILENT);
    }
  }

  /** Ends a run when so many records are done; returns how many were. */
  private long scoreUntil(long records, Mode mode, Path table) {
    AtomicLong done = new AtomicLong();
    ScoreProgress progress =
        new ScoreProgress() {
          @Override
          public void recordsDone(long more) {
            if (done.addAndGet(more) >= records) {
              throw new Killed();
            }
          }
        };
    try (HybridSession session = session(model, mode)) {
      assertThrows(
          Killed.class,
          () -> session.score(Digits.hadoop(table), Digits.hadoop(output), false, progress));
    }
    assertFalse(Files.exists(output));
    return done.get();
  }

  private List<String> beside() throws IOException {
    try (Stream<Path> inside = Files.list(folder)) {
      return inside.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private static long whole(long records) {
    return records / PART * PART;
  }

  @ParameterizedTest
  @EnumSource(
      value = Mode.class,
      names = {"TORCH", "DISABLE", "EXECUTE"})
  void aRunGoesOnFromWhatOthersFinished(Mode mode) throws Exception {
    Path table = table(rows);
    Path undisturbed = Digits.newFolder("undisturbed").resolve("scored");
    assertEquals(0, score(model, mode, table, undisturbed).takenOver());
    long first = scoreUntil(1, mode, table);
    long second = scoreUntil(whole(first) + PART, mode, table);
    assertTrue(second > first && second < rows.size(), first + ", " + second);
    ScoreReport report = score(model, mode, table, output);
    assertEquals(rows.size(), report.records());
    assertEquals(whole(second), report.takenOver());
    assertSameFiles(undisturbed, output);
    assertEquals(List.of("scored"), beside());
  }

  /** As after a run that was killed when all it had to do was to name the output. */
  @ParameterizedTest
  @EnumSource(
      value = Mode.class,
      names = {"DISABLE", "EXECUTE"})
  void aRunMayHaveNothingLeftToScore(Mode mode) throws Exception {
    Path table = table(rows.subList(0, 4 * PART));
    scoreUntil(4 * PART, mode, table);
    ScoreReport report = score(model, mode, table, output);
    assertEquals(4 * PART, report.records());
    assertEquals(4 * PART, report.takenOver());
    Path undisturbed = Digits.newFolder("undisturbed").resolve("scored");
    score(model, mode, table, undisturbed);
    assertSameFiles(undisturbed, output);
    assertEquals(List.of("scored"), beside());
  }

  @Test
  void onlyThePartsOfChangedRecordsAreScoredAgain() throws Exception {
    scoreUntil(rows.size(), Mode.DISABLE, table(rows));
    List<Row> changed = new ArrayList<>(rows);
    Row row = rows.get(5 * PART + 7);
    changed.set(5 * PART + 7, RowFactory.create(row.get(0), row.get(1), row.get(2), "other"));
    Path table = table(changed);
    ScoreReport report = score(model, Mode.DISABLE, table, output);
    assertEquals(whole(rows.size()) - PART, report.takenOver());
    Path undisturbed = Digits.newFolder("undisturbed").resolve("scored");
    score(model, Mode.DISABLE, table, undisturbed);
    assertSameFiles(undisturbed, output);
    assertEquals(List.of("scored"), beside());
  }

  @Test
  void partsOfTheSameRecordsCountAsOftenAsTheyAreThere() throws Exception {
    List<Row> repeated = new ArrayList<>();
    for (int part = 0; part < 12; part++) {
      int from = part % 3 == 1 ? PART : 0;
      repeated.addAll(rows.subList(from, from + PART));
    }
    Path table = table(repeated);
    long done = scoreUntil(1, Mode.DISABLE, table);
    assertTrue(done < repeated.size(), done + " of " + repeated.size());
    // Eight parts are the same.
    ScoreReport report = score(model, Mode.DISABLE, table, output);
    assertEquals(whole(done), report.takenOver());
    Path undisturbed = Digits.newFolder("undisturbed").resolve("scored");
    score(model, Mode.DISABLE, table, undisturbed);
    assertSameFiles(undisturbed, output);
  }

  @Test
  void anotherModelOrModeTakesNothingOver() throws Exception {
    Path table = table(rows);
    scoreUntil(rows.size(), Mode.DISABLE, table);
    List<String> left = beside();
    assertEquals(1, left.size());
    assertTrue(left.get(0).startsWith(".scored.unfinished-"), left.get(0));
    assertEquals(0, score(model, Mode.TORCH, table, output).takenOver());
    try (HybridSession session = other.session(spark, Mode.DISABLE)) {
      ScoreReport report =
          session.score(Digits.hadoop(table), Digits.hadoop(output), true, ScoreProgress.SILENT);
      assertEquals(0, report.takenOver());
    }
    // It is still there for the run that it is of.
    try (HybridSession session = model.session(spark, Mode.DISABLE)) {
      ScoreReport report =
          session.score(Digits.hadoop(table), Digits.hadoop(output), true, ScoreProgress.SILENT);
      assertEquals(whole(rows.size()), report.takenOver());
    }
    assertEquals(List.of("scored"), beside());
  }

  @Test
  void calibrationSeesAllRecords() throws Exception {
    Path table = table(rows);
    scoreUntil(rows.size(), Mode.CALIBRATE, table);
    assertEquals(List.of(), beside());
    try (HybridSession session = model.session(spark, Mode.CALIBRATE)) {
      ScoreReport report =
          session.score(Digits.hadoop(table), Digits.hadoop(output), false, ScoreProgress.SILENT);
      assertEquals(0, report.takenOver());
      assertEquals(rows.size(), session.statistics().records());
    }
  }

  @Test
  void anErrorSaysWhatIsFinishedAndNumbersRecordsAsTheTableDoes() throws Exception {
    List<Row> withNan = new ArrayList<>(rows);
    float[] pixels = new float[64];
    pixels[63] = Float.NaN;
    withNan.add(RowFactory.create(-1L, pixels, 0L, "test"));
    Path table = table(withNan);
    Path folderOfParts = null;
    for (int run = 0; run < 2; run++) {
      try (HybridSession session = model.session(spark, Mode.DISABLE)) {
        InvalidInputException error =
            assertThrows(
                InvalidInputException.class,
                () ->
                    session.score(
                        Digits.hadoop(table), Digits.hadoop(output), false, ScoreProgress.SILENT));
        String message = error.getMessage();
        assertEquals(1, message.lines().count(), message);
        assertTrue(message.contains("record " + withNan.size() + ":"), message);
        assertTrue(message.contains("the same command goes on from "), message);
        assertEquals(1, beside().size());
        folderOfParts = folder.resolve(beside().get(0));
        assertTrue(message.endsWith(folderOfParts.toString()), message);
      }
    }
    try (Stream<Path> left = Files.walk(folderOfParts)) {
      assertEquals(
          List.of("_run"),
          left.filter(Files::isRegularFile)
              .map(file -> file.getFileName().toString())
              .filter(name -> name.startsWith("_"))
              .toList(),
          "unfinished files");
    }
    ScoreReport report = score(model, Mode.DISABLE, table(rows), output);
    assertTrue(report.takenOver() > 0);
    assertEquals(List.of("scored"), beside());
  }

  @Test
  void progressCountsRecordsThatAreTakenOver() {
    Path table = table(rows);
    scoreUntil(rows.size(), Mode.DISABLE, table);
    AtomicLong done = new AtomicLong();
    try (HybridSession session = model.session(spark, Mode.DISABLE)) {
      session.score(
          Digits.hadoop(table),
          Digits.hadoop(output),
          false,
          new ScoreProgress() {
            @Override
            public void recordsDone(long records) {
              done.addAndGet(records);
            }
          });
    }
    assertEquals(rows.size(), done.get());
  }
}
