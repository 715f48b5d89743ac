package org.fhespark.jobs.server;

import java.util.Iterator;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.function.ForeachPartitionFunction;
import org.apache.spark.sql.Row;
import org.fhespark.jobs.blocks.BlockTableWriter;
import org.fhespark.jobs.tables.PartFormat;
import org.fhespark.udf.EncryptedBlock;

/**
 * What an executor does with sums: adds a file of them to a table, with the columns of {@link
 * org.fhespark.udf.BlockTable#schema}. A task that is run again adds its sums again, which are the
 * same.
 */
final class WriteSums implements ForeachPartitionFunction<Row> {
  private static final long serialVersionUID = 1L;

  private final PartFormat format;
  private final Path folder;

  WriteSums(PartFormat format, Path folder) {
    this.format = format;
    this.folder = folder;
  }

  @Override
  public void call(Iterator<Row> sums) {
    try (BlockTableWriter.File file = new BlockTableWriter(format, folder).newFile()) {
      while (sums.hasNext()) {
        Row row = sums.next();
        try (EncryptedBlock sum = EncryptedBlock.copyOf((byte[]) row.get(5))) {
          file.write(
              row.getString(0),
              row.getString(1),
              row.getString(2),
              row.getLong(3),
              row.getInt(4),
              sum);
        }
      }
      file.publish();
    }
  }
}
