package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.ObjIntConsumer;
import org.fhespark.InvalidInputException;
import org.fhespark.connect.ConnectLibrary;
import org.fhespark.connect.RemoteSession;
import org.fhespark.connect.UnavailableException;
import org.fhespark.sql.FheCatalog;
import org.fhespark.udf.BlockHeader;
import org.fhespark.udf.EncryptedBlock;
import org.fhespark.udf.PublicKeyBytes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Somebody else's Spark, through Spark Connect: a query a block, some at a time. A query whose
 * server is gone is asked again once the server is back, others are not.
 */
final class ConnectBlockEvaluator implements BlockEvaluator {
  private static final Logger LOG = LoggerFactory.getLogger(ConnectBlockEvaluator.class);

  /** Bytes of blocks and results of one call; each is in memory some times on its way. */
  private static final long CALL_BYTES = 256L << 20;

  /** The server keeps what a session sent until the session ends. */
  private static final long SESSION_BYTES = 512L << 20;

  private static final int MOST_QUERIES = 16;
  private static final long LONGEST_WAIT_MS = 5_000;

  private final RemoteServer server;
  private final Path library;

  /** Names of modules by the digests of their circuits. */
  private final Map<String, String> modules;

  /** Evaluation keys by the digests of their files. */
  private final Map<String, Path> keys;

  /** Public keys by the ids of client keys. */
  private final Map<String, PublicKeyBytes> publicKeys;

  private final Map<String, String> functions = new HashMap<>();
  private final Deque<OpenSession> idle = new ArrayDeque<>();
  private final Set<OpenSession> used = new HashSet<>();
  private final int parallelism;
  private final ExecutorService queries;
  private volatile boolean isCancelled;

  /** A session, and what it has sent. */
  private static final class OpenSession {
    final RemoteSession session;
    final int parallelism;
    long sentBytes;

    OpenSession(RemoteSession session, int parallelism) {
      this.session = session;
      this.parallelism = parallelism;
    }
  }

  /**
   * Connects and checks that the server has the circuits; sends it the keys that it lacks.
   *
   * @param modules names of modules by the digests of their circuits
   * @param publicKeys by the id of the client key, for circuits that re-randomise results
   * @throws InvalidInputException if it cannot be reached, or refuses
   */
  ConnectBlockEvaluator(
      RemoteServer server,
      Map<String, String> modules,
      List<EvaluationKeyFiles.Checked> keys,
      Map<String, PublicKeyBytes> publicKeys) {
    this.server = server;
    this.library = ConnectLibrary.find();
    this.modules = Map.copyOf(modules);
    this.keys = new HashMap<>();
    keys.forEach(key -> this.keys.put(key.digest(), key.file()));
    this.publicKeys = Map.copyOf(publicKeys);
    try {
      OpenSession first = open();
      this.parallelism = first.parallelism;
      idle.add(first);
    } catch (UnavailableException error) {
      throw new InvalidInputException(
          server
              + ": no server can be reached there ("
              + error.getMessage()
              + "): check the address, and that `fhe-spark serve` runs; TLS is spoken unless the host is"
              + " localhost",
          error);
    }
    this.queries =
        Executors.newFixedThreadPool(
            // One more than the server works on: it is sent meanwhile.
            Math.min(MOST_QUERIES, parallelism + 1),
            task -> {
              Thread thread = new Thread(task, "fhe-spark-query");
              thread.setDaemon(true);
              return thread;
            });
  }

  private OpenSession open() {
    server.requireListening();
    RemoteSession session = RemoteSession.open(library, server.url(), server.token());
    try {
      int parallelism = parallelismOf(session);
      readFunctions(session);
      sendKeys(session);
      return new OpenSession(session, parallelism);
    } catch (InvalidInputException error) {
      closeQuietly(session);
      throw new InvalidInputException(server + ": " + error.getMessage(), error);
    } catch (RuntimeException error) {
      closeQuietly(session);
      throw error;
    }
  }

  /** Blocks that the server evaluates at a time. */
  private static int parallelismOf(RemoteSession session) {
    Map<String, Object> about = session.call("about()").get(0);
    requireVersion("catalog", about.get("version"), FheCatalog.VERSION);
    requireVersion("format of blocks", about.get("block_version"), BlockHeader.FORMAT_VERSION);
    return Math.max(1, ((Number) about.get("parallelism")).intValue());
  }

  private static void requireVersion(String what, Object server, int client) {
    if (!Integer.valueOf(client).equals(server)) {
      throw new InvalidInputException(
          "the server's "
              + what
              + " has version "
              + server
              + ", this client's "
              + client
              + ": use one release of fhe-spark on both sides");
    }
  }

  private void readFunctions(RemoteSession session) {
    Map<String, String> listed = new HashMap<>();
    for (Map<String, Object> row : session.call("list()")) {
      listed.put((String) row.get("circuit"), (String) row.get("function"));
    }
    modules.forEach(
        (digest, module) -> {
          if (!listed.containsKey(digest)) {
            throw new InvalidInputException(
                "the server has no circuit "
                    + digest
                    + " of module "
                    + module
                    + ": have this model's server artefact registered there (serve --server, or"
                    + " CALL fhe.register)");
          }
        });
    synchronized (functions) {
      functions.putAll(listed);
    }
  }

  private void sendKeys(RemoteSession session) {
    if (keys.isEmpty() && publicKeys.isEmpty()) {
      return;
    }
    // One at a time, or each session would send them.
    synchronized (keys) {
      Set<Object> known = new HashSet<>();
      for (Map<String, Object> row : session.call("list_keys()")) {
        // Any public key of a client key will do, and each session makes another.
        known.add("public".equals(row.get("kind")) ? row.get("key") : row.get("file"));
      }
      for (Map.Entry<String, Path> key : keys.entrySet()) {
        if (!known.contains(key.getKey())) {
          try {
            session.registerKey(Files.readAllBytes(key.getValue()));
          } catch (IOException error) {
            throw new InvalidInputException(
                key.getValue() + ": cannot be sent to the server: " + error.getMessage(), error);
          }
        }
      }
      publicKeys.forEach(
          (clientKey, key) -> {
            if (!known.contains(clientKey)) {
              session.registerKey(key.toByteArray());
            }
          });
    }
  }

  @Override
  public int parallelism() {
    return parallelism;
  }

  @Override
  public long mostBytes() {
    return CALL_BYTES;
  }

  @Override
  public void evaluate(
      String description,
      Set<String> circuits,
      List<EncryptedBlock> blocks,
      ObjIntConsumer<EncryptedBlock> results) {
    List<Future<?>> asked = new ArrayList<>();
    for (int i = 0; i < blocks.size(); i++) {
      int index = i;
      asked.add(
          queries.submit(() -> results.accept(evaluate(blocks.get(index), description), index)));
    }
    ClientThreads.awaitAll(asked);
  }

  private EncryptedBlock evaluate(EncryptedBlock block, String description) {
    byte[] bytes = block.toByteArray();
    String circuit = BlockHeader.of(block.bytes()).circuit();
    long givesUp = 0;
    for (long wait = 100; ; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      if (isCancelled) {
        throw new CancellationException("the run was cancelled");
      }
      OpenSession session = null;
      try {
        session = take();
        String function;
        synchronized (functions) {
          function = functions.get(circuit);
        }
        byte[] result = session.session.evaluate(function, bytes);
        session.sentBytes += bytes.length;
        giveBack(session);
        return EncryptedBlock.copyOf(result);
      } catch (UnavailableException error) {
        discard(session);
        if (isCancelled) {
          throw new CancellationException("the run was cancelled");
        }
        long now = System.nanoTime();
        if (givesUp == 0) {
          givesUp = now + server.patience().toNanos();
          LOG.warn(
              "{}: the server is away ({}); {} will be asked again",
              server,
              error.getMessage(),
              description);
        } else if (now - givesUp > 0) {
          throw new InvalidInputException(
              server
                  + ": the server has been away for "
                  + server.patience().toSeconds()
                  + " s ("
                  + error.getMessage()
                  + "): start it again, and then the run",
              error);
        }
        sleep(wait);
      } catch (RuntimeException error) {
        discard(session);
        if (isCancelled) {
          throw new CancellationException("the run was cancelled");
        }
        throw error instanceof InvalidInputException
                && !error.getMessage().startsWith(server.toString())
            ? new InvalidInputException(server + ": " + error.getMessage(), error)
            : error;
      }
    }
  }

  private OpenSession take() {
    OpenSession session;
    synchronized (idle) {
      session = idle.poll();
    }
    if (session == null) {
      session = open();
    }
    synchronized (idle) {
      used.add(session);
    }
    return session;
  }

  private void giveBack(OpenSession session) {
    boolean isKept = session.sentBytes < SESSION_BYTES;
    synchronized (idle) {
      used.remove(session);
      if (isKept) {
        idle.add(session);
      }
    }
    if (!isKept) {
      closeQuietly(session.session);
    }
  }

  private void discard(OpenSession session) {
    if (session != null) {
      synchronized (idle) {
        used.remove(session);
      }
      closeQuietly(session.session);
    }
  }

  private static void sleep(long milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
      throw new CancellationException("the run was interrupted");
    }
  }

  /** Of a session that nobody needs any more; its server may be gone. */
  private static void closeQuietly(RemoteSession session) {
    try {
      session.close();
    } catch (RuntimeException error) {
      LOG.debug("a session could not be closed", error);
    }
  }

  @Override
  public void cancel() {
    isCancelled = true;
    List<OpenSession> running;
    synchronized (idle) {
      running = List.copyOf(used);
    }
    for (OpenSession session : running) {
      try {
        session.session.interrupt();
      } catch (RuntimeException error) {
        LOG.debug("a query could not be interrupted", error);
      }
    }
  }

  @Override
  public void close() {
    queries.shutdownNow();
    List<OpenSession> open;
    synchronized (idle) {
      open = new ArrayList<>(idle);
      open.addAll(used);
      idle.clear();
      used.clear();
    }
    open.forEach(session -> closeQuietly(session.session));
  }
}
