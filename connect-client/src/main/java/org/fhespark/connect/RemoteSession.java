package org.fhespark.connect;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A session with a Spark Connect server that has the catalog {@code fhe}. Used by one thread at a
 * time, but for {@link #interrupt}.
 *
 * <p>All methods throw {@link UnavailableException} if the server cannot be reached or has lost the
 * session, and {@link org.fhespark.InvalidInputException}, of one line, if it refuses what it was
 * asked.
 */
public interface RemoteSession extends AutoCloseable {
  /**
   * Opens a session; the server is asked for nothing yet.
   *
   * @param library the jar of {@code spark-connect-client-jvm}, see {@link ConnectLibrary}
   * @param url {@code sc://host:port}, with parameters of Spark Connect if wanted; TLS unless the
   *     host is {@code localhost}
   * @param token that the server was started with
   */
  static RemoteSession open(Path library, String url, String token) {
    return IsolatedLoader.of(library).open(url, token);
  }

  /**
   * Calls a procedure of the catalog.
   *
   * @param call such as {@code list()}
   * @return its rows, by column
   */
  List<Map<String, Object>> call(String call);

  /**
   * Evaluates a block on an executor of the server.
   *
   * @param function of the catalog
   * @return the block of results
   */
  byte[] evaluate(String function, byte[] block);

  /** Sends an evaluation or public key and has it registered. */
  void registerKey(byte[] file);

  /** Ends what the session is asked now, from any thread. */
  void interrupt();

  /** Ends the session, and what the server kept of it. */
  @Override
  void close();
}
