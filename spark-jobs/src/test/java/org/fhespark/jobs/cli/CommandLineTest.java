package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.fhespark.nativelib.NativeLibrary;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The command line as a process of its own, with its log settings. */
class CommandLineTest {
  private static Artefacts shared;

  @BeforeAll
  static void compile() {
    shared = Artefacts.shared();
  }

  private static List<String> score(Path input, Path out, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "score",
                "--client",
                shared.client().toString(),
                "--server",
                shared.server().toString(),
                "--keys",
                shared.keys().toString(),
                "--input",
                input.toString(),
                "--output",
                out.toString()));
    arguments.addAll(List.of(more));
    return arguments;
  }

  @Test
  void aWholeRunSaysNothingOnStandardError() throws Exception {
    Path folder = Digits.newFolder("child");
    Path model = folder.resolve("model");
    new ChildJvm()
        .run(
            FheSpark.class,
            List.of(
                "compile",
                "--model",
                Digits.file("digits.onnx").toString(),
                "--remote",
                "seq.2",
                "--calibration",
                Digits.file("calibration.parquet").toString(),
                "--out",
                model.toString()))
        .assertDone();
    new ChildJvm()
        .run(
            FheSpark.class,
            List.of("keygen", "--client", model + "/client", "--out", folder + "/keys"))
        .assertDone();
    CommandRun scored =
        new ChildJvm()
            .run(
                FheSpark.class,
                List.of(
                    "score",
                    "--client",
                    model + "/client",
                    "--server",
                    model + "/server",
                    "--keys",
                    folder + "/keys",
                    "--input",
                    Digits.file("digits.parquet").toString(),
                    "--output",
                    folder + "/scored"));
    scored.assertDone();
    assertTrue(scored.out().contains("1797 records"), scored.out());
  }

  @Test
  @Tag("slow")
  void aLateNanIsOneLineOnStandardErrorThoughJobsAreUnderWay() throws Exception {
    SparkSession spark = Digits.session();
    List<Row> images = Digits.images(spark);
    List<Row> records = new ArrayList<>();
    for (int i = 0; i < 40_000; i++) {
      records.add(images.get(i % Digits.IMAGES));
    }
    float[] nan = new float[64];
    nan[0] = Float.NaN;
    records.add(RowFactory.create(-1L, nan, 0L, "test"));
    Path input = Digits.write(spark, "late-nan", Digits.schema(), records);
    spark.stop();
    Path folder = Digits.newFolder("child");
    new ChildJvm()
        .run(FheSpark.class, score(input, folder.resolve("scored")))
        .assertRefused("pixels", "record 40001", "NaN");
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void noSpaceForTheNativeLibraryIsOneLine() throws Exception {
    Path small = Digits.newFolder("small");
    Path keys = Digits.newFolder("child").resolve("keys");
    new ChildJvm()
        .fileSizeLimit(64)
        .option("-D" + NativeLibrary.DIRECTORY_PROPERTY + "=" + small)
        .run(
            FheSpark.class,
            List.of("keygen", "--client", shared.client().toString(), "--out", keys.toString()))
        .assertRefused(small.toString(), NativeLibrary.DIRECTORY_PROPERTY);
    try (Stream<Path> left = Files.list(small)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  void noSpaceForTheNativeLibraryDuringScoreIsOneLine() throws Exception {
    Path file = Files.writeString(Digits.newFolder("small").resolve("file"), "no folder");
    Path folder = Digits.newFolder("child");
    new ChildJvm()
        .option("-D" + NativeLibrary.DIRECTORY_PROPERTY + "=" + file)
        .run(FheSpark.class, score(Digits.file("digits.parquet"), folder.resolve("scored")))
        .assertRefused(file.toString(), NativeLibrary.DIRECTORY_PROPERTY);
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(), left.toList());
    }
  }

  @Test
  @Tag("slow")
  void aFullDiskIsOneLineAndLeavesNothing() throws Exception {
    SparkSession spark = Digits.session();
    List<Row> records = new ArrayList<>();
    Random random = new Random(1);
    for (int i = 0; i < 260_000; i++) {
      float[] noise = new float[64];
      for (int j = 0; j < 64; j++) {
        noise[j] = random.nextFloat();
      }
      records.add(RowFactory.create((long) i, noise, 0L, "test"));
    }
    Path input = Digits.write(spark, "noise", Digits.schema(), records);
    spark.stop();
    Path folder = Digits.newFolder("child");
    // Too little for the 65 MB of results, but enough for the native libraries' files.
    CommandRun run =
        new ChildJvm()
            .fileSizeLimit(58_000)
            .run(FheSpark.class, score(input, folder.resolve("scored"), "--mode", "disable"));
    assertTrue(run.status() != 0, "the limit was not reached");
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(), left.toList());
    }
    run.assertRefused(folder.resolve("scored").toString());
  }
}
