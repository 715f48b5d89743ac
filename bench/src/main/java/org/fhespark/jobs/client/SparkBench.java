package org.fhespark.jobs.client;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.fhespark.udf.BlockBatch;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.EncryptedBlock;

/** Scratch version. */
public final class SparkBench {
  private static final int INPUTS = 768;
  private static final int OUTPUTS = 768;
  private static final int RECORDS = 100_000;

  public static void main(String[] arguments) {
    byte[] weights = new byte[INPUTS * OUTPUTS];
    Random random = new Random(1);
    for (int i = 0; i < weights.length; i++) {
      weights[i] =
          (byte)
              (i % INPUTS == 0
                  ? 127
                  : Math.max(-127, Math.min(127, Math.round(random.nextGaussian() * 35))));
    }
    WeightNorms norms = WeightNorms.of(weights, INPUTS, OUTPUTS);
    PackedParameters parameters = new PackedParameters(3, 512, 5, 5, 4, 3, 21, 8);
    byte[] file = PackedCircuit.encode(parameters, "bench", INPUTS, OUTPUTS, weights);
    float[] weightScales = new float[OUTPUTS];
    java.util.Arrays.fill(weightScales, 0.01f);
    ModuleSpec spec =
        new ModuleSpec(
            CircuitDigest.of(file),
            parameters,
            INPUTS,
            OUTPUTS,
            norms,
            new Quantization(8, 0f),
            weightScales,
            new float[0]);
    SparkConf conf =
        SparkSettings.addTo(
            new SparkConf()
                .setMaster("local[2]")
                .setAppName("bench")
                .set("spark.ui.enabled", "false"));
    for (String a : arguments) {
      String[] kv = a.split("=");
      conf.set(kv[0], kv[1]);
    }
    ClientKey key = ClientKey.generate(new byte[32], List.of(parameters.secretKeyShape()));
    ModuleClient client = ModuleClient.withKey(spec, key);
    try (JavaSparkContext spark = new JavaSparkContext(conf);
        ClientThreads threads = new ClientThreads(2)) {
      RemoteLayer layer = new RemoteLayer("m", 0, "x", "y", client);
      Tensor x = Tensor.allocate(ElementType.FLOAT, layer.blockRows(), INPUTS);
      while (x.data().hasRemaining()) {
        x.data().putFloat((float) random.nextGaussian());
      }
      x.data().flip();
      double arithmetic = arithmetic(client, file, x);
      for (int round = 0; round < 4; round++) {
        Measurements m = new Measurements();
        EncryptedEvaluator evaluator =
            new EncryptedEvaluator(
                spark, List.of(new Circuit(file)), threads, m, ScoreProgress.SILENT);
        Schedule schedule = new Schedule(Map.of(), List.of(layer), evaluator, threads, m);
        List<List<Batch>> waves = new ArrayList<>();
        int batches = RECORDS / layer.blockRows();
        for (int i = 0; i < batches; i += 2) {
          List<Batch> wave = new ArrayList<>();
          for (int j = i; j < Math.min(batches, i + 2); j++) {
            wave.add(new Batch((long) j * layer.blockRows(), List.of(), Map.of("x", x)));
          }
          waves.add(wave);
        }
        Map<String, Long> before = cpu();
        long processBefore = process();
        long start = System.nanoTime();
        new WavePipeline(schedule)
            .run(waves.iterator(), wave -> wave.forEach(b -> b.tensors().clear()));
        double wall = (System.nanoTime() - start) / 1e9;
        Map<String, Double> byThread = new TreeMap<>();
        cpu()
            .forEach(
                (name, nanos) -> {
                  double s = (nanos - before.getOrDefault(name, 0L)) / 1e9;
                  if (s > 0.01) byThread.put(name, s);
                });
        double process = (process() - processBefore) / 1e9;
        double java = byThread.values().stream().mapToDouble(d -> d).sum();
        System.out.printf(
            "wall %.2f s, arithmetic %.2f core s = %.1f %% of 2 cores; process cpu %.2f, gc/jit %.2f%n  %s%n  enc %.2f dec %.2f%n",
            wall,
            arithmetic * batches,
            100 * arithmetic * batches / (2 * wall),
            process,
            process - java,
            byThread,
            m.seconds(Step.ENCRYPT),
            m.seconds(Step.DECRYPT));
        evaluator.close();
      }
    }
  }

  private static double arithmetic(ModuleClient client, byte[] file, Tensor x) {
    double best = 1e9;
    double[] parts = new double[3];
    try (PackedCircuit circuit = PackedCircuit.open(file)) {
      float[] scales = new float[x.rows()];
      Tensor y = Tensor.allocate(ElementType.FLOAT, x.rows(), OUTPUTS);
      ThreadMXBean bean = ManagementFactory.getThreadMXBean();
      for (int i = 0; i < 12; i++) {
        long a = bean.getCurrentThreadCpuTime();
        EncryptedBlock block = EncryptedBlock.allocate(client.blockBytes(x.rows()));
        client.encrypt(x.data(), scales, 1, 1, block.bytes());
        long b = bean.getCurrentThreadCpuTime();
        EncryptedBlock result = BlockBatch.evaluate(circuit, List.of(block), 1, () -> false).get(0);
        long c = bean.getCurrentThreadCpuTime();
        client.decrypt(result.bytes(), 1, scales, 1, y.data());
        long d = bean.getCurrentThreadCpuTime();
        block.close();
        result.close();
        if ((d - a) / 1e9 < best) {
          best = (d - a) / 1e9;
          parts = new double[] {(b - a) / 1e6, (c - b) / 1e6, (d - c) / 1e6};
        }
      }
    }
    System.out.printf(
        "a block: encrypt %.1f evaluate %.1f decrypt %.1f ms%n", parts[0], parts[1], parts[2]);
    return best;
  }

  private static long process() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }

  private static Map<String, Long> cpu() {
    ThreadMXBean bean = ManagementFactory.getThreadMXBean();
    Map<String, Long> sums = new LinkedHashMap<>();
    for (long id : bean.getAllThreadIds()) {
      var info = bean.getThreadInfo(id);
      if (info != null) {
        sums.merge(
            info.getThreadName().replaceAll("[0-9.]+", "#").replaceAll("worker.*", "worker"),
            bean.getThreadCpuTime(id),
            Long::sum);
      }
    }
    return sums;
  }
}
