package org.fhespark.jobs.client;

import java.io.IOException;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.fhespark.compiler.onnx.ExposedModel;
import org.fhespark.compiler.onnx.ModelSignature;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.fhespark.jobs.tables.InputBinding;
import org.fhespark.jobs.tables.RecordBatch;
import org.fhespark.jobs.tables.RecordBatches;
import org.fhespark.jobs.tables.TableReader;

/** Calibration records of a model, read from a table on the driver. */
public final class CalibrationTable implements AutoCloseable {
  private static final int BATCH_RECORDS = 256;

  private final TableReader reader;
  private final InputBinding binding;

  private CalibrationTable(TableReader reader, InputBinding binding) {
    this.reader = reader;
    this.binding = binding;
  }

  /**
   * Opens a table whose columns are the model's inputs.
   *
   * @throws org.fhespark.InvalidInputException if the model or the table cannot be used, naming
   *     file and column
   * @throws IOException if the file system fails
   */
  public static CalibrationTable open(SparkSession spark, Path model, Path table)
      throws IOException {
    Configuration configuration = spark.sparkContext().hadoopConfiguration();
    OnnxModel onnx = OnnxModel.load(model, configuration);
    List<TensorSpec> inputs;
    try (ExposedModel exposed = new ExposedModel(onnx, List.of())) {
      inputs = ModelSignature.of(onnx, exposed).inputs();
    }
    TableReader reader = TableReader.open(spark, table);
    try {
      return new CalibrationTable(
          reader, InputBinding.bind(reader.schema(), inputs, reader.name()));
    } catch (RuntimeException error) {
      reader.close();
      throw error;
    }
  }

  /** The records in batches. */
  public Iterable<CalibrationBatch> batches() {
    return () -> {
      RecordBatches batches = new RecordBatches(reader.rows(), binding, () -> BATCH_RECORDS);
      return new Iterator<>() {
        @Override
        public boolean hasNext() {
          return batches.hasNext();
        }

        @Override
        public CalibrationBatch next() {
          return batch(batches.next());
        }
      };
    };
  }

  @Override
  public void close() {
    reader.close();
  }

  private CalibrationBatch batch(RecordBatch records) {
    Map<String, BatchTensor> tensors = new HashMap<>();
    for (int i = 0; i < binding.specs().size(); i++) {
      TensorSpec spec = binding.specs().get(i);
      long[] shape = records.shape(i);
      tensors.put(
          spec.name(),
          switch (spec.type()) {
            case FLOAT -> BatchTensor.of(records.floats(i), shape);
            case DOUBLE -> BatchTensor.of(records.doubles(i), shape);
            case INT32 -> BatchTensor.of(records.ints(i), shape);
            case INT64 -> BatchTensor.of(records.longs(i), shape);
          });
    }
    return new CalibrationBatch(tensors);
  }
}
