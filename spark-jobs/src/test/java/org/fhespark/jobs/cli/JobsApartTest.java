package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FileUtil;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.fhespark.udf.BlockTable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The commands encrypt, evaluate and decrypt, which hand one another tables of blocks. */
class JobsApartTest {
  private static Artefacts shared;
  private static Path images;
  private static List<Row> expected;

  private Path folder;

  @BeforeAll
  static void score() {
    shared = Artefacts.shared();
    SparkSession spark = Digits.session();
    images = Digits.write(spark, "images", Digits.schema(), Digits.images(spark).subList(0, 10));
    spark.stop();
    Path scored = Digits.newFolder("scored").resolve("scored");
    CommandRun.of(
            "score",
            "--client",
            shared.client().toString(),
            "--server",
            shared.server().toString(),
            "--keys",
            shared.keys().toString(),
            "--input",
            images.toString(),
            "--output",
            scored.toString())
        .assertDone();
    expected = Digits.read(scored);
  }

  @BeforeEach
  void makeAFolder() {
    folder = Digits.newFolder("apart");
  }

  private CommandRun encrypt() {
    return encrypt(shared);
  }

  private CommandRun encrypt(Artefacts with) {
    return new JobsApart(with, folder).encrypt(images);
  }

  private CommandRun evaluate(Path server, String... more) {
    return new JobsApart(shared, folder).evaluate(server, more);
  }

  private CommandRun decrypt(Artefacts client, String... more) {
    return new JobsApart(client, folder).decrypt(more);
  }

  private String[] nextBlocksAndTable() {
    return new String[] {
      "--out", folder.resolve("blocks").toString(), "--output", folder.resolve("scored").toString()
    };
  }

  @Test
  void threeRoundsGiveTheTableThatScoreWrites() throws Exception {
    CommandRun encrypted = encrypt();
    encrypted.assertDone();
    assertTrue(encrypted.out().contains("round 1 of 3: 1 blocks"), encrypted.out());
    assertEquals(
        "rwx------",
        PosixFilePermissions.toString(Files.getPosixFilePermissions(folder.resolve("state"))));
    for (int round = 1; round <= 3; round++) {
      CommandRun evaluated = evaluate(shared.server());
      evaluated.assertDone();
      assertTrue(evaluated.out().contains("evaluate: 1 blocks"), evaluated.out());
      assertFalse(Files.exists(folder.resolve("scored")));
      CommandRun decrypted = decrypt(shared, nextBlocksAndTable());
      decrypted.assertDone();
      String said = round < 3 ? "round " + (round + 1) + " of 3: 1 blocks" : "all 3 rounds";
      assertTrue(decrypted.out().contains(said), decrypted.out());
    }
    assertEquals(expected, Digits.read(folder.resolve("scored")));

    decrypt(shared, nextBlocksAndTable()).assertRefused("scored already");
    try (Stream<Path> left = Files.walk(folder.resolve("state"))) {
      List<Path> files = left.filter(Files::isRegularFile).toList();
      assertEquals(List.of(folder.resolve("state/state.json")), files);
    }
  }

  @Test
  void whatWasEncryptedBeforeAKeyWasRotatedDecryptsAfterwards() {
    Artefacts own = new Artefacts(shared.model(), Artefacts.newKeys(shared.model()));
    encrypt(own).assertDone();
    CommandRun.of(
            "keygen",
            "--rotate",
            "--client",
            own.client().toString(),
            "--out",
            own.keys().toString())
        .assertDone();
    for (int round = 1; round <= 3; round++) {
      evaluate(shared.server()).assertDone();
      decrypt(own, nextBlocksAndTable()).assertDone();
    }
    assertEquals(expected, Digits.read(folder.resolve("scored")));
  }

  @Test
  void resultsAreReRandomisedUnderTheClientsPublicKey() {
    SparkSession spark = Digits.session();
    Path model =
        Digits.compile(spark, CompileOptions.remote(List.of("seq.2")).protectWeights(true).build());
    spark.stop();
    Artefacts own = new Artefacts(model, folder.resolve("keys"));
    CommandRun.of("keygen", "--client", own.client().toString(), "--out", own.keys().toString())
        .assertDone();
    encrypt(own).assertDone();
    evaluate(own.server()).assertRefusedAmongLogs("seq.2", "needs the client's public key");
    Path publicKey = own.keys().resolve("public.key");
    evaluate(own.server(), "--public-key", own.keys().resolve("client.key").toString())
        .assertRefused("client.key");
    evaluate(own.server(), "--public-key", publicKey.toString()).assertDone();
    decrypt(own, nextBlocksAndTable()).assertDone();
    assertEquals(expected.size(), Digits.read(folder.resolve("scored")).size());
  }

  @Test
  void whatIsMissingIsNamed() throws Exception {
    decrypt(shared, nextBlocksAndTable()).assertRefused("state", "encrypt");
    evaluate(shared.server()).assertRefused("blocks", "does not exist");
    encrypt().assertDone();
    encrypt().assertRefused("state", "not empty");
    decrypt(shared, nextBlocksAndTable()).assertRefused("results", "no blocks");
    evaluate(shared.server()).assertDone();
    decrypt(shared).assertRefused("round 1 of 3", "next round");

    decrypt(shared, nextBlocksAndTable()).assertDone();
    decrypt(shared, nextBlocksAndTable()).assertRefused("lacks 1 of the 1 blocks of round 2");

    Path wave = folder.resolve("state/round-001/wave-000000");
    evaluate(shared.server()).assertDone();
    Artefacts.alter(wave);
    decrypt(shared, nextBlocksAndTable()).assertRefused(wave.toString(), "damaged");
    Artefacts.truncate(wave);
    decrypt(shared, nextBlocksAndTable()).assertRefused(wave.toString(), "damaged");
    Files.delete(wave);
    decrypt(shared, nextBlocksAndTable()).assertRefused(wave.toString(), "encrypt the records");
  }

  @Test
  void aFolderOfSomethingElseIsNoState() throws Exception {
    Path state = Files.createDirectories(folder.resolve("state"));
    Path mine = Files.writeString(state.resolve("records.parquet"), "mine");
    encrypt().assertRefused("state", "not empty");
    assertEquals("mine", Files.readString(mine));
  }

  @Test
  void filesOfBlocksAreEvaluatedHoweverOldTheyAre() throws Exception {
    encrypt().assertDone();
    evaluate(shared.server()).assertDone();
    Artefacts other = new Artefacts(shared.model(), Artefacts.newKeys(shared.model()));
    Files.move(folder.resolve("blocks"), folder.resolve("first"));
    FileUtil.fullyDelete(folder.resolve("state").toFile());
    encrypt(other).assertDone();
    try (Stream<Path> files = Files.list(folder.resolve("blocks"))) {
      for (Path file : files.toList()) {
        Files.setLastModifiedTime(file, FileTime.from(Instant.now().minus(Duration.ofDays(30))));
      }
    }
    CommandRun evaluated = evaluate(shared.server());
    evaluated.assertDone();
    assertTrue(evaluated.out().contains("evaluate: 1 blocks"), evaluated.out());
  }

  @Test
  void anotherModelKeyOrClientIsNamed() {
    encrypt().assertDone();
    SparkSession spark = Digits.session();
    Path model = Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).weightBits(7).build());
    spark.stop();
    Artefacts other = new Artefacts(model, Artefacts.newKeys(model));
    evaluate(other.server()).assertRefusedAmongLogs("blocks", "number", "not registered");
    FileUtil.fullyDelete(folder.resolve("results").toFile());

    evaluate(shared.server()).assertDone();
    decrypt(other, nextBlocksAndTable()).assertRefused("another client artefact");
    Artefacts otherKey = new Artefacts(shared.model(), Artefacts.newKeys(shared.model()));
    decrypt(otherKey, nextBlocksAndTable()).assertRefused("there is no key", "the current key is");
  }

  @Test
  void aDamagedBlockIsNamedOnBothSides() throws Exception {
    encrypt().assertDone();
    evaluate(shared.server()).assertDone();
    Path results = folder.resolve("results");
    Path good = folder.resolve("good");
    Files.move(results, good);
    damage(good, results);
    decrypt(shared, nextBlocksAndTable()).assertRefused("module seq.0", "damaged");

    Path blocks = folder.resolve("blocks");
    Files.move(blocks, folder.resolve("sent"));
    FileUtil.fullyDelete(results.toFile());
    damage(folder.resolve("sent"), blocks);
    evaluate(shared.server()).assertRefusedAmongLogs(blocks.toString(), "number", "damaged");

    // The results are found where they have been moved to.
    FileUtil.fullyDelete(results.toFile());
    Files.move(good, results);
    decrypt(shared, nextBlocksAndTable()).assertDone();
  }

  /** Copies a table of blocks with a byte of each changed; Parquet's own checksums are right. */
  private static void damage(Path from, Path to) throws IOException {
    List<String> files;
    try (Stream<Path> inside = Files.list(from)) {
      files = inside.map(Path::toString).filter(file -> file.endsWith(".parquet")).toList();
    }
    SparkSession spark = Digits.session();
    List<Row> rows =
        spark.read().parquet(files.toArray(String[]::new)).collectAsList().stream()
            .map(JobsApartTest::damaged)
            .toList();
    spark
        .createDataFrame(rows, BlockTable.schema())
        .write()
        .mode(SaveMode.ErrorIfExists)
        .parquet(to.toString());
    spark.stop();
  }

  private static Row damaged(Row row) {
    Object[] values = new Object[row.length()];
    Arrays.setAll(values, row::get);
    byte[] block = ((byte[]) values[5]).clone();
    block[block.length - 7] ^= 1;
    values[5] = block;
    return RowFactory.create(values);
  }
}
