package org.fhespark.jobs.tables;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.BoundReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.InterpretedUnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DoubleType;
import org.apache.spark.sql.types.FloatType;
import org.apache.spark.sql.types.IntegerType;
import org.apache.spark.sql.types.LongType;
import org.apache.spark.sql.types.StringType;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;
import org.apache.spark.unsafe.types.UTF8String;
import org.fhespark.compiler.storage.Sha256;
import scala.collection.immutable.ArraySeq;

/**
 * SHA-256 of the first columns of rows, each value with its length. Numbers, text and arrays over
 * primitive arrays, which most tables consist of, are taken as they lie in memory; the others in
 * the form of Spark's binary rows. That form for all would take three times as long, or a compiler.
 */
final class RowsDigest {
  private static final int BUFFER_BYTES = 1 << 13;

  /** Adds the value of a column, which is not null. */
  private interface Column {
    void add(InternalRow row, int ordinal);
  }

  private final Column[] columns;
  private final MessageDigest sha256 = Sha256.digest();
  private final ByteBuffer buffer = ByteBuffer.allocate(BUFFER_BYTES);

  /**
   * @param schema the columns that count; rows may have more behind them
   */
  RowsDigest(StructType schema) {
    columns = new Column[schema.length()];
    for (int i = 0; i < columns.length; i++) {
      columns[i] = column(i, schema.fields()[i].dataType());
    }
  }

  private Column column(int ordinal, DataType type) {
    if (type instanceof LongType) {
      return (row, i) -> room(Long.BYTES).putLong(row.getLong(i));
    }
    if (type instanceof IntegerType) {
      return (row, i) -> room(Integer.BYTES).putInt(row.getInt(i));
    }
    if (type instanceof DoubleType) {
      return (row, i) -> room(Double.BYTES).putLong(Double.doubleToRawLongBits(row.getDouble(i)));
    }
    if (type instanceof FloatType) {
      return (row, i) -> room(Float.BYTES).putInt(Float.floatToRawIntBits(row.getFloat(i)));
    }
    if (type instanceof StringType) {
      return (row, i) -> {
        UTF8String text = row.getUTF8String(i);
        add(text.getBaseObject(), text.getBaseOffset(), text.numBytes());
      };
    }
    Column general = inBinaryRows(ordinal, type);
    return (row, i) -> {
      if (row.get(i, type) instanceof UnsafeArrayData array) {
        room(1).put((byte) 1);
        add(array.getBaseObject(), array.getBaseOffset(), array.getSizeInBytes());
      } else {
        room(1).put((byte) 0);
        general.add(row, i);
      }
    };
  }

  private Column inBinaryRows(int ordinal, DataType type) {
    List<Expression> column = List.of(new BoundReference(ordinal, type, true));
    UnsafeProjection projection =
        InterpretedUnsafeProjection.createProjection(
            ArraySeq.unsafeWrapArray(column.toArray(Expression[]::new)));
    return (row, i) -> {
      UnsafeRow bytes = projection.apply(row);
      add(bytes.getBaseObject(), bytes.getBaseOffset(), bytes.getSizeInBytes());
    };
  }

  /** Adds a row. */
  void add(InternalRow row) {
    for (int i = 0; i < columns.length; i++) {
      boolean isNull = row.isNullAt(i);
      room(1).put((byte) (isNull ? 0 : 1));
      if (!isNull) {
        columns[i].add(row, i);
      }
    }
  }

  private void add(Object base, long offset, int bytes) {
    room(Integer.BYTES).putInt(bytes);
    int added = 0;
    while (added < bytes) {
      room(1);
      int some = Math.min(buffer.remaining(), bytes - added);
      Platform.copyMemory(
          base,
          offset + added,
          buffer.array(),
          Platform.BYTE_ARRAY_OFFSET + buffer.position(),
          some);
      buffer.position(buffer.position() + some);
      added += some;
    }
  }

  private ByteBuffer room(int bytes) {
    if (buffer.remaining() < bytes) {
      digest();
    }
    return buffer;
  }

  private void digest() {
    sha256.update(buffer.array(), 0, buffer.position());
    buffer.clear();
  }

  /** The digest of the rows that were added, in hexadecimal; the next row begins another. */
  String end() {
    digest();
    return HexFormat.of().formatHex(sha256.digest());
  }
}
