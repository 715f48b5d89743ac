package org.fhespark.sql;

import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The one argument that all functions of the catalog take: an encrypted block. */
final class BlockArgument {
  private BlockArgument() {}

  static DataType[] types() {
    return new DataType[] {DataTypes.BinaryType};
  }

  /**
   * Checks the types of a call.
   *
   * @throws UnsupportedOperationException if it is none with a block; Spark says which call
   */
  static void require(String function, StructType arguments) {
    if (arguments.length() != 1 || !arguments.apply(0).dataType().equals(DataTypes.BinaryType)) {
      throw new UnsupportedOperationException(
          function
              + " takes one BINARY argument, an encrypted block, and was given "
              + arguments.catalogString());
    }
  }
}
