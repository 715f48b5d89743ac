package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
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
}
