package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.hadoop.fs.FileUtil;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** encrypt --on-cluster: tasks take the records to the first round, decrypt goes on as ever. */
class EncryptOnClusterTest {
  private static final int IMAGES = 90;
  private static final int FILES = 3;

  private static Artefacts shared;
  private static Path images;
  private static List<Row> expected;

  private Path folder;

  @BeforeAll
  static void score() {
    shared = Artefacts.shared();
    SparkSession spark = Digits.session();
    images = Digits.newFolder("parts").resolve("images");
    spark
        .createDataFrame(Digits.images(spark).subList(0, IMAGES), Digits.schema())
        .repartition(FILES)
        .write()
        .parquet(images.toString());
    spark.stop();
    Path scored = Digits.newFolder("scored").resolve("scored");
    CommandRun.of(
            "score",
            "--client",
            shared.client().toString(),
            "--keys",
            shared.keys().toString(),
            "--input",
            images.toString(),
            "--server",
            shared.server().toString(),
            "--output",
            scored.toString())
        .assertDone();
    expected = sorted(scored);
  }

  private static List<Row> sorted(Path table) {
    List<Row> rows = new ArrayList<>(Digits.read(table));
    rows.sort(Comparator.comparingLong(row -> row.getLong(0)));
    return rows;
  }

  @BeforeEach
  void makeAFolder() {
    folder = Digits.newFolder("on-cluster");
  }

  private CommandRun encrypt(Artefacts with, String... more) {
    return encrypt(with, images, more);
  }

  private CommandRun encrypt(Artefacts with, Path input, String... more) {
    List<String> arguments = new ArrayList<>(List.of("--on-cluster"));
    arguments.addAll(List.of(more));
    return new JobsApart(with, folder).encrypt(input, arguments.toArray(String[]::new));
  }

  private CommandRun evaluate() {
    return new JobsApart(shared, folder).evaluate(shared.server());
  }

  private CommandRun decrypt(Artefacts with, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "--out",
                folder.resolve("blocks").toString(),
                "--output",
                folder.resolve("scored").toString()));
    arguments.addAll(List.of(more));
    return new JobsApart(with, folder).decrypt(arguments.toArray(String[]::new));
  }

  @Test
  void partsGoTheirWaysAndComeTogetherInTheScoredTable() throws Exception {
    CommandRun encrypted = encrypt(shared);
    encrypted.assertDone();
    assertTrue(encrypted.out().contains("encrypt: " + IMAGES + " records"), encrypted.out());
    Path state = folder.resolve("state");
    Set<String> parts = new HashSet<>();
    try (var inside = Files.list(state)) {
      inside
          .filter(Files::isDirectory)
          .forEach(
              part -> {
                assertEquals("rwx------", permissions(part));
                parts.add(part.getFileName().toString());
              });
    }
    assertTrue(parts.size() > 1 && parts.size() <= FILES, parts.toString());
    assertTrue(parts.stream().allMatch(part -> part.matches("part-\\d{5}")), parts.toString());
    for (int round = 1; round <= 3; round++) {
      evaluate().assertDone();
      assertFalse(Files.exists(folder.resolve("scored")));
      decrypt(shared).assertDone();
    }
    assertEquals(expected, sorted(folder.resolve("scored")));
    decrypt(shared).assertRefused("scored already");
    try (var left = Files.list(state)) {
      assertEquals(List.of(state.resolve("state.json")), left.toList());
    }
  }

  private static String permissions(Path path) {
    try {
      return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  @Test
  void aRoundThatWasInterruptedBetweenPartsGoesOn() throws Exception {
    encrypt(shared).assertDone();
    evaluate().assertDone();
    // As if decrypt had been killed behind the first part: the others are as they were.
    Path state = folder.resolve("state");
    Path first = state.resolve("part-00000");
    Path others = folder.resolve("before");
    copy(state, others);
    decrypt(shared).assertDone();
    try (var inside = Files.list(others)) {
      for (Path part : inside.filter(Files::isDirectory).toList()) {
        Path place = state.resolve(part.getFileName());
        if (!place.equals(first)) {
          FileUtil.fullyDelete(place.toFile());
          Files.move(part, place);
        }
      }
    }
    decrypt(shared).assertDone();
    for (int round = 2; round <= 3; round++) {
      evaluate().assertDone();
      decrypt(shared).assertDone();
    }
    assertEquals(expected, sorted(folder.resolve("scored")));
  }

  private static void copy(Path from, Path to) throws IOException {
    try (var files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
  }

  @Test
  void tasksReadThePassphraseFromAFileOfTheirHost() throws Exception {
    Path passphrase = folder.resolve("passphrase");
    Files.createFile(
        passphrase,
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    Files.writeString(passphrase, "a long way from home\n", StandardCharsets.UTF_8);
    Artefacts own = new Artefacts(shared.model(), folder.resolve("keys"));
    CommandRun.of(
            "keygen",
            "--client",
            own.client().toString(),
            "--out",
            own.keys().toString(),
            "--passphrase-file",
            passphrase.toString())
        .assertDone();
    CommandRun without = encrypt(own);
    assertEquals(2, without.status(), without.err());
    assertFalse(Files.exists(folder.resolve("state")));
    encrypt(own, "--passphrase-file", passphrase.toString()).assertDone();
    evaluate().assertDone();
    decrypt(own, "--passphrase-file", passphrase.toString()).assertDone();
  }

  @Test
  void whatExecutorsCannotDoIsRefused() throws Exception {
    encrypt(shared, "--passphrase").assertRefused("--passphrase", "--passphrase-file");
    Path csv = folder.resolve("records.csv");
    Files.writeString(csv, "id,pixels\n1,\"[0]\"\n");
    encrypt(shared, csv).assertRefused("records.csv", "CSV");
    assertFalse(Files.exists(folder.resolve("state")));

    Path damaged = folder.resolve("damaged");
    copy(images, damaged);
    try (var files = Files.list(damaged)) {
      Path one =
          files.filter(file -> file.toString().endsWith(".parquet")).sorted().toList().get(1);
      byte[] bytes = Files.readAllBytes(one);
      Arrays.fill(bytes, 8, bytes.length / 2, (byte) 0x55);
      Files.write(one, bytes);
    }
    try (var files = Files.list(damaged)) {
      for (Path sum : files.filter(file -> file.toString().endsWith(".crc")).toList()) {
        Files.delete(sum);
      }
    }
    encrypt(shared, damaged).assertRefusedAmongLogs();
    assertEquals("rwx------", permissions(folder.resolve("state")));
    // What was given up is made anew.
    encrypt(shared).assertDone();
  }
}
