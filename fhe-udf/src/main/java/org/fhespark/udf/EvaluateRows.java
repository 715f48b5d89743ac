package org.fhespark.udf;

import java.util.Iterator;
import java.util.List;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;

/**
 * What an executor does to a table of blocks ({@link BlockTable}): each row comes out with the
 * result in place of the block, and with its other columns as they were.
 */
public final class EvaluateRows implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1L;

  private final EvaluateBlocks evaluation;
  private final String table;
  private final int number;
  private final int block;

  /**
   * @param schema the table's columns
   * @param table what errors call it
   * @throws InvalidInputException if it is no table of blocks
   */
  public EvaluateRows(EvaluateBlocks evaluation, StructType schema, String table) {
    BlockTable.requireColumns(schema, table);
    this.evaluation = evaluation;
    this.table = table;
    this.number = schema.fieldIndex(BlockTable.NUMBER);
    this.block = schema.fieldIndex(BlockTable.BLOCK);
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) {
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public Row next() {
        return evaluate(rows.next());
      }
    };
  }

  private Row evaluate(Row row) {
    Object[] values = new Object[row.length()];
    for (int column = 0; column < values.length; column++) {
      values[column] = row.get(column);
    }
    try {
      if (row.isNullAt(block)) {
        throw new InvalidInputException("there is no block, the column is null");
      }
      EncryptedBlock sent = EncryptedBlock.copyOf((byte[]) row.get(block));
      try (EncryptedBlock result = evaluation.call(List.of(sent).iterator()).next()) {
        values[block] = result.toByteArray();
      }
    } catch (InvalidInputException error) {
      throw new InvalidInputException(
          "table " + table + ", number " + row.get(number) + ": " + error.getMessage(), error);
    }
    return RowFactory.create(values);
  }
}
