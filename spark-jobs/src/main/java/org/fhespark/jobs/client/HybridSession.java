package org.fhespark.jobs.client;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
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
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.OutputColumns;
import org.fhespark.jobs.tables.ResumableTable;
import org.fhespark.jobs.tables.RowSink;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;
import org.fhespark.metrics.ClientMetrics;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.LeveledCircuit;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupRanges;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.PublicKeyBytes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A model open for scoring. Records are read, and results written, on the driver only: executors
 * get encrypted blocks and nothing else.
 *
 * <p>What the first run opens, such as segments and broadcast circuits, stays open for the next
 * until the session is closed or a run fails; prepared masks stay when a run fails. One run at a
 * time: other threads wait, also to close the session. An interrupt ends the run.
 */
public final class HybridSession implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(HybridSession.class);

  /** What prepared masks may hold unless the caller says otherwise. */
  private static final long PREPARED_BYTES = 2L << 30;

  private final SparkSession spark;
  private final HybridModel model;
  private final Mode mode;
  private final Optional<ClientKey> key;
  private final Optional<EvaluationKeyFiles> evaluationKeys;

  /** In mode REMOTE. */
  private final Optional<RemoteServer> server;

  private final ClientThreads threads;
  private final Measurements measurements = new Measurements();
  private final CurrentProgress progress = new CurrentProgress();

  /** What runs have told of the size of tensors. */
  private final AtomicLong tokenBytes = new AtomicLong();

  /** Remote calls with their keys and prepared masks, once they are needed. */
  private List<RemoteLayer> layers;

  /** What the calls hold. */
  private final Resources layerResources = new Resources();

  /** Null until a run needs it. */
  private OpenSchedule opened;

  private boolean isClosed;

  /** What runs share; {@code resources} holds all of it that is to be closed. */
  private record OpenSchedule(Schedule schedule, RemoteEvaluator evaluator, Resources resources) {}

  /** In mode CALIBRATE. */
  private final Optional<StatisticsGatherer> gatherer;

  private HybridSession(
      SparkSession spark,
      HybridModel model,
      Mode mode,
      Optional<ClientKey> key,
      Optional<EvaluationKeyFiles> evaluationKeys,
      Optional<RemoteServer> server) {
    this.spark = spark;
    this.model = model;
    this.mode = mode;
    this.key = key;
    this.evaluationKeys = evaluationKeys;
    this.server = server;
    this.gatherer =
        mode == Mode.CALIBRATE
            ? Optional.of(new StatisticsGatherer(model.specs()))
            : Optional.empty();
    this.threads = new ClientThreads(Runtime.getRuntime().availableProcessors());
  }

  static HybridSession open(
      SparkSession spark,
      HybridModel model,
      Mode mode,
      Optional<ClientKey> key,
      Optional<java.nio.file.Path> evaluationKeys,
      Optional<RemoteServer> server) {
    if (mode.isEncrypted() && key.isEmpty()) {
      throw new InvalidInputException(
          "mode "
              + mode.lowerCase()
              + " needs the client's key: give one (--keys KEYS; keygen makes it)");
    }
    if ((mode == Mode.REMOTE) != server.isPresent()) {
      throw new InvalidInputException(
          "mode remote, and no other, needs a server: use HybridModel.remoteSession (--server"
              + " sc://HOST:PORT)");
    }
    DeployMode.requireClient(spark);
    if (mode != Mode.REMOTE) {
      model.server();
    }
    return new HybridSession(
        spark,
        model,
        mode,
        key,
        mode.isEncrypted() && model.needsEvaluationKeys()
            ? Optional.of(openEvaluationKeys(model, key.orElseThrow(), evaluationKeys))
            : Optional.empty(),
        server);
  }

  private static EvaluationKeyFiles openEvaluationKeys(
      HybridModel model, ClientKey key, Optional<java.nio.file.Path> folder) {
    return EvaluationKeyFiles.open(
        model.specs().evaluationKeys(),
        key,
        folder.orElseThrow(
            () ->
                new InvalidInputException(
                    "this model needs evaluation keys: make them with"
                        + " HybridModel.evaluationKeys and give their folder to session")),
        model.client().folder());
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
  public synchronized Dataset<Row> forward(Dataset<Row> records) {
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
   * <p>A run that failed or was killed leaves the parts of the output that it had finished beside
   * it, in {@code .OUTPUT.unfinished-*}. The next run of the same model, mode and output takes them
   * for the records that they were made of, and scores the others; the setting {@code
   * spark.fhe.score.partRecords} says how many records a part has, a number that otherwise comes
   * from the model. The output is that of one run: byte for byte, if a record's values do not
   * depend on what it is scored with. Mode CALIBRATE, which must see all records, begins anew.
   *
   * @param input Parquet, CSV or JSON, a file or a directory
   * @param output a directory that does not exist or is empty, or with {@code overwrite} one that
   *     this wrote before
   * @throws InvalidInputException as {@link #forward}, and if a path cannot be read or written
   */
  public synchronized ScoreReport score(
      Path input, Path output, boolean overwrite, ScoreProgress progress) {
    requireOpen();
    try (TableReader reader = TableReader.open(spark, input)) {
      OutputColumns columns =
          new OutputColumns(reader.schema(), model.specs().outputs(), reader.name());
      TableFormat format = TableFormat.ofFileName(output.getName()).orElse(TableFormat.PARQUET);
      if (gatherer.isPresent()) {
        try (TableWriter writer =
            TableWriter.create(spark, output, columns.schema(), format, overwrite)) {
          return run(reader, columns, writer, progress);
        }
      }
      openLayers();
      try (ResumableTable table =
          ResumableTable.open(
              spark,
              output,
              columns.schema(),
              reader.schema().length(),
              format,
              overwrite,
              PartSize.of(layers, model.specs().inputs(), SessionSettings.of(spark)),
              mode + " " + model.client().id())) {
        return runResumably(reader, columns, table, progress);
      }
    }
  }

  /** A failure says what the next run need not do again. */
  private ScoreReport runResumably(
      TableReader reader, OutputColumns columns, ResumableTable table, ScoreProgress progress) {
    try {
      return run(reader, columns, table, progress);
    } catch (InvalidInputException error) {
      if (table.finishedRecords() == 0) {
        throw error;
      }
      throw new InvalidInputException(error.getMessage() + "; " + kept(table), error);
    } catch (Throwable error) {
      if (table.finishedRecords() > 0) {
        LOG.warn("the run failed; {}", kept(table));
      }
      throw error;
    }
  }

  private static String kept(ResumableTable table) {
    return "the same command goes on from "
        + table.finishedRecords()
        + " finished records, kept in "
        + table.folder();
  }

  /**
   * Runs a table through the model for its {@link #statistics} alone; mode CALIBRATE.
   *
   * @param input as of {@link #score}
   * @throws InvalidInputException as {@link #score}
   */
  public synchronized ScoreReport calibrate(Path input, ScoreProgress progress) {
    requireGatherer();
    try (TableReader reader = TableReader.open(spark, input)) {
      OutputColumns columns =
          new OutputColumns(reader.schema(), model.specs().outputs(), reader.name());
      return run(reader, columns, row -> {}, progress);
    }
  }

  /**
   * What the remote modules read in all runs of this session so far; mode CALIBRATE. {@code
   * ModelCompiler} takes it in place of calibration records.
   *
   * @throws InvalidInputException if there was no record yet, or the mode is another
   */
  public synchronized CalibrationStatistics statistics() {
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
      TableReader reader, OutputColumns columns, RowSink sink, ScoreProgress progress) {
    return run(
        reader.rows(),
        reader.rowCountHint(),
        reader.schema(),
        reader.name(),
        columns,
        sink,
        progress);
  }

  private ScoreReport run(
      Iterator<Row> rows,
      long count,
      StructType schema,
      String table,
      OutputColumns columns,
      RowSink sink,
      ScoreProgress told) {
    long start = System.nanoTime();
    InputBinding binding = InputBinding.bind(schema, model.specs().inputs(), table);
    long[] records = {0};
    long[] takenOver = {0};
    begin(told, count);
    try {
      OpenSchedule open = open();
      BatchSizes sizes =
          new BatchSizes(
              layers, binding.specs(), tokenBytes, () -> spark.sparkContext().defaultParallelism());
      ScoredRows scored = new ScoredRows(model.specs().outputs(), columns);
      Iterator<Row> unfinished =
          sink.unfinished(
              rows,
              finished -> {
                binding.skip(finished);
                takenOver[0] += finished;
                told.recordsDone(finished);
              });
      WavePipeline.through(open.schedule())
          .run(
              Waves.of(model.specs(), unfinished, binding, sizes, measurements),
              wave -> {
                wave.forEach(sizes::observe);
                try (var unused = measurements.time(Step.WRITE)) {
                  scored.emit(wave, sink::write);
                  wave.forEach(Batch::release);
                  int done = wave.stream().mapToInt(batch -> batch.rows().size()).sum();
                  records[0] += done;
                  told.recordsDone(done);
                  ClientMetrics.shared().recordsDone(done);
                  gatherer.ifPresent(seen -> seen.countRecords(done));
                }
              });
      try (var unused = measurements.time(Step.WRITE)) {
        sink.commit();
      }
    } catch (Throwable error) {
      closeScheduleAfter(error);
      throw error;
    } finally {
      closeUsedMasks();
      told.ended();
    }
    return report(
        records[0] + takenOver[0], takenOver[0], (System.nanoTime() - start) / 1e9, measurements);
  }

  /**
   * Scores tensors, for programs that go through the model again and again, as the generation of
   * text does. The rows of all batches fill blocks together; clear segments take the batches side
   * by side.
   *
   * @param batches for each batch of records the model's inputs by name, {@code [records, ...]};
   *     they are read, not kept, and must not change meanwhile
   * @return for each batch the model's outputs by name, padding included
   * @throws InvalidInputException if an input is missing, or its type or shape is not the model's
   */
  public synchronized TensorResults forward(List<Map<String, ModelTensor>> batches) {
    long start = System.nanoTime();
    List<Batch> wave = new ArrayList<>();
    long records = 0;
    for (Map<String, ModelTensor> inputs : batches) {
      Batch batch = TensorInputs.batch(model.specs().inputs(), inputs, wave.size(), records);
      records += batch.records();
      wave.add(batch);
    }
    begin(ScoreProgress.SILENT, records);
    try {
      WavePipeline.through(open().schedule()).run(List.of(wave).iterator(), finished -> {});
    } catch (Throwable error) {
      closeScheduleAfter(error);
      throw error;
    } finally {
      closeUsedMasks();
    }
    ClientMetrics.shared().recordsDone(records);
    List<Map<String, ModelTensor>> outputs = new ArrayList<>();
    for (Batch batch : wave) {
      gatherer.ifPresent(seen -> seen.countRecords(batch.records()));
      Map<String, ModelTensor> tensors = new HashMap<>();
      for (TensorSpec output : model.specs().outputs()) {
        tensors.put(output.name(), ModelTensor.of(batch.tensor(output.name())));
      }
      outputs.add(tensors);
    }
    return new TensorResults(
        outputs, report(records, 0, (System.nanoTime() - start) / 1e9, measurements));
  }

  /**
   * Does ahead what masks cost, so that small batches to come are fast: as {@link #prepare(long,
   * long)} with 2 GiB.
   */
  public synchronized Preparation prepare(long rows) {
    return prepare(rows, PREPARED_BYTES);
  }

  /**
   * Does ahead what masks cost, so that small batches to come are fast: under FHE a block's mask
   * costs the executors as much as some 1,500 rows, however few the block holds. Later runs need
   * not be told: blocks of few rows take slots of prepared masks, each slot serves one row once,
   * and the values are the same. A block for whose rows no mask has slots enough gets a mask of its
   * own, and so does one of which the mask is the lesser part.
   *
   * <p>Afterwards every remote module has masks for {@code rows} rows that no row has used yet;
   * those that were there count. What is left of a mask is given up when it is too little for a
   * block that another can take, and when memory would not do otherwise. A failed run loses the
   * slots that it took; the others stay until the session is closed.
   *
   * <p>The masks are in native memory, as secret as the key, and are never stored. They must not be
   * used after the process was copied, as by restoring a machine from a snapshot: both copies would
   * use the same slots. While masks are made, the executors' results, up to 256 MB at a time, come
   * on top. Other modes have no masks: nothing is done.
   *
   * @param rows of each remote module: of a table one a record, of sequences one a position, of a
   *     convolution one a window
   * @param mostBytes of native memory that all masks of the session may hold; a slot takes about
   *     4.5 bytes for each input and output of its module
   * @throws InvalidInputException if they would hold more, or results of a module are re-randomised
   *     ({@code compile --protect-weights}); nothing has changed then
   */
  public synchronized Preparation prepare(long rows, long mostBytes) {
    if (rows < 1) {
      throw new InvalidInputException("prepare: masks for " + rows + " rows; give at least 1");
    }
    long start = System.nanoTime();
    begin(ScoreProgress.SILENT, 0);
    OpenSchedule open = open();
    List<MaskDemand> masks =
        mode.isEncrypted() ? MaskDemand.of(layers, rows, mostBytes) : List.of();
    RemoteEvaluator evaluator = open.evaluator();
    try {
      WavePipeline.runOnce(() -> evaluator.prepare(masks), evaluator::cancel);
    } catch (Throwable error) {
      closeScheduleAfter(error);
      throw error;
    }
    return new Preparation(
        masks.size(),
        masks.stream().mapToLong(MaskDemand::slots).sum(),
        layers.stream().mapToLong(layer -> layer.preparedMasks().memoryBytes()).sum(),
        report(0, 0, (System.nanoTime() - start) / 1e9, measurements));
  }

  private void requireOpen() {
    if (isClosed) {
      throw new IllegalStateException("this session is closed");
    }
  }

  private void begin(ScoreProgress told, long records) {
    requireOpen();
    measurements.reset();
    if (mode.isEncrypted()) {
      ClientMetrics.shared().modelUsed(this, noiseMarginBits());
    }
    progress.follow(told);
    told.started(records);
  }

  /** Opens what runs share, unless it is open. */
  private OpenSchedule open() {
    if (opened == null) {
      Resources resources = new Resources();
      try {
        openLayers();
        List<String> outputs = model.specs().outputs().stream().map(TensorSpec::name).toList();
        Map<Integer, OnnxSegment> segments = OnnxSegment.open(model.client(), resources);
        RemoteEvaluator evaluator = evaluator(resources);
        Schedule schedule =
            new Schedule(segments, layers, outputs, evaluator, threads, measurements);
        opened = new OpenSchedule(schedule, evaluator, resources);
      } catch (Throwable error) {
        closeAfter(error, resources);
        throw error;
      }
    }
    return opened;
  }

  private void openLayers() {
    if (layers == null) {
      try {
        layers = RemoteLayer.open(model.specs(), key, OutOfRange.of(spark), layerResources);
      } catch (Throwable error) {
        closeAfter(error, layerResources);
        throw error;
      }
    }
  }

  /** After a run: none of its rows is on its way. */
  private void closeUsedMasks() {
    if (layers != null) {
      layers.forEach(layer -> layer.preparedMasks().closeUsed());
    }
  }

  /** Closes what runs share after a failure, which stays what the caller is told. */
  private void closeScheduleAfter(Throwable failure) {
    if (opened != null) {
      Resources resources = opened.resources();
      opened = null;
      closeAfter(failure, resources);
    }
  }

  private static void closeAfter(Throwable failure, Resources resources) {
    try {
      resources.close();
    } catch (RuntimeException error) {
      failure.addSuppressed(error);
    }
  }

  private void closeSchedule() {
    if (opened != null) {
      Resources resources = opened.resources();
      opened = null;
      resources.close();
    }
  }

  private ScoreReport report(
      long records, long takenOver, double seconds, Measurements measurements) {
    Map<Step, Double> steps = new HashMap<>();
    for (Step step : Step.values()) {
      steps.put(step, measurements.seconds(step));
    }
    return new ScoreReport(
        mode,
        records,
        takenOver,
        seconds,
        steps,
        measurements.valuesUp.sum(),
        measurements.bytesUp.sum(),
        measurements.valuesDown.sum(),
        measurements.bytesDown.sum(),
        measurements.preparedRows.sum(),
        measurements.clampedRows.sum(),
        mode.isEncrypted() || mode == Mode.SIMULATE ? noiseMarginBits() : Double.NaN,
        measurements.lookedUp());
  }

  /** The least of the linear remote modules; NaN if there is none. */
  private double noiseMarginBits() {
    return model.specs().remote().stream()
        .filter(RemoteCallSpec::isPacked)
        .mapToDouble(RemoteCallSpec::noiseMarginBits)
        .min()
        .orElse(Double.NaN);
  }

  /** The circuit of a call in clear. */
  private ClearCircuit clearCircuit(RemoteCallSpec call, Resources resources) {
    byte[] file = model.server().circuit(call.circuit());
    boolean isNoisy = mode == Mode.SIMULATE;
    if (call.isLeveled()) {
      LeveledCircuit circuit = resources.add(LeveledCircuit.open(file));
      return new ClearLeveledCircuit(circuit, isNoisy);
    }
    return new ClearIntegerCircuit(product(call, file, isNoisy, resources));
  }

  private ClearIntegerCircuit.Product product(
      RemoteCallSpec call, byte[] file, boolean isNoisy, Resources resources) {
    if (call.hasLookups()) {
      LookupCircuit circuit = resources.add(LookupCircuit.open(file));
      LookupRanges ranges = model.server().lookupRanges(call.circuit());
      return (client, activations) -> {
        LookupCircuit.ClearResults results = circuit.evaluateInClear(activations, isNoisy, ranges);
        long values = (long) activations.length / circuit.inputs() * ranges.reaches().length;
        measurements.addLookedUp(call.circuit(), values, results.outside());
        return results.phases();
      };
    }
    PackedCircuit circuit = resources.add(PackedCircuit.open(file));
    return (client, activations) ->
        isNoisy ? client.simulate(circuit, activations) : circuit.accumulate(activations);
  }

  private RemoteEvaluator evaluator(Resources resources) {
    List<RemoteCallSpec> remote = model.specs().remote();
    switch (mode) {
      case TORCH, CALIBRATE -> {
        Map<String, OnnxSegment> modules = new HashMap<>();
        for (RemoteCallSpec call : remote) {
          for (CallOutput output : call.outputs()) {
            modules.computeIfAbsent(
                output.module(),
                module -> resources.add(new OnnxSegment("module " + module, floatModule(module))));
          }
        }
        FloatEvaluator inFloat = new FloatEvaluator(modules, threads, measurements);
        return gatherer.isPresent()
            ? new CalibratingEvaluator(inFloat, gatherer.get(), threads)
            : inFloat;
      }
      case DISABLE, SIMULATE -> {
        Map<String, ClearCircuit> circuits = new HashMap<>();
        for (RemoteCallSpec call : remote) {
          circuits.computeIfAbsent(call.circuitDigest(), digest -> clearCircuit(call, resources));
        }
        return new QuantizedEvaluator(circuits, threads, measurements);
      }
      case EXECUTE -> {
        Map<String, Circuit> circuits = new LinkedHashMap<>();
        Map<String, EvaluationKeyFiles.Checked> keys = new HashMap<>();
        for (RemoteCallSpec call : remote) {
          circuits.computeIfAbsent(
              call.circuit(), name -> new Circuit(model.server().circuit(name)));
          call.keyParameters()
              .ifPresent(
                  needed ->
                      keys.put(call.circuitDigest(), evaluationKeys.orElseThrow().of(needed)));
        }
        return resources.add(
            EncryptedEvaluator.onExecutors(
                JavaSparkContext.fromSparkContext(spark.sparkContext()),
                List.copyOf(circuits.values()),
                keys,
                publicKeys(),
                threads,
                measurements,
                progress));
      }
      case REMOTE -> {
        Map<String, String> modules = new HashMap<>();
        remote.forEach(call -> modules.put(call.circuitDigest(), call.circuit()));
        return resources.add(
            EncryptedEvaluator.onServer(
                new ConnectBlockEvaluator(
                    server.orElseThrow(),
                    modules,
                    evaluationKeys.map(EvaluationKeyFiles::files).orElse(List.of()),
                    publicKeys()),
                threads,
                measurements,
                progress));
      }
    }
    throw new IllegalStateException("mode " + mode);
  }

  /** A fresh one, if a circuit re-randomises results: as good as that which keygen wrote. */
  private Map<String, PublicKeyBytes> publicKeys() {
    if (!model.needsPublicKey()) {
      return Map.of();
    }
    ClientKey client = key.orElseThrow();
    return Map.of(client.id(), new PublicKeyBytes(model.publicKey(client)));
  }

  private byte[] floatModule(String module) {
    try {
      return model.server().floatModule(module);
    } catch (IOException error) {
      throw new InvalidInputException(
          "module " + module + ": its float form cannot be read: " + error.getMessage(), error);
    }
  }

  /**
   * Releases threads, prepared masks and what runs have opened; the key and the Spark session stay
   * open.
   */
  @Override
  public synchronized void close() {
    isClosed = true;
    ClientMetrics.shared().modelLeft(this);
    try (threads;
        layerResources) {
      layers = null;
      closeSchedule();
    }
  }

  /** Hands on to the run that goes on. */
  private static final class CurrentProgress implements ScoreProgress {
    private volatile ScoreProgress followed = SILENT;

    void follow(ScoreProgress progress) {
      followed = progress;
    }

    @Override
    public void blocksSent(String modules, int blocks) {
      followed.blocksSent(modules, blocks);
    }

    @Override
    public void blockDone() {
      followed.blockDone();
    }
  }
}
