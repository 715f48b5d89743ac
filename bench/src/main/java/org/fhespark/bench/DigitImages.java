package org.fhespark.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.Engine;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.jobs.client.CalibrationTable;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableReader;
import org.fhespark.jobs.tables.TableWriter;

/** The images and models of examples/digits, as benchmarks score them. */
final class DigitImages {
  private final SparkSession spark;
  private final java.nio.file.Path data;
  private final java.nio.file.Path work;
  private final List<Row> all;

  /**
   * @param data examples/digits
   * @param work a folder for models and tables
   */
  DigitImages(SparkSession spark, java.nio.file.Path data, java.nio.file.Path work) {
    this.spark = spark;
    this.data = data;
    this.work = work;
    this.all = read(new Path(data.resolve("digits.parquet").toString()));
  }

  /** Compiles a model as a whole. */
  HybridModel compile(String file, Engine engine) throws IOException {
    Path onnx = new Path(data.resolve(file).toString());
    Path out = new Path(work.resolve("model-" + engine.label() + "-" + file).toString());
    Configuration configuration = new Configuration();
    try (CalibrationTable records =
        CalibrationTable.open(
            spark, onnx, new Path(data.resolve("calibration.parquet").toString()))) {
      CompileOptions options = CompileOptions.remote(List.of(".")).engine(engine).build();
      new ModelCompiler(configuration).compile(onnx, records.batches(), options, out);
    }
    return HybridModel.load(new Path(out, "client"), new Path(out, "server"), configuration);
  }

  /** A table of so many images, from the first again after the last. */
  Path table(int count) {
    return table("images-" + count, all, count);
  }

  /** A table of the first images that the models were not trained on. */
  Path testImages(int count) {
    Predicate<Row> isTest = row -> row.<String>getAs("split").equals("test");
    return table("test-" + count, all.stream().filter(isTest).toList(), count);
  }

  private Path table(String name, List<Row> images, int count) {
    StructType schema = images.get(0).schema();
    Path table = new Path(work.resolve(name).toString());
    try (TableWriter writer = TableWriter.create(spark, table, schema, TableFormat.PARQUET, true)) {
      for (int i = 0; i < count; i++) {
        writer.write(images.get(i % images.size()));
      }
      writer.commit();
    }
    return table;
  }

  /** All rows of a table. */
  List<Row> read(Path table) {
    List<Row> rows = new ArrayList<>();
    try (TableReader reader = TableReader.open(spark, table)) {
      reader.rows().forEachRemaining(rows::add);
    }
    return rows;
  }

  /** The logits of a scored image. */
  static List<Float> logits(Row row) {
    return row.getList(row.fieldIndex("logits"));
  }

  /** The class of a scored image. */
  static int topClass(Row row) {
    List<Float> logits = logits(row);
    int best = 0;
    for (int i = 1; i < logits.size(); i++) {
      best = logits.get(i) > logits.get(best) ? i : best;
    }
    return best;
  }
}
