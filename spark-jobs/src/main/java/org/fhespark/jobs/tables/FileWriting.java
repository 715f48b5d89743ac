package org.fhespark.jobs.tables;

import java.io.IOException;
import java.util.function.Function;
import org.apache.hadoop.fs.FSError;
import org.fhespark.InvalidInputException;

/**
 * What a file system may say while Spark's writers write: they, in Scala, throw IOException without
 * declaring it, and the CSV writer and Parquet's wrap it.
 */
@FunctionalInterface
interface FileWriting<T> {
  T run() throws IOException;

  /**
   * Runs it.
   *
   * @param refusal explains what the file system said
   */
  static <T> T explained(
      FileWriting<T> writing, Function<Throwable, InvalidInputException> refusal) {
    try {
      return writing.run();
    } catch (InvalidInputException error) {
      throw error;
    } catch (IOException | FSError error) {
      throw refusal.apply(error);
    } catch (RuntimeException error) {
      for (Throwable cause = error; cause != null; cause = cause.getCause()) {
        if (cause instanceof IOException || cause instanceof FSError) {
          throw refusal.apply(error);
        }
      }
      throw error;
    }
  }
}
