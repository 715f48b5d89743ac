package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Every Spark job of a command says in Spark's event log, and so on its pages, what it is for. */
class JobDescriptionsTest {
  private static final int IMAGES = 40;

  private static Artefacts model;
  private static Path records;

  @BeforeAll
  static void compile() {
    SparkSession spark = Digits.session();
    Path compiled = Digits.compile(spark, CompileOptions.remote(List.of("seq.4")).sums(2).build());
    model = new Artefacts(compiled, Artefacts.newKeys(compiled));
    records =
        Digits.write(spark, "records", Digits.schema(), Digits.images(spark).subList(0, IMAGES));
    spark.stop();
  }

  private static String[] logTo(Path events) {
    return new String[] {
      "--conf", "spark.eventLog.enabled=true",
      "--conf", "spark.eventLog.compress=false",
      "--conf", "spark.eventLog.dir=file:" + events
    };
  }

  /** The descriptions of the jobs in logs, without what differs from run to run. */
  private static TreeSet<String> described(Path events) throws IOException {
    TreeSet<String> found = new TreeSet<>();
    try (var files = Files.walk(events)) {
      for (Path file : files.filter(each -> each.toString().contains("events_")).toList()) {
        if (file.toString().endsWith(".crc")) {
          continue;
        }
        for (String line : Files.readAllLines(file)) {
          JsonNode event = JsonMapper.builder().build().readTree(line);
          if (event.get("Event").asText().equals("SparkListenerJobStart")) {
            JsonNode told = event.get("Properties").get("spark.job.description");
            found.add(told == null ? "none" : told.asText().lines().findFirst().orElse(""));
          }
        }
      }
    }
    return found;
  }

  private static Path newEvents(Path folder, String name) throws IOException {
    return Files.createDirectories(folder.resolve(name));
  }

  private static String[] and(String[] options, String... more) {
    String[] all = Arrays.copyOf(options, options.length + more.length);
    System.arraycopy(more, 0, all, options.length, more.length);
    return all;
  }

  @Test
  void jobsApartAreDescribed() throws Exception {
    Path folder = Digits.newFolder("described");
    JobsApart jobs = new JobsApart(model, folder);
    Path encrypted = newEvents(folder, "encrypt-events");
    jobs.encrypt(records, and(logTo(encrypted), "--on-cluster")).assertDone();
    assertEquals(new TreeSet<>(List.of("encrypt the records of " + records)), described(encrypted));

    Path evaluated = newEvents(folder, "evaluate-events");
    jobs.evaluate(model.server(), logTo(evaluated)).assertDone();
    TreeSet<String> evaluations = described(evaluated);
    assertEquals(
        new TreeSet<>(
            List.of(
                "evaluate the encrypted blocks of " + jobs.blocks() + " to " + jobs.results(),
                "look at the encrypted blocks of " + jobs.blocks())),
        new TreeSet<>(evaluations.stream().map(each -> each.split("<br")[0]).toList()));

    Path decrypted = newEvents(folder, "decrypt-events");
    jobs.decrypt(and(logTo(decrypted), "--output", folder.resolve("scored").toString()))
        .assertDone();
    assertEquals(
        new TreeSet<>(List.of("read encrypted results of " + jobs.results())),
        described(decrypted));
  }

  @Test
  void jobsOfSumsAreDescribed() throws Exception {
    Path folder = Digits.newFolder("described");
    JobsApart jobs = new JobsApart(model, folder);
    jobs.encrypt(records, "--group-by", "label").assertDone();
    Path summed = newEvents(folder, "sum-events");
    jobs.evaluate(model.server(), and(logTo(summed), "--sum")).assertDone();
    TreeSet<String> sums = described(summed);
    assertTrue(
        sums.equals(new TreeSet<>(List.of("sums of the encrypted blocks of " + jobs.blocks()))),
        sums.toString());
  }
}
