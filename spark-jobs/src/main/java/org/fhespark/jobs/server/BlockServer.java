package org.fhespark.jobs.server;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkEnv;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connect.service.SparkConnectService;
import org.apache.spark.sql.connect.service.SparkConnectService$;
import org.fhespark.InvalidInputException;
import org.fhespark.sql.FheCatalog;
import org.fhespark.sql.RegisteredCircuit;
import org.fhespark.sql.RegisteredModels;
import scala.Option;

/** A Spark Connect server with the SQL catalog, on a Spark session of this JVM. */
public final class BlockServer implements AutoCloseable {
  private static final String ADDRESS = "spark.connect.grpc.binding.address";
  private static final String PORT = "spark.connect.grpc.binding.port";
  private static final String TOKEN = "spark.connect.authenticate.token";
  private static final String INTERCEPTORS = "spark.connect.grpc.interceptor.classes";

  private final SparkSession spark;

  private BlockServer(SparkSession spark) {
    this.spark = spark;
  }

  /** What the session must be started with; conf/spark-defaults.conf says why. */
  public static Map<String, String> settings() {
    return Map.of(
        "spark.sql.catalog.fhe",
        FheCatalog.class.getName(),
        "spark.sql.optimizer.excludedRules",
        "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation",
        // No block is asked twice, and each plan that is kept keeps its own.
        "spark.connect.session.planCache.maxSize",
        "0",
        // A block that comes with a query travels in its task; the largest have a GiB.
        "spark.rpc.message.maxSize",
        "1100",
        // Clients may ask any query, whose classes nobody can foresee.
        "spark.kryo.registrationRequired",
        "false");
  }

  /** A server that does not listen yet; the session stays the caller's to stop. */
  public static BlockServer open(SparkSession spark) {
    return new BlockServer(spark);
  }

  /**
   * Registers a model.
   *
   * @param server its server artefact
   * @throws InvalidInputException see {@link RegisteredModels#register}
   */
  public List<RegisteredCircuit> register(String model, String server) {
    return RegisteredModels.of(spark.sparkContext()).register(model, new Path(server));
  }

  /**
   * Begins to listen.
   *
   * @param port 0 for any that is free
   * @param token that clients must send
   * @param anyQuery whether clients may ask any query, or those of mode REMOTE alone
   * @return the port
   * @throws InvalidInputException if the address cannot be listened on
   */
  public int start(String address, int port, String token, boolean anyQuery) {
    SparkConf conf = SparkEnv.get().conf();
    conf.set(ADDRESS, address).set(PORT, Integer.toString(port)).set(TOKEN, token);
    if (!anyQuery) {
      String others = conf.get(INTERCEPTORS, "");
      conf.set(INTERCEPTORS, BlocksOnly.class.getName() + (others.isEmpty() ? "" : "," + others));
    }
    try {
      SparkConnectService.start(spark.sparkContext());
    } catch (Exception error) {
      // Scala declares nothing, and this is an IOException.
      throw new InvalidInputException(
          "cannot listen on " + address + ":" + port + ": " + error.getMessage(), error);
    } finally {
      // Read by now. Neither executors nor queries are to see it.
      conf.remove(TOKEN);
    }
    return SparkConnectService$.MODULE$.localPort();
  }

  /**
   * Waits for the end of the process.
   *
   * @throws InterruptedException if the thread is interrupted before
   */
  public void await() throws InterruptedException {
    new CountDownLatch(1).await();
  }

  @Override
  public void close() {
    SparkConnectService.stop(Option.empty(), Option.empty());
  }
}
