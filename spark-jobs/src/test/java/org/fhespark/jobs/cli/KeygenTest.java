package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class KeygenTest {
  private static Artefacts shared;

  @BeforeAll
  static void compile() {
    shared = Artefacts.shared();
  }

  private static CommandRun keygen(Path client, Path keys) {
    return CommandRun.of("keygen", "--client", client.toString(), "--out", keys.toString());
  }

  @Test
  void aKeyOfTheOwnersIsMadeAndNeverOverwritten() throws Exception {
    Path keys = Digits.newFolder("keys").resolve("deep/down");
    keygen(shared.client(), keys).assertDone();
    Path file = keys.resolve("client.key");
    assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    byte[] before = Files.readAllBytes(file);
    keygen(shared.client(), keys).assertRefused(file.toString(), "exists");
    assertArrayEquals(before, Files.readAllBytes(file));
  }

  @Test
  void noKeyIsMadeBesideAnEvaluationKeyOfAnother() throws Exception {
    SparkSession spark = Digits.session();
    Path client = Digits.compiledWhole(spark).resolve("client");
    spark.stop();
    Path keys = Digits.newFolder("keys");
    Path other = Files.writeString(keys.resolve("evaluation.key"), "of another client");
    keygen(client, keys).assertRefused(other.toString(), "never overwritten");
    assertFalse(Files.exists(keys.resolve("client.key")));
    assertEquals("of another client", Files.readString(other));
  }

  @Test
  void aMissingClientArtefactIsNamed() {
    Path missing = Digits.newFolder("none").resolve("client");
    keygen(missing, Digits.newFolder("keys")).assertRefused(missing.toString(), "no such folder");
  }

  @Test
  void theFileSystemsThatSparkSubmitWasToldOfAreKnown() {
    Path keys = Digits.newFolder("keys");
    String link = "spark.hadoop.fs.viewfs.mounttable.zone.link./model";
    List<String> command =
        List.of("keygen", "--client", "viewfs://zone/model", "--out", keys.toString());
    CommandRun.of(command).assertRefused("viewfs://zone/model");
    System.setProperty(link, shared.client().toUri().toString());
    try {
      CommandRun.of(command).assertDone();
    } finally {
      System.clearProperty(link);
    }
    assertTrue(Files.exists(keys.resolve("client.key")));
  }

  @Test
  void theServerArtefactIsNoClientArtefact() {
    keygen(shared.server(), Digits.newFolder("keys")).assertRefused("client.json");
  }

  @Test
  void anAlteredClientArtefactMakesNoKey() throws Exception {
    Artefacts copy = shared.copy();
    Artefacts.alter(copy.client().resolve("client.json"));
    Path keys = Digits.newFolder("keys");
    keygen(copy.client(), keys).assertRefused("client.json", "altered");
    assertFalse(Files.exists(keys.resolve("client.key")));
  }

  @Test
  void anOutputBelowAFileIsNamed() throws Exception {
    Path file = Files.writeString(Digits.newFolder("keys").resolve("file"), "no folder");
    keygen(shared.client(), file.resolve("keys"))
        .assertRefused(file.toString(), "cannot be written");
    keygen(shared.client(), file).assertRefused(file.toString(), "cannot be written");
  }

  @Test
  void anOutputThatTheSystemRefusesIsNamed() {
    keygen(shared.client(), Path.of("/proc/fhe-spark-keys"))
        .assertRefused("/proc/fhe-spark-keys", "cannot be written");
  }

  private static Path passphraseFile(String text) throws Exception {
    Path file = Digits.newFolder("passphrase").resolve("passphrase");
    Files.writeString(file, text);
    return Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-------"));
  }

  private static CommandRun score(Path keys, String... more) {
    SparkSession spark = Digits.session();
    Path images =
        Digits.write(spark, "images", Digits.schema(), Digits.images(spark).subList(0, 3));
    spark.stop();
    List<String> arguments =
        new ArrayList<>(List.of("score", "--client", shared.client().toString(), "--server"));
    arguments.addAll(List.of(shared.server().toString(), "--keys", keys.toString()));
    arguments.addAll(List.of("--input", images.toString(), "--output"));
    arguments.add(Digits.newFolder("scored").resolve("out").toString());
    arguments.addAll(List.of(more));
    return CommandRun.of(arguments);
  }

  private static CommandRun keygen(Path keys, String... more) {
    List<String> arguments = new ArrayList<>(List.of("keygen", "--client"));
    arguments.addAll(List.of(shared.client().toString(), "--out", keys.toString()));
    arguments.addAll(List.of(more));
    return CommandRun.of(arguments);
  }

  @Test
  void aProtectedKeyScoresUnderItsPassphraseAlone() throws Exception {
    Path keys = Digits.newFolder("keys");
    String file = passphraseFile("correct horse\n").toString();
    CommandRun made = keygen(keys, "--passphrase-file", file);
    made.assertDone();
    assertTrue(made.out().contains("protected by the passphrase"), made.out());
    String id = made.out().replaceAll("(?s).*key ([0-9a-f]{32}),.*", "$1");

    String same = passphraseFile("correct horse").toString();
    CommandRun scored = score(keys, "--passphrase-file", same);
    scored.assertDone();
    assertTrue(scored.out().contains("under key " + id), scored.out());

    String key = keys.resolve("client.key").toString();
    score(keys).assertRefused(key, "protected by a passphrase", "FHE_SPARK_PASSPHRASE");
    score(keys, "--passphrase-file", passphraseFile("battery").toString())
        .assertRefused(key, "the passphrase is wrong");
    score(shared.keys(), "--passphrase-file", file).assertRefused("not protected");
  }

  @Test
  void thePassphraseOfTheEnvironment() throws Exception {
    Path keys = Digits.newFolder("keys");
    List<String> arguments =
        List.of("keygen", "--client", shared.client().toString(), "--out", keys.toString());
    CommandRun run =
        new ChildJvm()
            .environment("FHE_SPARK_PASSPHRASE", "from outside")
            .run(FheSpark.class, arguments);
    run.assertDone();
    assertTrue(run.out().contains("protected by the passphrase"), run.out());
    keygen(keys, "--rotate", "--passphrase-file", passphraseFile("from outside").toString())
        .assertDone();
  }

  @Test
  void aPassphraseFileThatCannotServeIsNamed() throws Exception {
    Path keys = Digits.newFolder("keys");
    Path file = passphraseFile("open");
    Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
    keygen(keys, "--passphrase-file", file.toString()).assertRefused(file.toString(), "chmod 600");
    String missing = file + ".missing";
    keygen(keys, "--passphrase-file", missing).assertRefused(missing, "does not exist");
    String empty = passphraseFile("\n").toString();
    keygen(keys, "--passphrase-file", empty).assertRefused("the passphrase is empty");
    String tooLong = passphraseFile("x".repeat(5000)).toString();
    keygen(keys, "--passphrase-file", tooLong).assertRefused(tooLong, "4096");
    Path bytes = passphraseFile("");
    Files.write(bytes, new byte[] {(byte) 0xff});
    keygen(keys, "--passphrase-file", bytes.toString()).assertRefused("not UTF-8");
    keygen(keys, "--passphrase", "--passphrase-file", empty)
        .assertRefused("--passphrase", "mutually exclusive");
    assertFalse(Files.exists(keys.resolve("client.key")));
  }

  @Test
  void aRotatedKeyScoresAndTheOldOneIsRetired() throws Exception {
    Path keys = Digits.newFolder("keys");
    keygen(keys, "--rotate").assertRefused("no client.key to rotate");
    keygen(keys).assertDone();
    byte[] old = Files.readAllBytes(keys.resolve("client.key"));
    CommandRun rotated = keygen(keys, "--rotate");
    rotated.assertDone();
    String id = rotated.out().replaceAll("(?s).*wrote [^\n]* key ([0-9a-f]{32}),.*", "$1");
    String retired = rotated.out().replaceAll("(?s).*retired key ([0-9a-f]{32}),.*", "$1");
    assertNotEquals(id, retired);
    assertArrayEquals(old, Files.readAllBytes(keys.resolve("retired/" + retired + ".key")));
    CommandRun scored = score(keys);
    scored.assertDone();
    assertTrue(scored.out().contains("under key " + id), scored.out());
  }
}
