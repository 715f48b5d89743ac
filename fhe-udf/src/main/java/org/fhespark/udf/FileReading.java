package org.fhespark.udf;

import java.io.FileNotFoundException;
import java.io.InterruptedIOException;
import java.net.SocketException;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.Iterator;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.security.AccessControlException;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.InputFileBlockHolder;
import org.fhespark.InvalidInputException;
import scala.MatchError;

/**
 * The rows that a task reads from files: a file that is no Parquet, or damaged, is named wherever
 * it cannot be read on. Spark names it only where its first row fails.
 *
 * @param <T> the rows
 */
public final class FileReading<T> implements Iterator<T> {
  private final Iterator<T> rows;
  private final String advice;

  /**
   * @param advice what errors end with, empty or from a semicolon on
   */
  public FileReading(Iterator<T> rows, String advice) {
    this.rows = rows;
    this.advice = advice;
  }

  /**
   * @throws InvalidInputException if the file cannot be read; what a storage that is away, memory
   *     that is not there, or a task that is killed, makes Spark throw is thrown as it is
   */
  @Override
  public boolean hasNext() {
    return reading(rows::hasNext);
  }

  /**
   * @throws InvalidInputException as {@link #hasNext}
   */
  @Override
  public T next() {
    return reading(rows::next);
  }

  /** The path of a file whose URI Spark gives. */
  public static String pathOf(String uri) {
    return uri.isEmpty() ? uri : new Path(URI.create(uri)).toString();
  }

  private <R> R reading(Supplier<R> step) {
    try {
      return step.get();
    } catch (Exception error) {
      // Scala declares no checked exception.
      if (error instanceof InvalidInputException || isKilled() || isOfMachine(error)) {
        throw error;
      }
      throw new InvalidInputException(
          "file "
              + pathOf(InputFileBlockHolder.getInputFilePath().toString())
              + " cannot be read: "
              + cause(error)
              + advice,
          error);
    }
  }

  private static boolean isKilled() {
    return Optional.ofNullable(TaskContext.get()).map(TaskContext::isInterrupted).orElse(false);
  }

  /** Whether the file may be whole: storage or memory is not there. */
  private static boolean isOfMachine(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      // What Spark's readers throw of an OutOfMemoryError is a MatchError.
      if (cause instanceof VirtualMachineError
          || cause instanceof MatchError
          || cause instanceof TimeoutException
          || cause instanceof InterruptedException
          || cause instanceof FileNotFoundException
          || cause instanceof AccessControlException
          || cause instanceof InterruptedIOException
          || cause instanceof SocketException
          || cause instanceof UnknownHostException
          || cause.getClass().getSimpleName().equals("BlockMissingException")) {
        return true;
      }
    }
    return false;
  }

  private static String cause(Throwable error) {
    Throwable innermost = error;
    while (innermost.getCause() != null) {
      innermost = innermost.getCause();
    }
    String message = String.valueOf(innermost.getMessage()).strip();
    return message.lines().findFirst().orElse(message);
  }
}
