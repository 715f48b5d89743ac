package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.Logits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ScoreTest {
  private static Artefacts shared;

  /** Another compilation of the same model. */
  private static Artefacts other;

  /** Ten images. */
  private static Path images;

  private static Path nanInTheLastImage;

  private Path folder;
  private Path out;

  @BeforeAll
  static void compile() {
    shared = Artefacts.shared();
    SparkSession spark = Digits.session();
    Path model = Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).weightBits(7).build());
    other = new Artefacts(model, Artefacts.newKeys(model));
    List<Row> all = Digits.images(spark);
    images = Digits.write(spark, "images", Digits.schema(), all.subList(0, 10));
    List<Row> withNan = new ArrayList<>(all.subList(0, 10));
    float[] pixels = new float[64];
    pixels[63] = Float.NaN;
    withNan.add(RowFactory.create(99L, pixels, 0L, "test"));
    nanInTheLastImage = Digits.write(spark, "nan", Digits.schema(), withNan);
    spark.stop();
  }

  @BeforeEach
  void chooseAnOutput() {
    folder = Digits.newFolder("score");
    out = folder.resolve("scored");
  }

  private Map<String, String> options() {
    Map<String, String> options = new TreeMap<>();
    options.put("--client", shared.client().toString());
    options.put("--server", shared.server().toString());
    options.put("--keys", shared.keys().toString());
    options.put("--input", images.toString());
    options.put("--output", out.toString());
    return options;
  }

  private CommandRun score(Map<String, String> options) {
    List<String> arguments = new ArrayList<>(List.of("score"));
    options.forEach((name, value) -> arguments.addAll(List.of(name, value)));
    return CommandRun.of(arguments);
  }

  private CommandRun score(String... changes) {
    Map<String, String> options = options();
    for (int i = 0; i < changes.length; i += 2) {
      options.put(changes[i], changes[i + 1]);
    }
    return score(options);
  }

  private CommandRun score(Artefacts artefacts) {
    return score(
        "--client",
        artefacts.client().toString(),
        "--server",
        artefacts.server().toString(),
        "--keys",
        artefacts.keys().toString());
  }

  private void assertNothingIsLeft() throws Exception {
    try (Stream<Path> left = Files.list(folder)) {
      assertEquals(List.of(), left.toList(), "left at or beside the output");
    }
  }

  private void assertRefused(CommandRun run, String... names) throws Exception {
    run.assertRefused(names);
    assertNothingIsLeft();
  }

  private static List<Row> read(Path table) {
    SparkSession spark = Digits.session();
    try {
      return Digits.read(spark, table);
    } finally {
      spark.stop();
    }
  }

  private static Path json(String lines) throws Exception {
    return Files.writeString(Digits.newFolder("input").resolve("records.json"), lines);
  }

  private static String record(String column, int length) {
    return "{\"id\": 1, \"" + column + "\": [" + "0.5, ".repeat(length - 1) + "0.25]}\n";
  }

  @Test
  void executeAndDisableWriteTheSameTable() {
    score("--mode", "execute").assertDone();
    Path clear = folder.resolve("clear");
    score("--mode", "disable", "--output", clear.toString()).assertDone();
    List<Row> rows = read(out);
    assertEquals(10, rows.size());
    assertEquals(read(clear), rows);
  }

  @Test
  void simulateNeedsNoKeyAndWritesWhatDisableDoes() {
    Map<String, String> options = options();
    options.remove("--keys");
    options.put("--mode", "simulate");
    CommandRun run = score(options);
    run.assertDone();
    assertTrue(run.out().contains("noise margin"), run.out());
    Path clear = folder.resolve("clear");
    score("--mode", "disable", "--output", clear.toString()).assertDone();
    assertEquals(read(clear), read(out));
  }

  @Test
  void calibrateWritesStatisticsThatCompileTakes() throws Exception {
    Path statistics = folder.resolve("statistics.json");
    Map<String, String> options = options();
    options.remove("--keys");
    options.remove("--output");
    options.put("--mode", "calibrate");
    options.put("--statistics", statistics.toString());
    score(options).assertDone();
    try (Stream<Path> made = Files.list(folder)) {
      assertEquals(List.of(statistics), made.toList());
    }
    score(options).assertRefused(statistics.toString(), "--overwrite");
    Path model = folder.resolve("model");
    List<String> compile =
        List.of(
            "compile",
            "--model",
            Digits.file("digits.onnx").toString(),
            "--remote",
            "seq.2",
            "--statistics",
            statistics.toString(),
            "--out",
            model.toString());
    CommandRun run = CommandRun.of(compile);
    run.assertDone();
    assertTrue(run.out().contains("not checked: "), run.out());
    Artefacts compiled = new Artefacts(model, Artefacts.newKeys(model));
    score(compiled).assertDone();
    Files.writeString(
        statistics,
        Files.readString(statistics).replaceFirst("\"nonZeroRows\" : \\d+", "\"nonZeroRows\" : 3"));
    CommandRun.of(compile).assertRefused("statistics.json", "gather the statistics again");
  }

  @Test
  void calibrateWritesScoresTooIfAnOutputIsNamed() throws Exception {
    Path statistics = folder.resolve("statistics.json");
    score("--mode", "calibrate", "--statistics", statistics.toString()).assertDone();
    Path torch = folder.resolve("torch");
    score("--mode", "torch", "--output", torch.toString()).assertDone();
    assertEquals(read(torch), read(out));
    assertTrue(Files.exists(statistics));
  }

  @Test
  void onlyExecuteNeedsTheKey() throws Exception {
    Map<String, String> options = options();
    options.remove("--keys");
    options.put("--mode", "execute");
    assertRefused(score(options), "--keys", "keygen");
    options.put("--mode", "torch");
    score(options).assertDone();
  }

  @ParameterizedTest
  @ValueSource(strings = {"csv", "json"})
  void inputAndOutputAreAlsoCsvAndJson(String format) throws Exception {
    Path input = Digits.newFolder("input").resolve("records." + format);
    StringBuilder lines = new StringBuilder();
    if (format.equals("csv")) {
      for (int i = 0; i < 64; i++) {
        lines.append(i == 0 ? "p0" : ",p" + i);
      }
      lines.append('\n');
    }
    for (int record = 0; record < 3; record++) {
      for (int i = 0; i < 64; i++) {
        String value = Float.toString(((record + 1) * i % 17) / 16f);
        lines.append(i > 0 ? "," : format.equals("json") ? "{\"pixels\":[" : "").append(value);
      }
      lines.append(format.equals("json") ? "]}\n" : "\n");
    }
    Files.writeString(input, lines);
    Path encrypted = folder.resolve("scored." + format);
    Path clear = folder.resolve("clear." + format);
    score("--input", input.toString(), "--output", encrypted.toString()).assertDone();
    score("--input", input.toString(), "--output", clear.toString(), "--mode", "disable")
        .assertDone();
    List<Row> rows = read(encrypted);
    assertEquals(3, rows.size());
    assertEquals(read(clear), rows);
  }

  @Test
  void anUnknownColumnNameIsNamedWithTheNearOne() throws Exception {
    assertRefused(score("--input", json(record("Pixels", 64)).toString()), "'pixels'", "Pixels");
    assertRefused(score("--input", json(record("image", 64)).toString()), "'pixels'");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63, 65, 128})
  void aRecordOfAnotherLengthIsNamed(int length) throws Exception {
    Path input = json(record("pixels", 64) + record("pixels", length));
    assertRefused(
        score("--input", input.toString()), "pixels", "record 2", Integer.toString(length));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"pixels\": \"many\"}|string",
        "{\"pixels\": [\"a\", \"b\"]}|array<string>",
        "{\"pixels\": true}|boolean",
        "{\"pixels\": {\"a\": 1}}|struct",
        "{\"pixels\": 3}|pixels",
        "{\"pixels\": [[[1]]]}|pixels"
      })
  void aColumnOfAnotherTypeIsNamed(String line, String type) throws Exception {
    assertRefused(score("--input", json(line + "\n").toString()), "'pixels'", type);
  }

  @Test
  void aNullArrayIsNamed() throws Exception {
    Path input = json(record("pixels", 64) + "{\"id\": 2, \"pixels\": null}\n");
    assertRefused(score("--input", input.toString()), "pixels", "record 2", "null");
  }

  @Test
  void aNullInAnArrayIsNamed() throws Exception {
    Path input = json(record("pixels", 64) + record("pixels", 64).replace("0.25", "null"));
    assertRefused(score("--input", input.toString()), "pixels", "record 2", "null");
  }

  @ParameterizedTest
  @ValueSource(strings = {"torch", "disable", "execute"})
  void aNanIsNamedByItsRecordAndColumn(String mode) throws Exception {
    assertRefused(
        score("--input", nanInTheLastImage.toString(), "--mode", mode),
        "pixels",
        "record 11",
        "NaN");
  }

  @Test
  void aNumberBeyondFloatIsNamed() throws Exception {
    Path input = json(record("pixels", 64).replace("0.25", "1e39"));
    assertRefused(score("--input", input.toString()), "pixels", "record 1");
  }

  @ParameterizedTest
  @ValueSource(strings = {"disable", "execute"})
  void activationsThatOverflowOnTheWayAreNamedByTheModule(String mode) throws Exception {
    Path input = json(record("pixels", 64).replace("0.5", "3e38").replace("0.25", "-3e38"));
    CommandRun run = score("--input", input.toString(), "--mode", mode);
    if (run.status() != 0) {
      assertRefused(run, "seq.");
    } else {
      assertEquals(1, read(out).size());
    }
  }

  @Test
  void aMissingInputIsNamed() throws Exception {
    Path missing = folder.resolve("none.parquet");
    assertRefused(score("--input", missing.toString()), missing.toString(), "does not exist");
  }

  @Test
  void anInputOfNoRecordsIsNamed() throws Exception {
    SparkSession spark = Digits.session();
    Path none = Digits.write(spark, "none", Digits.schema(), List.of());
    spark.stop();
    assertRefused(score("--input", none.toString()), none.toString(), "empty");
    Path folderOfNothing = Digits.newFolder("nothing");
    assertRefused(
        score("--input", folderOfNothing.toString()), folderOfNothing.toString(), "empty");
    assertRefused(score("--input", json("").toString()), "records.json", "empty");
  }

  @Test
  void anInputOfAnUnknownFormatIsNamed() throws Exception {
    Path text = Files.writeString(Digits.newFolder("input").resolve("records.txt"), "1,2,3\n");
    assertRefused(score("--input", text.toString()), "records.txt");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, 0.02, 0.3, 0.6, 0.9, 0.99999})
  void aTruncatedParquetFileIsNamed(double share) throws Exception {
    byte[] whole = Files.readAllBytes(Digits.file("digits.parquet"));
    Path file = Digits.newFolder("input").resolve("cut.parquet");
    Files.write(file, Arrays.copyOf(whole, (int) (share * whole.length)));
    assertRefused(score("--input", file.toString()), "cut.parquet");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.03, 0.2, 0.4, 0.5, 0.7, 0.96, 0.98})
  void aParquetFileWithBytesOverwrittenIsNamedOrReadButNeverCrashes(double where) throws Exception {
    byte[] bytes = Files.readAllBytes(Digits.file("digits.parquet"));
    int start = (int) (where * bytes.length);
    Arrays.fill(bytes, start, Math.min(bytes.length - 8, start + 900), (byte) 0xA5);
    Path file = Digits.newFolder("input").resolve("damaged.parquet");
    Files.write(file, bytes);
    // Parquet has no checksum here: damage of values alone cannot be noticed.
    CommandRun run = score("--input", file.toString());
    if (run.status() != 0) {
      assertRefused(run, "damaged.parquet");
    }
  }

  @Test
  void aColumnNamedLikeTheOutputIsRefused() throws Exception {
    Path input = json(record("pixels", 64).replace("\"id\"", "\"logits\""));
    assertRefused(score("--input", input.toString()), "logits");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "client/client.json",
        "client/segments/001.onnx",
        "server/server.json",
        "server/circuits/001.circuit"
      })
  void aFileOfTheArtefactsThatIsAlteredTruncatedOrMissingIsNamed(String file) throws Exception {
    Artefacts altered = shared.copy();
    Artefacts.alter(altered.model().resolve(file));
    assertRefused(score(altered), file, "altered");

    Artefacts truncated = shared.copy();
    Artefacts.truncate(truncated.model().resolve(file));
    assertRefused(score(truncated), file, "truncated");

    Artefacts missing = shared.copy();
    Files.delete(missing.model().resolve(file));
    assertRefused(score(missing), file.substring(file.lastIndexOf('/') + 1), "missing");
  }

  @Test
  void anAlteredFloatModuleIsNamedInModeTorch() throws Exception {
    Artefacts altered = shared.copy();
    Artefacts.alter(altered.server().resolve("float/001.onnx"));
    assertRefused(
        score("--server", altered.server().toString(), "--mode", "torch"), "float/001.onnx");
  }

  @ParameterizedTest
  @ValueSource(strings = {"client", "server"})
  void aManifestThatIsAlteredTruncatedOrMissingIsNamed(String side) throws Exception {
    for (String damage : new String[] {"alter", "truncate", "cut a line", "empty", "delete"}) {
      Artefacts copy = shared.copy();
      Path manifest = copy.model().resolve(side).resolve("SHA256SUMS");
      switch (damage) {
        case "alter" -> {
          // The digest of the first file, which every mode reads.
          String text = Files.readString(manifest);
          Files.writeString(manifest, (text.charAt(0) == '0' ? '1' : '0') + text.substring(1));
        }
        case "truncate" -> Artefacts.truncate(manifest);
        case "cut a line" -> {
          List<String> lines = Files.readAllLines(manifest);
          Files.write(manifest, lines.subList(1, lines.size()));
        }
        case "empty" -> Files.write(manifest, new byte[0]);
        default -> Files.delete(manifest);
      }
      assertRefused(score(copy), copy.model().resolve(side).toString());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "client|client.json|\"formatVersion\" : 4|\"formatVersion\" : 5",
        "client|client.json|\"glweDimension\" : \\d+|\"glweDimension\" : 1",
        "client|client.json|\"limbs\" : \\d|\"limbs\" : 99",
        "client|client.json|\"dIn\" : 64|\"dIn\" : -64",
        "client|client.json|\"dIn\" : 64|\"dIn\" : 65",
        "client|client.json|\"dOut\" : 128|\"dOut\" : 127",
        "client|client.json|\"circuitDigest\" : \"..|\"circuitDigest\" : \"zz",
        "client|client.json|\"remote\"|\"remotes\"",
        "client|client.json|segments/000.onnx|segments/009.onnx",
        "client|client.json|segments/001.onnx|../../../etc/passwd",
        "client|client.json|(?s)^.*$|null",
        "client|client.json|(?s)^.*$|[1, 2]",
        "client|client.json|(?s)^.*$|{}",
        "client|client.json|\"weightScales\" : .|\"weightScales\" : null, \"other\" : [",
        "client|client.json|\"maxL1\" : \\d+|\"maxL1\" : -1",
        "client|client.json|\"name\" : \"pixels\"|\"name\" : \"pixies\"",
        "client|client.json|\"bias\" : \\[|\"bias\" : [0.0, ",
        "server|server.json|\"formatVersion\" : 4|\"formatVersion\" : 7",
        "server|server.json|seq.2|seq.9",
        "server|server.json|\"modelDigest\" : \"..|\"modelDigest\" : \"zz",
        "server|server.json|\"modelDigest\" : \"[0-9a-f]*\"|\"modelDigest\" : null",
        "client|client.json|\"modelDigest\" : \"[0-9a-f]*\"|\"modelDigest\" : null",
        "server|server.json|\"circuits\" : .|\"circuits\" : null, \"others\" : [",
        "server|server.json|\"digest\" : \"..|\"digest\" : \"zz"
      })
  void specsThatContradictThemselvesAreRefusedEvenUnderARightManifest(
      String side, String file, String pattern, String replacement) throws Exception {
    Artefacts copy = shared.copy();
    try {
      Artefacts.rewrite(copy.model().resolve(side), file, pattern, replacement);
    } catch (IllegalArgumentException absent) {
      // The compiler leaves a segment out where nothing is to do in clear.
      assertTrue(pattern.contains("segments/"), absent.getMessage());
      return;
    }
    Path keys = side.equals("client") ? keysFor(copy) : copy.keys();
    assertRefused(score(new Artefacts(copy.model(), keys)));
  }

  /** A key for damaged specs, if they can be read at all. */
  private static Path keysFor(Artefacts copy) {
    Path keys = Digits.newFolder("keys");
    CommandRun.of("keygen", "--client", copy.client().toString(), "--out", keys.toString());
    return keys;
  }

  @Test
  void theKeyOfAnotherClientIsNamed() throws Exception {
    assertRefused(
        score("--keys", other.keys().toString()), "another client", shared.client().toString());
  }

  @Test
  void theCircuitsOfAnotherModelAreNamed() throws Exception {
    assertRefused(score("--server", other.server().toString()), "another model", "000.circuit");
  }

  @Test
  void clientAndServerSwappedAreNamed() throws Exception {
    assertRefused(
        score("--client", shared.server().toString(), "--server", shared.client().toString()),
        "client.json");
  }

  @Test
  void aKeyFileThatIsAlteredTruncatedMissingOrNoKeyIsNamed() throws Exception {
    Artefacts altered = shared.copy();
    Artefacts.alter(altered.keys().resolve("client.key"));
    assertRefused(score("--keys", altered.keys().toString()), altered.keys() + "/client.key");

    Artefacts truncated = shared.copy();
    Artefacts.truncate(truncated.keys().resolve("client.key"));
    assertRefused(score("--keys", truncated.keys().toString()), truncated.keys() + "/client.key");

    Path none = Digits.newFolder("keys");
    assertRefused(score("--keys", none.toString()), none + "/client.key", "keygen");

    Files.write(none.resolve("client.key"), new byte[0]);
    assertRefused(score("--keys", none.toString()), none + "/client.key");
    Files.copy(
        Digits.file("digits.onnx"),
        none.resolve("client.key"),
        StandardCopyOption.REPLACE_EXISTING);
    assertRefused(score("--keys", none.toString()), none + "/client.key");
    Path file = shared.keys().resolve("client.key");
    assertRefused(score("--keys", file.toString()), file.toString());
  }

  @Test
  void anOutputBelowAFileIsNamed() throws Exception {
    Path file = Files.writeString(Digits.newFolder("out").resolve("file"), "no folder");
    assertRefused(score("--output", file.resolve("scored").toString()), file.toString());
    assertRefused(score("--output", file.toString()), file.toString(), "is a file");
    assertEquals("no folder", Files.readString(file));
  }

  @Test
  void anOutputThatTheSystemRefusesIsNamed() throws Exception {
    assertRefused(score("--output", "/proc/fhe-spark-scored"), "/proc/fhe-spark-scored");
  }

  @Test
  void anOutputThatExistsIsKeptUnlessItMayBeReplaced() throws Exception {
    score("--mode", "disable").assertDone();
    List<Row> before = read(out);
    score("--mode", "torch").assertRefused(out.toString(), "exists");
    assertEquals(before, read(out));
    List<String> arguments = new ArrayList<>(List.of("score", "--overwrite"));
    Map<String, String> options = options();
    options.put("--mode", "torch");
    options.forEach((name, value) -> arguments.addAll(List.of(name, value)));
    CommandRun.of(arguments).assertDone();
    assertTrue(Logits.differing(before, read(out)) > 0);
    try (Stream<Path> beside = Files.list(folder)) {
      assertEquals(List.of(out), beside.toList());
    }
  }

  @Test
  void theHintAboutAnExistingOutputNamesTheOptionOfTheCommandLine() {
    score("--mode", "disable").assertDone();
    score("--mode", "disable").assertRefused("--overwrite");
  }

  @Test
  void anOutputThatHoldsSomethingElseIsKeptEvenIfItMayBeReplaced() throws Exception {
    Files.createDirectories(out);
    Path precious = Files.writeString(out.resolve("precious.txt"), "mine");
    List<String> arguments = new ArrayList<>(List.of("score", "--overwrite"));
    options().forEach((name, value) -> arguments.addAll(List.of(name, value)));
    CommandRun.of(arguments).assertRefused(out.toString(), "precious.txt");
    assertEquals("mine", Files.readString(precious));
  }

  @Test
  void aFailedRunWithoutItsFoldersLeavesNone() throws Exception {
    Path deep = folder.resolve("new/deep/scored");
    assertRefused(
        score("--output", deep.toString(), "--input", nanInTheLastImage.toString()), "pixels");
  }

  @Test
  void aFailedRunKeepsTheOutputItWasToReplace() throws Exception {
    score("--mode", "disable").assertDone();
    List<Row> before = read(out);
    List<String> arguments = new ArrayList<>(List.of("score", "--overwrite"));
    Map<String, String> options = options();
    options.put("--input", nanInTheLastImage.toString());
    options.forEach((name, value) -> arguments.addAll(List.of(name, value)));
    CommandRun.of(arguments).assertRefused("pixels");
    assertEquals(before, read(out));
  }

  @ParameterizedTest
  @ValueSource(strings = {"--client", "--server", "--input", "--output"})
  void aPathThatCannotBeOneIsNamed(String option) throws Exception {
    for (String path : new String[] {"", "a:b", "nosuchscheme://x/y"}) {
      assertRefused(score(option, path), path);
    }
  }

  @Test
  void aSettingWithoutItsValueIsNamed() throws Exception {
    assertRefused(score("--conf", "spark.ui.enabled"), "--conf");
  }

  @Test
  void otherColumnsMayBeNullAndOfAnyType() throws Exception {
    SparkSession spark = Digits.session();
    StructType schema =
        StructType.fromDDL(
            "m MAP<STRING, INT>, pixels ARRAY<DOUBLE>, t TIMESTAMP, d DECIMAL(9, 2)");
    double[] pixels = new double[64];
    pixels[7] = 0.5;
    Path input =
        Digits.write(spark, "odd", schema, List.of(RowFactory.create(null, pixels, null, null)));
    spark.stop();
    score("--input", input.toString()).assertDone();
    Row row = read(out).get(0);
    assertEquals(5, row.size());
    assertTrue(row.isNullAt(0) && row.isNullAt(2) && row.isNullAt(3));
  }
}
