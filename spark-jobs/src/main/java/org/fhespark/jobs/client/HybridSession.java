package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.Buffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.CalibrationStatistics;
import org.fhespark.compiler.artifact.CallOutput;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.SegmentSpec;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.OutputColumns;
import org.fhespark.jobs.tables.RecordBatches;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.udf.Circuit;

/**
 * A model open for scoring. Records are read, and results written, on the driver only: executors
 * get encrypted blocks and nothing else.
 *
 * <p>Not for use by several threads; one run at a time.
 */
public final class HybridSession implements AutoCloseable {
  private final SparkSession spark;
  private final HybridModel model;
  private final Mode mode;
  private final Optional<ClientKey> key;
  private final ClientThreads threads;

  /** In mode CALIBRATE. */
  private final Optional<StatisticsGatherer> gatherer;

  private HybridSession(SparkSession spark, HybridModel model, Mode mode, Optional<ClientKey> key) {
    this.spark = spark;
    this.model = model;
    this.mode = mode;
    this.key = key;
    this.gatherer =
        mode == Mode.CALIBRATE
            ? Optional.of(new StatisticsGatherer(model.specs()))
            : Optional.empty();
    this.threads = new ClientThreads(Runtime.getRuntime().availableProcessors());
  }

  static HybridSession open(
      SparkSession spark, HybridModel model, Mode mode, Optional<ClientKey> key) {
    if (mode == Mode.EXECUTE && key.isEmpty()) {
      throw new InvalidInputException(
          "mode execute needs the client's key: give one (--keys KEYS; keygen makes it)");
    }
    String deployMode = spark.sparkContext().getConf().get("spark.submit.deployMode", "client");
    if (deployMode.equals("cluster")) {
      throw new InvalidInputException(
          "deploy mode cluster would run the client, with its key and records, on the cluster: use"
              + " --deploy-mode client");
    }
    model.server();
    return new HybridSession(spark, model, mode, key);
  }

  /**
   * Scores a dataset: its columns, and one array column per output of the model.
   *
   * <p>The result is held on the driver; for large tables use {@link #score}. On a cluster of
   * untrusted executors only {@code show}, {@code collectAsList} and the like are safe on it: a
   * join, a write or any other job would send records and results to the executors in clear.
   *
   * @param records a column per input of the model, named as the input
   * @throws InvalidInputException if a column is missing, mistyped, null, not finite or of the
   *     wrong length; or if computing {@code records} would show them to the executors
   */
  public Dataset<Row> forward(Dataset<Row> records) {
    List<Row> rows = DriverRows.of(records);
    OutputColumns columns = new OutputColumns(records.schema(), model.specs().outputs(), "records");
    List<Row> results = new ArrayList<>(rows.size());
    run(
        rows.iterator(),
        rows.size(),
        records.schema(),
        "records",
        columns,
        results::add,
        ScoreProgress.SILENT);
    return spark.createDataFrame(results, columns.schema());
  }

  /**
   * Scores a table on any Hadoop file system and writes the result as another, in the input's
   * order. The output appears when it is complete.
   *
   * @param input Parquet, CSV or JSON, a file or a directory
   * @param output a directory that does not exist or is empty, or with {@code overwrite} one that
   *     this wrote before
   * @throws InvalidInputException as {@link #forward}, and if a path cannot be read or written
   */
  public ScoreReport score(Path input, Path output, boolean overwrite, ScoreProgress progress) {
    try (TableReader reader = TableReader.open(spark, input)) {
      OutputColumns columns =
          new OutputColumns(reader.schema(), model.specs().outputs(), reader.name());
      TableFormat format = TableFormat.ofFileName(output.getName()).orElse(TableFormat.PARQUET);
      try (TableWriter writer =
          TableWriter.create(spark, output, columns.schema(), format, overwrite)) {
        return run(
            reader.rows(),
            reader.rowCountHint(),
            reader.schema(),
            reader.name(),
            columns,
            writer::write,
            progress,
            writer::commit);
      }
    }
  }

  /**
   * Runs a table through the model for its {@link #statistics} alone; mode CALIBRATE.
   *
   * @param input as of {@link #score}
   * @throws InvalidInputException as {@link #score}
   */
  public ScoreReport calibrate(Path input, ScoreProgress progress) {
    requireGatherer();
    try (TableReader reader = TableReader.open(spark, input)) {
      OutputColumns columns =
          new OutputColumns(reader.schema(), model.specs().outputs(), reader.name());
      return run(
          reader.rows(),
          reader.rowCountHint(),
          reader.schema(),
          reader.name(),
          columns,
          row -> {},
          progress);
    }
  }

  /**
   * What the remote modules read in all runs of this session so far; mode CALIBRATE. {@code
   * ModelCompiler} takes it in place of calibration records.
   *
   * @throws InvalidInputException if there was no record yet, or the mode is another
   */
  public CalibrationStatistics statistics() {
    return requireGatherer().statistics();
  }

  private StatisticsGatherer requireGatherer() {
    return gatherer.orElseThrow(
        () ->
            new InvalidInputException(
                "mode "
                    + mode.lowerCase()
                    + " gathers no statistics: open the session in mode calibrate"));
  }

  private ScoreReport run(
      Iterator<Row> rows,
      long count,
      StructType schema,
      String table,
      OutputColumns columns,
      Consumer<Row> sink,
      ScoreProgress progress) {
    return run(rows, count, schema, table, columns, sink, progress, () -> {});
  }

  private ScoreReport run(
      Iterator<Row> rows,
      long count,
      StructType schema,
      String table,
      OutputColumns columns,
      Consumer<Row> sink,
      ScoreProgress progress,
      Runnable commit) {
    long start = System.nanoTime();
    Measurements measurements = new Measurements();
    InputBinding binding = InputBinding.bind(schema, model.specs().inputs(), table);
    progress.started(count);
    long[] records = {0};
    try (Resources resources = new Resources()) {
      List<RemoteLayer> layers = remoteLayers(resources);
      List<String> outputs = model.specs().outputs().stream().map(TensorSpec::name).toList();
      Schedule schedule =
          new Schedule(
              segments(resources),
              layers,
              outputs,
              resources.add(evaluator(measurements, progress)),
              threads,
              measurements);
      BatchSizes sizes =
          new BatchSizes(layers, binding.specs(), () -> spark.sparkContext().defaultParallelism());
      new WavePipeline(schedule)
          .run(
              waves(rows, binding, sizes, measurements),
              wave -> {
                wave.forEach(sizes::observe);
                try (var unused = measurements.time(Step.WRITE)) {
                  emit(wave, columns, sink);
                  int done = wave.stream().mapToInt(batch -> batch.rows().size()).sum();
                  records[0] += done;
                  gatherer.ifPresent(seen -> seen.countRecords(done));
                  progress.recordsDone(done);
                }
              });
      try (var unused = measurements.time(Step.WRITE)) {
        commit.run();
      }
    } finally {
      progress.ended();
    }
    return report(records[0], (System.nanoTime() - start) / 1e9, measurements);
  }

  /** With a padding mask, records may be sequences of any length. */
  private Iterator<List<Batch>> waves(
      Iterator<Row> rows, InputBinding binding, BatchSizes sizes, Measurements measurements) {
    return model.specs().paddingMask() != null
        ? new SequenceReader(rows, binding, sizes, measurements)
        : new WaveReader(
            new RecordBatches(rows, binding, sizes::batchUnits),
            binding.specs(),
            sizes,
            measurements);
  }

  /** Hands on the results of a wave, in the order in which its records came. */
  private void emit(List<Batch> wave, OutputColumns columns, Consumer<Row> sink) {
    List<Result> results = new ArrayList<>();
    for (Batch batch : wave) {
      List<Tensor> tensors =
          model.specs().outputs().stream().map(output -> batch.tensor(output.name())).toList();
      List<Buffer> values = tensors.stream().map(Tensor::values).toList();
      for (int record = 0; record < batch.rows().size(); record++) {
        results.add(new Result(batch, record, tensors, values));
      }
    }
    results.sort(Comparator.comparingLong(Result::number));
    results.forEach(result -> sink.accept(result.row(columns, model.specs().outputs())));
  }

  /** The results of a record, in those of its batch. */
  private record Result(Batch batch, int record, List<Tensor> tensors, List<Buffer> values) {
    long number() {
      return batch.recordNumber(record);
    }

    Row row(OutputColumns columns, List<TensorSpec> outputs) {
      int[] own = new int[tensors.size()];
      for (int i = 0; i < own.length; i++) {
        List<Long> shape = outputs.get(i).shape();
        boolean isSequence = !shape.isEmpty() && shape.get(0) < 0;
        own[i] = batch.ownValues(tensors.get(i), isSequence, record);
      }
      List<Row> rows = batch.rows();
      return columns.row(rows.get(record), values, record, rows.size(), own);
    }
  }

  private ScoreReport report(long records, double seconds, Measurements measurements) {
    Map<Step, Double> steps = new HashMap<>();
    for (Step step : Step.values()) {
      steps.put(step, measurements.seconds(step));
    }
    double margin =
        mode == Mode.EXECUTE || mode == Mode.SIMULATE
            ? model.specs().remote().stream()
                .mapToDouble(RemoteCallSpec::noiseMarginBits)
                .min()
                .orElse(Double.NaN)
            : Double.NaN;
    return new ScoreReport(
        mode,
        records,
        seconds,
        steps,
        measurements.valuesUp.sum(),
        measurements.bytesUp.sum(),
        measurements.valuesDown.sum(),
        measurements.bytesDown.sum(),
        margin);
  }

  private List<RemoteLayer> remoteLayers(Resources resources) {
    List<RemoteLayer> layers = new ArrayList<>();
    Optional<PaddingMask> mask =
        Optional.ofNullable(model.specs().paddingMask()).map(PaddingMask::new);
    for (RemoteCallSpec remote : model.specs().remote()) {
      ModuleClient client =
          key.map(k -> ModuleClient.withKey(remote.moduleSpec(), k))
              .orElseGet(() -> ModuleClient.withoutKey(remote.moduleSpec()));
      resources.add(client);
      layers.add(new RemoteLayer(remote, mask, client));
    }
    return layers;
  }

  private Map<Integer, OnnxSegment> segments(Resources resources) {
    Map<Integer, OnnxSegment> segments = new HashMap<>();
    for (SegmentSpec segment : model.specs().segments()) {
      OnnxSegment opened =
          new OnnxSegment(
              segment.file(),
              model.client().segmentModel(segment),
              segment.inputs(),
              segment.outputs());
      segments.put(segment.stage(), resources.add(opened));
    }
    return segments;
  }

  private RemoteEvaluator evaluator(Measurements measurements, ScoreProgress progress) {
    List<RemoteCallSpec> remote = model.specs().remote();
    switch (mode) {
      case TORCH, CALIBRATE -> {
        Map<String, OnnxSegment> modules = new HashMap<>();
        for (RemoteCallSpec call : remote) {
          for (CallOutput output : call.outputs()) {
            modules.computeIfAbsent(
                output.module(),
                module -> new OnnxSegment("module " + module, floatModule(module)));
          }
        }
        FloatEvaluator inFloat = new FloatEvaluator(modules, threads, measurements);
        return gatherer.isPresent()
            ? new CalibratingEvaluator(inFloat, gatherer.get(), threads)
            : inFloat;
      }
      case DISABLE, SIMULATE -> {
        Map<CircuitDigest, PackedCircuit> circuits = new HashMap<>();
        for (RemoteCallSpec call : remote) {
          circuits.computeIfAbsent(
              CircuitDigest.parse(call.circuitDigest()),
              digest -> PackedCircuit.open(model.server().circuit(call.circuit())));
        }
        QuantizedEvaluator.Product product =
            mode == Mode.SIMULATE
                ? QuantizedEvaluator.Product.NOISY
                : QuantizedEvaluator.Product.EXACT;
        return new QuantizedEvaluator(product, circuits, threads, measurements);
      }
      case EXECUTE -> {
        Map<String, Circuit> circuits = new LinkedHashMap<>();
        for (RemoteCallSpec call : remote) {
          circuits.computeIfAbsent(
              call.circuit(), name -> new Circuit(model.server().circuit(name)));
        }
        return new EncryptedEvaluator(
            JavaSparkContext.fromSparkContext(spark.sparkContext()),
            List.copyOf(circuits.values()),
            threads,
            measurements,
            progress);
      }
    }
    throw new IllegalStateException("mode " + mode);
  }

  private byte[] floatModule(String module) {
    try {
      return model.server().floatModule(module);
    } catch (IOException error) {
      throw new InvalidInputException(
          "module " + module + ": its float form cannot be read: " + error.getMessage(), error);
    }
  }

  /** Releases threads; the key and the Spark session stay open. */
  @Override
  public void close() {
    threads.close();
  }
}
