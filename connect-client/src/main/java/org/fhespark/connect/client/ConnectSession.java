package org.fhespark.connect.client;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.connect.SparkSession;
import org.apache.spark.sql.connect.client.RetryPolicy;
import org.apache.spark.sql.connect.client.SparkConnectClient;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.connect.RemoteSession;
import scala.Option;
import scala.concurrent.duration.FiniteDuration;

/** A session of Spark's own Connect client. */
public final class ConnectSession implements RemoteSession {
  /** Short: whoever uses a session knows better when to give up. */
  private static final int RETRIES = 3;

  private static final StructType BLOCK = new StructType().add("block", DataTypes.BinaryType);
  private static final StructType KEY = new StructType().add("key", DataTypes.BinaryType);

  /** Else the server's driver would evaluate blocks that come with a query. */
  private static final String EXCLUDED_RULES = "spark.sql.optimizer.excludedRules";

  private static final String LOCAL_EVALUATION =
      "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation";

  private final SparkSession spark;
  private boolean isConfigured;

  /** Called by name, see {@link RemoteSession#open}. */
  public ConnectSession(String url, String token) {
    this.spark = inOwnLoader(() -> open(url, token));
  }

  private static SparkSession open(String url, String token) {
    SparkConnectClient.Builder builder = SparkConnectClient.builder();
    try {
      builder.connectionString(url);
    } catch (RuntimeException error) {
      throw new InvalidInputException(
          "\"" + url + "\" is no address of a Spark Connect server: write sc://HOST:PORT", error);
    }
    try {
      builder.token(token);
    } catch (RuntimeException error) {
      throw new InvalidInputException(
          url + ": a token is not sent without TLS: leave use_ssl=false out of the address", error);
    }
    RetryPolicy policy = RetryPolicy.defaultPolicy();
    builder.retryPolicy(
        policy.copy(
            Option.apply((Object) RETRIES),
            policy.initialBackoff(),
            Option.apply(FiniteDuration.apply(1, "s")),
            policy.backoffMultiplier(),
            policy.jitter(),
            policy.minJitterThreshold(),
            policy.canRetry(),
            policy.name(),
            policy.recognizeServerRetryDelay(),
            policy.maxServerRetryDelay()));
    return SparkSession.builder().client(builder.build()).create();
  }

  @Override
  public List<Map<String, Object>> call(String call) {
    return asked(
        () -> {
          Dataset<Row> table = spark.sql("CALL fhe." + call);
          String[] columns = table.columns();
          List<Map<String, Object>> rows = new ArrayList<>();
          for (Row row : table.collectAsList()) {
            Map<String, Object> values = new LinkedHashMap<>();
            for (int i = 0; i < columns.length; i++) {
              values.put(columns[i], row.get(i));
            }
            rows.add(values);
          }
          return rows;
        });
  }

  @Override
  public byte[] evaluate(String function, byte[] block) {
    return asked(
        () -> {
          if (!isConfigured) {
            spark.conf().set(EXCLUDED_RULES, LOCAL_EVALUATION);
            isConfigured = true;
          }
          Dataset<Row> result =
              table(block, BLOCK)
                  .select(functions.call_function("fhe." + function, functions.col("block")));
          // Streams, so that a large result comes in parts; unless closed it keeps its memory.
          Iterator<Row> rows = result.toLocalIterator();
          try (AutoCloseable closed = (AutoCloseable) rows) {
            byte[] evaluated = (byte[]) rows.next().get(0);
            // Else the end of the stream, which nobody reads then, stays in native memory.
            while (rows.hasNext()) {
              rows.next();
            }
            return evaluated;
          }
        });
  }

  @Override
  public void registerKey(byte[] file) {
    asked(
        () -> {
          table(file, KEY).createOrReplaceTempView("fhe_client_key");
          return spark.sql("CALL fhe.register_key(table => 'fhe_client_key')").collectAsList();
        });
  }

  private Dataset<Row> table(byte[] bytes, StructType column) {
    return spark.createDataFrame(List.of(RowFactory.create((Object) bytes)), column);
  }

  @Override
  public void interrupt() {
    inOwnLoader(spark::interruptAll);
  }

  @Override
  public void close() {
    inOwnLoader(
        () -> {
          spark.close();
          return null;
        });
  }

  private static <T> T asked(Callable<T> question) {
    return inOwnLoader(
        () -> {
          try {
            return question.call();
          } catch (Exception error) {
            throw Answers.explain(error);
          }
        });
  }

  /** The client looks for classes with the thread's loader. */
  private static <T> T inOwnLoader(Callable<T> work) {
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    thread.setContextClassLoader(ConnectSession.class.getClassLoader());
    try {
      return work.call();
    } catch (RuntimeException error) {
      throw error;
    } catch (Exception error) {
      // Scala declares nothing.
      throw new IllegalStateException(error.toString(), error);
    } finally {
      thread.setContextClassLoader(before);
    }
  }
}
