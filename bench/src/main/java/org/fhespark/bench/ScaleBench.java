package org.fhespark.bench;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Scores tables of growing size, each in a process of its own, on embedded Spark and on a cluster:
 * time a record and memory of the driver.
 */
@Command(
    name = "bench/scale",
    description = "Scores tables of growing size: time a record, memory of the driver.",
    mixinStandardHelpOptions = true)
public final class ScaleBench implements Callable<Integer> {
  /** How far figures may lie from that of the largest table. */
  private static final double FLAT = 0.2;

  @Option(names = "--model", required = true, description = "A compiled model.")
  private Path model;

  @Option(names = "--keys", required = true, description = "Its keys.")
  private Path keys;

  @Option(names = "--start-up", required = true, description = "A table to score first.")
  private Path startUp;

  @Option(
      names = "--smallest",
      required = true,
      description = "A table of few records: what it takes is no time of records.")
  private Path smallest;

  @Option(
      names = "--table",
      required = true,
      arity = "1..*",
      description = "Tables to time, in growing order.")
  private List<Path> tables;

  @Option(
      names = "--on",
      required = true,
      arity = "1..*",
      paramLabel = "NAME=COMMAND",
      description =
          "How to run a ScaleRun: words of a command that its options follow, separated by blanks.")
  private List<String> commands;

  @Option(names = "--work", required = true, description = "A folder for results and the plot.")
  private Path work;

  /**
   * One measurement.
   *
   * @param spark where it ran
   */
  record Row(String spark, ScaleRun.Result result) {
    double seconds() {
      List<Double> seconds = result.seconds().stream().sorted().toList();
      return seconds.get(seconds.size() / 2);
    }

    /** Of the median run, without what it takes beside its records. */
    double nanosPerRecord() {
      return 1e9 * (seconds() - result.startUpSeconds()) / result.records();
    }
  }

  public static void main(String[] arguments) {
    Locale.setDefault(Locale.ROOT);
    System.exit(new CommandLine(new ScaleBench()).execute(arguments));
  }

  @Override
  public Integer call() throws Exception {
    Files.createDirectories(work);
    TreeMap<String, List<Row>> rows = new TreeMap<>(Comparator.reverseOrder());
    for (String command : commands) {
      int equals = command.indexOf('=');
      String name = command.substring(0, equals);
      List<Row> ofSpark = new ArrayList<>();
      for (Path table : tables) {
        Row row = new Row(name, run(command.substring(equals + 1).split(" "), table));
        System.err.printf(
            "%s: %,d records, %.0f ns each%n", name, row.result().records(), row.nanosPerRecord());
        ofSpark.add(row);
      }
      rows.put(name, ofSpark);
    }
    rows.values().forEach(ScaleBench::print);
    rows.values().forEach(ScaleBench::judge);
    Path plot = work.resolve("scale.png");
    ScalePlot.write(rows, plot);
    System.out.println("\nplot: " + plot);
    return 0;
  }

  /** More runs of small tables, whose figures scatter more. */
  private static int runs(long largest, long size) {
    return (int) Math.max(1, Math.min(9, largest / Math.max(1, size)));
  }

  private ScaleRun.Result run(String[] command, Path table) throws IOException {
    List<String> words = new ArrayList<>(List.of(command));
    int runs = runs(Files.size(tables.get(tables.size() - 1)), Files.size(table));
    words.addAll(List.of("--model", model.toString(), "--keys", keys.toString()));
    words.addAll(List.of("--start-up", startUp.toString(), "--smallest", smallest.toString()));
    words.addAll(List.of("--input", table.toString()));
    words.addAll(List.of("--output", work.resolve("scored").toString()));
    words.addAll(List.of("--runs", Integer.toString(runs)));
    Process process =
        new ProcessBuilder(words).redirectError(ProcessBuilder.Redirect.INHERIT).start();
    ScaleRun.Result result = null;
    try (BufferedReader out =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      for (String line; (line = out.readLine()) != null; ) {
        if (line.startsWith(ScaleRun.MARK)) {
          result =
              JsonMapper.builder()
                  .build()
                  .readValue(line.substring(ScaleRun.MARK.length()), ScaleRun.Result.class);
        }
      }
    }
    if (result == null) {
      throw new IOException("no result came from " + String.join(" ", words));
    }
    return result;
  }

  private static void print(List<Row> rows) {
    Row last = rows.get(rows.size() - 1);
    System.out.printf(
        "%n| %s: records | s | of it start-up | ns a record after it | to the largest |"
            + " peak memory of the driver, MB | to the largest | of it heap, MB |%n"
            + "|---:|---:|---:|---:|---:|---:|---:|---:|%n",
        last.spark());
    for (Row row : rows) {
      System.out.printf(
          "| %,d | %.2f | %.2f | %,.0f | %.2f | %,.0f | %.2f | %,.0f |%n",
          row.result().records(),
          row.seconds(),
          row.result().startUpSeconds(),
          row.nanosPerRecord(),
          row.nanosPerRecord() / last.nanosPerRecord(),
          row.result().peakResidentBytes() / 1e6,
          (double) row.result().peakResidentBytes() / last.result().peakResidentBytes(),
          row.result().peakHeapBytes() / 1e6);
    }
    System.out.printf("%nsteps of the largest, s: %s%n", last.result().stepSeconds());
  }

  private static void judge(List<Row> rows) {
    Row last = rows.get(rows.size() - 1);
    for (Row row : rows.subList(0, rows.size() - 1)) {
      line(row, "time a record", row.nanosPerRecord() / last.nanosPerRecord());
    }
    if (rows.size() > 1) {
      Row before = rows.get(rows.size() - 2);
      line(
          before,
          "peak memory of the driver",
          (double) before.result().peakResidentBytes() / last.result().peakResidentBytes());
    }
  }

  private static void line(Row row, String what, double ratio) {
    boolean isFlat = ratio >= 1 - FLAT && ratio <= 1 + FLAT;
    System.out.printf(
        "- %s: %s, %,d records: %s %.2f of the largest table's, target 1 ± %.1f%n",
        isFlat ? "met" : "MISSED", row.spark(), row.result().records(), what, ratio, FLAT);
  }
}
