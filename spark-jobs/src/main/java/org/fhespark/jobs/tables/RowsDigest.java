package org.fhespark.jobs.tables;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.HexFormat;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.BoundReference;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.InterpretedUnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.Platform;
import org.fhespark.compiler.storage.Sha256;
import scala.collection.immutable.ArraySeq;

/** SHA-256 of the first columns of rows, in Spark's own binary form, which is one of each value. */
final class RowsDigest {
  private final UnsafeProjection columns;
  private final MessageDigest sha256 = Sha256.digest();
  private final ByteBuffer length = ByteBuffer.allocate(Integer.BYTES);

  /**
   * @param schema the columns that count; rows may have more behind them
   */
  RowsDigest(StructType schema) {
    Expression[] references = new Expression[schema.length()];
    for (int i = 0; i < references.length; i++) {
      references[i] = new BoundReference(i, schema.fields()[i].dataType(), true);
    }
    // Compiling one would take longer than most tables.
    columns = InterpretedUnsafeProjection.createProjection(ArraySeq.unsafeWrapArray(references));
  }

  /** Adds a row. */
  void add(InternalRow row) {
    UnsafeRow bytes = columns.apply(row);
    sha256.update(length.putInt(0, bytes.getSizeInBytes()).array());
    sha256.update(
        (byte[]) bytes.getBaseObject(),
        (int) (bytes.getBaseOffset() - Platform.BYTE_ARRAY_OFFSET),
        bytes.getSizeInBytes());
  }

  /** The digest of the rows that were added, in hexadecimal; the next row begins another. */
  String end() {
    return HexFormat.of().formatHex(sha256.digest());
  }
}
