package org.fhespark.jobs.blocks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileUtil;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.execution.streaming.checkpointing.CheckpointFileManager;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.fhespark.InvalidInputException;
import org.fhespark.jobs.tables.CauseLine;
import org.fhespark.jobs.tables.PartFormat;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.udf.BlockTable;
import org.fhespark.udf.EncryptedBlock;

/**
 * Adds files to a table of blocks that others, such as a streaming query, may be reading: each file
 * appears whole, on any Hadoop file system, by the means that Spark has for its own checkpoints
 * ({@code spark.sql.streaming.checkpointFileManagerClass}). Files are written locally first. Safe
 * to share between threads, a file is not.
 */
public final class BlockTableWriter {
  /** What names of its files begin with; those of a query begin otherwise. */
  private static final String PREFIX = "blocks-";

  private final Path folder;
  private final PartFormat format;
  private final AtomicLong blocks = new AtomicLong();
  private final AtomicLong bytes = new AtomicLong();

  /**
   * @param folder of the table; made with the first file
   */
  public BlockTableWriter(SparkSession spark, Path folder) {
    this(format(spark), folder);
  }

  /**
   * @param format of {@link #format}, on a driver or an executor
   */
  public BlockTableWriter(PartFormat format, Path folder) {
    this.format = format;
    this.folder = folder;
    try {
      folder.getFileSystem(format.conf());
    } catch (IOException | IllegalArgumentException error) {
      // Of a file system without a library, or a host that has no address.
      throw cannotWrite(error);
    }
  }

  /** How files of blocks are written. */
  public static PartFormat format(SparkSession spark) {
    return format(spark, BlockTable.schema());
  }

  /** How files of blocks of groups are written. */
  public static PartFormat groupedFormat(SparkSession spark) {
    return format(spark, BlockTable.groupedSchema());
  }

  private static PartFormat format(SparkSession spark, StructType schema) {
    try {
      return new PartFormat(BlockSettings.sessionOf(spark), schema, TableFormat.PARQUET);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Whether a file is one that such a writer made. */
  public static boolean hasWritten(Path file) {
    return file.getName().startsWith(PREFIX);
  }

  /** Blocks of all files that appeared. */
  public long blocks() {
    return blocks.get();
  }

  /** Their bytes. */
  public long bytes() {
    return bytes.get();
  }

  /** Begins a file. */
  public File newFile() {
    try {
      return new File();
    } catch (IOException | FSError error) {
      throw cannotWrite(error);
    }
  }

  private InvalidInputException cannotWrite(Throwable error) {
    return new InvalidInputException(
        "blocks "
            + folder
            + " cannot be written: "
            + CauseLine.of(error)
            + "; give a folder that you may write to, on a file system with room",
        error);
  }

  /** A file that is being written. */
  public final class File implements AutoCloseable {
    private final java.nio.file.Path local = Files.createTempDirectory("fhe-spark-blocks-");
    private final String name = PREFIX + UUID.randomUUID() + ".parquet";
    private OutputWriter writer;
    private long fileBlocks;
    private long fileBytes;

    private File() throws IOException {
      Path path = new Path(local.resolve(name).toUri());
      writer = format.begin(path);
    }

    /** Appends a block; it stays open. */
    public void write(
        String circuit, String module, String key, long number, int records, EncryptedBlock block) {
      append(
          block,
          UTF8String.fromString(circuit),
          UTF8String.fromString(module),
          UTF8String.fromString(key),
          number,
          records,
          block.toByteArray());
    }

    /** Appends a block of a group, to a file of {@link #groupedFormat}; it stays open. */
    public void write(
        String circuit,
        String module,
        String key,
        long number,
        int records,
        EncryptedBlock block,
        long group,
        int groupBlocks) {
      append(
          block,
          UTF8String.fromString(circuit),
          UTF8String.fromString(module),
          UTF8String.fromString(key),
          number,
          records,
          block.toByteArray(),
          group,
          groupBlocks);
    }

    private void append(EncryptedBlock block, Object... values) {
      try {
        writer.write(new GenericInternalRow(values));
      } catch (UncheckedIOException | FSError error) {
        throw cannotWrite(error);
      }
      fileBlocks++;
      fileBytes += block.length();
    }

    /** Bytes of the blocks in it. */
    public long bytes() {
      return fileBytes;
    }

    /** Ends the file and makes it appear in the table; one without blocks does not. */
    public void publish() {
      try {
        end();
        if (fileBlocks > 0) {
          CheckpointFileManager files = CheckpointFileManager.create(folder, format.conf());
          files.mkdirs(folder);
          CheckpointFileManager.CancellableFSDataOutputStream out =
              files.createAtomic(new Path(folder, name), false);
          try {
            Files.copy(local.resolve(name), out);
            out.close();
          } catch (IOException | RuntimeException | FSError error) {
            out.cancel();
            throw error;
          }
        }
      } catch (IOException | UncheckedIOException | IllegalArgumentException | FSError error) {
        throw cannotWrite(error);
      }
      blocks.addAndGet(fileBlocks);
      bytes.addAndGet(fileBytes);
    }

    private void end() {
      if (writer != null) {
        OutputWriter ending = writer;
        writer = null;
        ending.close();
      }
    }

    /** Deletes what is local; without {@link #publish} before, there has been no file. */
    @Override
    public void close() {
      try {
        end();
      } catch (RuntimeException | FSError error) {
        // The file is deleted next, whole or not.
      } finally {
        FileUtil.fullyDelete(local.toFile());
      }
    }
  }
}
