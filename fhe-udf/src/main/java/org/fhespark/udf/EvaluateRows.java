package org.fhespark.udf;

import java.nio.ByteBuffer;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;
import org.fhespark.InvalidInputException;

/**
 * What an executor does to a table of blocks ({@link BlockTable}) with the places of its rows
 * ({@link QuarantineTable#places}): each row comes out with the result in place of the block, and
 * with its other columns as they were. A row that cannot be evaluated ends the task, or comes out
 * as a row of a {@link QuarantineTable}. What the executor lacks, memory or a file, ends the task
 * in any case: it is no fault of the row's, and Spark tries again.
 */
public final class EvaluateRows implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1L;

  /** What the native side calls a block that is alone in its batch, as all are here. */
  private static final String ONLY_ROW = "row 0 of the batch: ";

  private final EvaluateBlocks evaluation;
  private final int columns;
  private final int number;
  private final int block;
  private final String advice;

  /** Null for none. */
  private final LongAccumulator evaluated;

  /** Null if a row that cannot be evaluated ends the task. */
  private final CollectionAccumulator<String> refused;

  private EvaluateRows(
      EvaluateBlocks evaluation,
      StructType schema,
      String advice,
      LongAccumulator evaluated,
      CollectionAccumulator<String> refused) {
    this.evaluation = evaluation;
    this.columns = schema.length();
    this.number = schema.fieldIndex(BlockTable.NUMBER);
    this.block = schema.fieldIndex(BlockTable.BLOCK);
    this.advice = advice;
    this.evaluated = evaluated;
    this.refused = refused;
  }

  /**
   * Evaluation that fails with the first row that cannot be evaluated; rows come out with the
   * table's columns.
   *
   * @param schema the table's columns
   * @param table what errors call it
   * @param advice what errors end with, empty or from a semicolon on
   * @param evaluated counts rows that were evaluated; null for none
   * @throws InvalidInputException if it is no table of blocks
   */
  public static EvaluateRows strict(
      EvaluateBlocks evaluation,
      StructType schema,
      String table,
      String advice,
      LongAccumulator evaluated) {
    BlockTable.requireColumns(schema, table);
    return new EvaluateRows(evaluation, schema, advice, evaluated, null);
  }

  /**
   * Evaluation that goes on; rows come out with the columns of a {@link QuarantineTable}, those
   * that were evaluated without a reason. A file that cannot be read still ends the task.
   *
   * @param evaluated counts rows that were evaluated
   * @param refused gets the file of each row that cannot be evaluated
   * @throws InvalidInputException as {@link #strict}
   */
  public static EvaluateRows quarantining(
      EvaluateBlocks evaluation,
      StructType schema,
      String table,
      LongAccumulator evaluated,
      CollectionAccumulator<String> refused) {
    BlockTable.requireColumns(schema, table);
    return new EvaluateRows(evaluation, schema, "", evaluated, refused);
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    Iterator<Row> read = new FileReading<>(rows, advice);
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return read.hasNext();
      }

      @Override
      public Row next() {
        return evaluate(read.next());
      }
    };
  }

  private Row evaluate(Row row) {
    Object[] values = new Object[refused == null ? columns : columns + 3];
    for (int column = 0; column < columns; column++) {
      values[column] = row.get(column);
    }
    String file = FileReading.pathOf(row.getString(columns));
    try {
      values[block] = result(row);
      if (evaluated != null) {
        evaluated.add(1);
      }
    } catch (InvalidInputException error) {
      String reason = error.getMessage().replace(ONLY_ROW, "");
      if (refused == null) {
        throw new InvalidInputException(
            "file "
                + file
                + ", row "
                + row.get(columns + 1)
                + (row.isNullAt(number) ? "" : ", block number " + row.get(number))
                + ": "
                + reason
                + advice,
            error);
      }
      refused.add(file);
      values[columns] = file;
      values[columns + 1] = row.get(columns + 1);
      values[columns + 2] = reason;
    }
    return RowFactory.create(values);
  }

  private byte[] result(Row row) {
    if (row.isNullAt(block)) {
      throw new InvalidInputException("there is no block, the column is null");
    }
    byte[] bytes = (byte[]) row.get(block);
    long told = BlockHeader.of(ByteBuffer.wrap(bytes)).number();
    if (row.isNullAt(number) || row.getLong(number) != told) {
      throw new InvalidInputException(
          "the block's header says number "
              + told
              + ", the column "
              + BlockTable.NUMBER
              + " says "
              + row.get(number));
    }
    EncryptedBlock sent = EncryptedBlock.copyOf(bytes);
    try (EncryptedBlock result = evaluation.call(List.of(sent).iterator()).next()) {
      return result.toByteArray();
    }
  }
}
