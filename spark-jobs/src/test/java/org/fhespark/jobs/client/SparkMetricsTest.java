package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.codahale.metrics.Gauge;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.spark.SparkConf;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;
import org.apache.spark.sql.SparkSession;
import org.fhespark.metrics.FheSparkPlugin;
import org.fhespark.nativelib.ClientKey;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What Spark's own pages and sinks say of a run. */
class SparkMetricsTest {
  private static SparkSession spark;
  private static ScoreReport report;
  private static Map<String, JsonNode> metrics;

  /** A plugin of the application's own, which has a metric too. */
  public static final class OwnPlugin implements SparkPlugin {
    @Override
    public DriverPlugin driverPlugin() {
      return new DriverPlugin() {
        @Override
        public void registerMetrics(String application, PluginContext context) {
          context.metricRegistry().register("own", (Gauge<Integer>) () -> 42);
        }
      };
    }

    @Override
    public ExecutorPlugin executorPlugin() {
      return null;
    }
  }

  @BeforeAll
  static void score() throws Exception {
    SparkConf conf =
        SparkSettings.addTo(new SparkConf().set(FheSparkPlugin.SETTING, OwnPlugin.class.getName()));
    conf.setMaster("local[2]")
        .setAppName("metrics")
        .set("spark.ui.port", "0")
        .set(
            "spark.metrics.conf.*.sink.prometheusServlet.class",
            "org.apache.spark.metrics.sink.PrometheusServlet")
        .set("spark.metrics.conf.*.sink.prometheusServlet.path", "/metrics/prometheus");
    spark = SparkSession.builder().config(conf).getOrCreate();
    HybridModel model = Digits.load(Digits.compiled(spark));
    Path output = Digits.newFolder("metrics").resolve("scored");
    try (ClientKey key = model.newKey();
        HybridSession session = model.session(spark, Mode.EXECUTE, key)) {
      report =
          session.score(
              Digits.hadoop(Digits.file("digits.parquet")),
              Digits.hadoop(output),
              false,
              ScoreProgress.SILENT);
      spark.sparkContext().listenerBus().waitUntilEmpty();
      metrics = metrics(json("/metrics/json/"), FheSparkPlugin.class);
    }
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static String get(String path) throws Exception {
    URI uri = URI.create(spark.sparkContext().uiWebUrl().get() + path);
    HttpResponse<String> response =
        HttpClient.newHttpClient()
            .send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
    assertEquals(200, response.statusCode(), uri + ": " + response.body());
    return response.body();
  }

  private static JsonNode json(String path) throws Exception {
    return JsonMapper.builder().build().readTree(get(path));
  }

  private static JsonNode application(String what) throws Exception {
    return json("/api/v1/applications/" + spark.sparkContext().applicationId() + "/" + what);
  }

  /** The metrics of a plugin by their own names. */
  private static Map<String, JsonNode> metrics(JsonNode all, Class<?> plugin) {
    Map<String, JsonNode> found = new HashMap<>();
    String prefix = "plugin." + plugin.getName() + ".";
    for (String kind : List.of("gauges", "counters", "histograms")) {
      all.get(kind)
          .properties()
          .forEach(
              entry -> {
                int at = entry.getKey().indexOf(prefix);
                if (at >= 0) {
                  found.put(entry.getKey().substring(at + prefix.length()), entry.getValue());
                }
              });
    }
    return found;
  }

  private static long count(String name) {
    return metrics.get(name).get("count").asLong();
  }

  private static double value(String name) {
    return metrics.get(name).get("value").asDouble();
  }

  @Test
  void sinksHaveWhatTheClientDid() {
    // Others of this JVM may have scored before.
    assertTrue(count("recordsDone") >= report.records(), metrics.toString());
    assertTrue(count("bytesUp") >= report.bytesUp());
    assertTrue(count("bytesDown") >= report.bytesDown());
    assertTrue(count("blocksSent") >= Digits.REMOTE.size());
    assertEquals(report.noiseMarginBits(), value("noiseMarginBits"), 1e-9);
  }

  @Test
  void sinksHaveWhatExecutorsDid() {
    assertTrue(count("blocks") >= Digits.REMOTE.size(), metrics.toString());
    assertTrue(count("records") >= report.records() * Digits.REMOTE.size());
    assertTrue(count("bytesIn") >= report.bytesUp());
    assertTrue(count("bytesOut") >= report.bytesDown());
    assertTrue(count("nanosPer1000Values") > 0);
    assertTrue(metrics.get("nanosPer1000Values").get("p50").asDouble() > 0);
    assertTrue(metrics.containsKey("failedBlocks"));
    assertEquals(Digits.REMOTE.size(), value("circuits"));
    // Weights are kept twice, once in the order of the kernel.
    assertTrue(value("circuitBytes") > 2 * 64 * 32, metrics.get("circuitBytes").toString());
    assertEquals(0, value("evaluationKeys"));
    assertEquals(0, value("evaluationKeyBytes"));
  }

  @Test
  void sinksHaveNativeMemory() {
    double parts =
        value("nativeHeapBytes") + value("nativeBufferBytes") + value("nativeResultBytes");
    assertTrue(value("nativeHeapBytes") > value("circuitBytes"), metrics.toString());
    assertTrue(value("nativeBytes") > 0 && parts > 0);
    assertTrue(value("idleBufferBytes") <= value("nativeBufferBytes"));
    assertTrue(value("idleResultBytes") <= value("nativeResultBytes"));
  }

  @Test
  void thePrometheusServletHasThem() throws Exception {
    String text = get("/metrics/prometheus/");
    for (String name : List.of("blocks", "nativeBytes", "recordsDone", "nanosPer1000Values")) {
      assertTrue(text.contains("FheSparkPlugin_" + name), name + " is not in: " + text);
    }
  }

  @Test
  void aPluginOfTheApplicationsOwnStays() throws Exception {
    assertEquals(
        42, metrics(json("/metrics/json/"), OwnPlugin.class).get("own").get("value").asInt());
    SparkConf conf = new SparkConf(false).set(FheSparkPlugin.SETTING, "a.B, c.D");
    String ours = FheSparkPlugin.class.getName();
    assertEquals("a.B,c.D," + ours, SparkSettings.addTo(conf).get(FheSparkPlugin.SETTING));
    assertEquals("a.B,c.D," + ours, SparkSettings.addTo(conf).get(FheSparkPlugin.SETTING));
    assertEquals(ours, SparkSettings.addTo(new SparkConf(false)).get(FheSparkPlugin.SETTING));
  }

  @Test
  void pagesOfStagesHaveTheAccumulatorsAndJobsAreDescribed() throws Exception {
    Map<String, Long> totals = new HashMap<>();
    for (JsonNode stage : application("stages?status=complete")) {
      for (JsonNode accumulator : stage.get("accumulatorUpdates")) {
        // Those of a context add up from stage to stage.
        totals.merge(
            accumulator.get("name").asText(), accumulator.get("value").asLong(), Math::max);
      }
    }
    assertEquals(
        report.records() * Digits.REMOTE.size(), totals.get("records in encrypted blocks"));
    assertEquals(report.bytesUp(), totals.get("bytes up"));
    assertEquals(report.bytesDown(), totals.get("bytes down"));
    TreeSet<String> described = new TreeSet<>();
    for (JsonNode job : application("jobs")) {
      described.add(job.get("description").asText().replaceAll(": \\d+ ", ": N "));
    }
    assertEquals(
        new TreeSet<>(Digits.REMOTE.stream().map(each -> each + ": N encrypted blocks").toList()),
        described);
  }
}
