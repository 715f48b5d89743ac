package org.fhespark.jobs.client;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileUtil;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.Engine;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;

/**
 * The digits example as all tests of this JVM share it: compiled once, all Linear modules remote.
 */
public final class Digits {
  public static final List<String> REMOTE = List.of("seq.0", "seq.2", "seq.4");
  public static final int IMAGES = 1797;
  public static final int CLASSES = 10;

  private static Path workFolder;
  private static Path compiled;
  private static Path compiledWhole;
  private static Path compiledLeveled;

  private Digits() {}

  /** A session with the settings of encrypted scoring; the caller stops it. */
  public static SparkSession session() {
    return session(SparkSettings.addTo(new SparkConf()));
  }

  /** One with other settings. */
  public static SparkSession session(SparkConf conf) {
    return SparkSession.builder()
        .config(conf)
        .master("local[2]")
        .appName("digits")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate();
  }

  /** The root of the checkout. */
  public static Path checkout() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve("conf/jvm-options"))) {
      folder = folder.getParent();
      if (folder == null) {
        throw new IllegalStateException("the tests run outside of a checkout of fhe-spark");
      }
    }
    return folder;
  }

  /** A file of the example. */
  public static Path file(String name) {
    return checkout().resolve("examples/digits").resolve(name);
  }

  /** A new empty folder, deleted when the JVM ends. */
  public static synchronized Path newFolder(String name) {
    try {
      if (workFolder == null) {
        workFolder = Files.createTempDirectory("fhe-spark-digits-");
        Path folder = workFolder;
        Runtime.getRuntime()
            .addShutdownHook(new Thread(() -> FileUtil.fullyDelete(folder.toFile())));
      }
      return Files.createTempDirectory(workFolder, name + "-");
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** The compiled example, which must not be changed: client/, server/, report.json. */
  public static synchronized Path compiled(SparkSession spark) {
    if (compiled == null) {
      compiled = compile(spark, CompileOptions.remote(REMOTE).build());
    }
    return compiled;
  }

  /** mlp.onnx, 64-32-10, compiled as a whole: its ReLU is looked up. It must not be changed. */
  public static synchronized Path compiledWhole(SparkSession spark) {
    if (compiledWhole == null) {
      compiledWhole = compileWhole(spark, "mlp.onnx", Engine.PBS);
    }
    return compiledWhole;
  }

  /** The same with polynomials for its ReLU. It must not be changed. */
  public static synchronized Path compiledLeveled(SparkSession spark) {
    if (compiledLeveled == null) {
      compiledLeveled = compileWhole(spark, "mlp.onnx", Engine.SIMD);
    }
    return compiledLeveled;
  }

  /** Compiles a model of the example as a whole. */
  public static Path compileWhole(SparkSession spark, String model, Engine engine) {
    return compile(spark, model, CompileOptions.remote(List.of(".")).engine(engine).build());
  }

  /** Compiles the example anew. */
  public static Path compile(SparkSession spark, CompileOptions options) {
    return compile(spark, "digits.onnx", options);
  }

  /** Compiles a model of the example anew. */
  public static Path compile(SparkSession spark, String model, CompileOptions options) {
    Path out = newFolder("model").resolve("digits");
    Path onnx = file(model);
    try (CalibrationTable calibration =
        CalibrationTable.open(spark, hadoop(onnx), hadoop(file("calibration.parquet")))) {
      new ModelCompiler(new Configuration())
          .compile(hadoop(onnx), calibration.batches(), options, hadoop(out));
      return out;
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Loads a folder that {@link #compile} made. */
  public static HybridModel load(Path folder) {
    return HybridModel.load(
        hadoop(folder.resolve("client")), hadoop(folder.resolve("server")), new Configuration());
  }

  /** All images: id, pixels, label, split. */
  public static List<Row> images(SparkSession spark) {
    return read(spark, file("digits.parquet"));
  }

  public static StructType schema() {
    return StructType.fromDDL("id BIGINT, pixels ARRAY<FLOAT>, label BIGINT, split STRING");
  }

  public static List<Row> read(SparkSession spark, Path table) {
    List<Row> rows = new ArrayList<>();
    try (TableReader reader = TableReader.open(spark, hadoop(table))) {
      reader.rows().forEachRemaining(rows::add);
    }
    return rows;
  }

  /** The same, in a session of its own. */
  public static List<Row> read(Path table) {
    SparkSession spark = session();
    try {
      return read(spark, table);
    } finally {
      spark.stop();
    }
  }

  /** Writes a Parquet table; returns its folder. */
  public static Path write(SparkSession spark, String name, StructType schema, List<Row> rows) {
    Path folder = newFolder(name).resolve(name);
    try (TableWriter writer =
        TableWriter.create(spark, hadoop(folder), schema, TableFormat.PARQUET, false)) {
      rows.forEach(writer::write);
      writer.commit();
    }
    return folder;
  }

  public static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toString());
  }
}
