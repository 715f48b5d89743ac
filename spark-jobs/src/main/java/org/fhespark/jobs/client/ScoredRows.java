package org.fhespark.jobs.client;

import java.nio.Buffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import org.apache.spark.sql.Row;
import org.fhespark.compiler.onnx.TensorSpec;
import org.fhespark.jobs.tables.OutputColumns;

/** What a wave that has been through the model gives of each of its records. */
final class ScoredRows {
  private final List<TensorSpec> outputs;
  private final OutputColumns columns;

  ScoredRows(List<TensorSpec> outputs, OutputColumns columns) {
    this.outputs = outputs;
    this.columns = columns;
  }

  /** Hands on the results of a wave, in the order in which its records came. */
  void emit(List<Batch> wave, Consumer<Row> sink) {
    List<Result> results = new ArrayList<>();
    for (Batch batch : wave) {
      List<Tensor> tensors = outputs.stream().map(output -> batch.tensor(output.name())).toList();
      List<Buffer> values = tensors.stream().map(Tensor::values).toList();
      for (int record = 0; record < batch.rows().size(); record++) {
        results.add(new Result(batch, record, tensors, values));
      }
    }
    results.sort(Comparator.comparingLong(Result::number));
    results.forEach(result -> sink.accept(result.row(columns, outputs)));
  }

  /** The results of a record, in those of its batch. */
  private record Result(Batch batch, int record, List<Tensor> tensors, List<Buffer> values) {
    long number() {
      return batch.recordNumber(record);
    }

    Row row(OutputColumns columns, List<TensorSpec> outputs) {
      if (batch.lost().get(record)) {
        return columns.rowWithoutResults(batch.rows().get(record));
      }
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
}
