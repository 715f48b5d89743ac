package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The model's owner is this process; the client and the evaluating side are processes of their own,
 * a driver and an executor there, each side with a folder of its own and one that they share. Heaps
 * are dumped, and the executor's memory is copied besides, to be searched for what is another's.
 */
class ThreeZonesTest {
  private static final int IMAGES = 300;

  private static Path client;
  private static Path server;
  private static Path shared;
  private static Path clientDump;
  private static Path driverDump;
  private static Path executorDump;
  private static Path executorMemory;
  private static boolean isMemoryReadable;
  private static Path scored;
  private static List<Row> images;

  @BeforeAll
  static void exchange() throws Exception {
    Path folder = Digits.newFolder("zones");
    client = folder.resolve("client-zone");
    server = folder.resolve("server-zone");
    shared = folder.resolve("shared-zone");
    Artefacts owner = Artefacts.shared().copy();
    Files.createDirectories(client);
    Files.createDirectories(server);
    Files.move(owner.client(), client.resolve("client"));
    Files.move(owner.keys(), client.resolve("keys"));
    Files.move(owner.server(), server.resolve("server"));
    SparkSession spark = Digits.session();
    images = Digits.images(spark).subList(0, IMAGES);
    Path records = Digits.write(spark, "images", Digits.schema(), images);
    spark.stop();
    Files.move(records, client.resolve("records"));

    clientDump = folder.resolve("client.hprof");
    driverDump = folder.resolve("driver.hprof");
    executorDump = folder.resolve("executor.hprof");
    executorMemory = folder.resolve("executor.memory");
    scored = client.resolve("scored");
    // The query goes on until the executor was searched.
    Path searched = folder.resolve("searched");
    CompletableFuture<CommandRun> evaluating =
        run(
            new ChildJvm().executors(server).temporary(server.resolve("tmp")),
            driverDump,
            searched,
            "evaluate",
            "--stream",
            "--master",
            "local-cluster[1,1,1024]",
            "--conf",
            "spark.ui.enabled=false",
            "--conf",
            "spark.executor.memory=512m",
            "--conf",
            "spark.executor.extraClassPath=" + System.getProperty("java.class.path"),
            "--server",
            server.resolve("server").toString(),
            "--input",
            shared.resolve("blocks").toString(),
            "--out",
            shared.resolve("results").toString());
    try {
      CommandRun exchanged =
          run(
                  new ChildJvm().temporary(client.resolve("tmp")),
                  clientDump,
                  folder.resolve("never"),
                  "exchange",
                  "--client",
                  client.resolve("client").toString(),
                  "--keys",
                  client.resolve("keys").toString(),
                  "--input",
                  client.resolve("records").toString(),
                  "--state",
                  client.resolve("state").toString(),
                  "--folder",
                  shared.toString(),
                  "--output",
                  scored.toString())
              .get();
      assertEquals(0, exchanged.status(), exchanged.err());
      ProcessHandle executor = executor();
      isMemoryReadable = ProcessMemory.copy(executor, executorMemory);
      CommandRun dumped =
          ChildProcess.run(
              List.of(
                  Path.of(System.getProperty("java.home"), "bin", "jmap").toString(),
                  "-dump:format=b,file=" + executorDump,
                  Long.toString(executor.pid())),
              Map.of());
      assertEquals(0, dumped.status(), dumped.err());
    } finally {
      Files.createFile(searched);
    }
    assertEquals(0, evaluating.get().status(), evaluating.get().err());
  }

  private static CompletableFuture<CommandRun> run(
      ChildJvm jvm, Path dump, Path ends, String... command) {
    List<String> arguments = new ArrayList<>(List.of(dump.toString(), ends.toString()));
    arguments.addAll(List.of(command));
    CompletableFuture<CommandRun> ended = new CompletableFuture<>();
    new Thread(
            () -> {
              try {
                ended.complete(jvm.run(DumpedCommand.class, arguments));
              } catch (Throwable error) {
                ended.completeExceptionally(error);
              }
            })
        .start();
    return ended;
  }

  /** The one executor; it has evaluated what the client has decrypted. */
  private static ProcessHandle executor() {
    List<ProcessHandle> executors =
        ProcessHandle.current()
            .descendants()
            .filter(process -> commandLine(process).contains("CoarseGrainedExecutorBackend"))
            .toList();
    assertEquals(1, executors.size(), "executors that run");
    return executors.get(0);
  }

  /** With all of its arguments, which {@link ProcessHandle#info} leaves out if they are long. */
  private static String commandLine(ProcessHandle process) {
    try {
      return Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
    } catch (IOException error) {
      // It has ended.
      return "";
    }
  }

  private static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> inside = Files.walk(folder)) {
      return inside.filter(file -> Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)).toList();
    }
  }

  private static void assertNone(BytePieces pieces, List<Path> files) throws IOException {
    assertTrue(pieces.count() > 20, "pieces to look for");
    for (Path file : files) {
      assertEquals(0, pieces.foundIn(file), file.toString());
    }
  }

  /** Floats that follow one another, as a heap dump has them and as files do. */
  private static void addFloats(float[] values, List<byte[]> pieces) {
    if (Arrays.stream(box(values)).distinct().count() < 5) {
      // Dark pixels could be anything's bytes.
      return;
    }
    for (ByteOrder order : List.of(ByteOrder.BIG_ENDIAN, ByteOrder.LITTLE_ENDIAN)) {
      ByteBuffer piece = ByteBuffer.allocate(Float.BYTES * values.length).order(order);
      for (float value : values) {
        piece.putFloat(value);
      }
      pieces.add(piece.array());
    }
  }

  private static Float[] box(float[] values) {
    Float[] boxed = new Float[values.length];
    Arrays.setAll(boxed, i -> values[i]);
    return boxed;
  }

  private static float[] floats(Row row, String column) {
    List<Float> list = row.getList(row.fieldIndex(column));
    float[] values = new float[list.size()];
    for (int i = 0; i < values.length; i++) {
      values[i] = list.get(i);
    }
    return values;
  }

  /** Records, and what the last module made of them. */
  private static BytePieces clearValues() {
    SparkSession spark = Digits.session();
    List<Row> rows = Digits.read(spark, scored);
    spark.stop();
    assertEquals(IMAGES, rows.size());
    List<byte[]> pieces = new ArrayList<>();
    for (Row row : rows) {
      float[] pixels = floats(row, "pixels");
      for (int start = 0; start + 8 <= pixels.length; start += 8) {
        addFloats(Arrays.copyOfRange(pixels, start, start + 8), pieces);
      }
      addFloats(floats(row, "logits"), pieces);
    }
    return new BytePieces(pieces);
  }

  private static BytePieces keyBytes() throws IOException {
    byte[] key = Files.readAllBytes(client.resolve("keys/client.key"));
    List<byte[]> pieces = new ArrayList<>();
    for (int start = 72; start + 16 < key.length; start += 64) {
      pieces.add(Arrays.copyOfRange(key, start, start + 12));
    }
    BytePieces found = new BytePieces(pieces);
    assertEquals(found.count(), found.foundIn(client.resolve("keys/client.key")));
    return found;
  }

  private static BytePieces weights() throws IOException {
    List<byte[]> pieces = new ArrayList<>();
    for (Path circuit : files(server.resolve("server/circuits"))) {
      byte[] file = Files.readAllBytes(circuit);
      // Behind the parameters and before the checksum.
      for (int start = 128; start + 36 <= file.length; start += 32) {
        byte[] piece = Arrays.copyOfRange(file, start, start + 32);
        if (!Arrays.equals(piece, new byte[piece.length])) {
          pieces.add(piece);
        }
      }
    }
    return new BytePieces(pieces);
  }

  @Test
  void theEvaluatingSideHoldsNoKeyAndNoClearValue() throws IOException {
    List<Path> all = new ArrayList<>(files(server));
    all.addAll(files(shared));
    all.add(driverDump);
    all.add(executorDump);
    assertNone(keyBytes(), all);
    BytePieces clear = clearValues();
    assertNone(clear, all);
    // They are found where they belong.
    assertTrue(clear.foundIn(clientDump) > clear.count() / 10, "records on the client's heap");
  }

  @Test
  void theMemoryOfAnExecutorHoldsCircuitsButNoKeyAndNoClearValue() throws IOException {
    assumeTrue(isMemoryReadable, "processes may not look into those that they start");
    BytePieces weights = weights();
    assertEquals(weights.count(), weights.foundIn(executorMemory), "circuits in the memory");
    assertNone(keyBytes(), List.of(executorMemory));
    assertNone(clearValues(), List.of(executorMemory));
  }

  @Test
  void theClientHoldsNoWeight() throws IOException {
    BytePieces weights = weights();
    List<Path> all = new ArrayList<>(files(client));
    all.addAll(files(shared));
    all.add(clientDump);
    assertNone(weights, all);
    assertNone(keyBytes(), List.of(clientDump));
    assertEquals(weights.count(), weights.foundIn(driverDump), "circuits on the driver's heap");
    assertEquals(weights.count(), weights.foundIn(executorDump), "circuits on the executor's heap");
  }

  @Test
  void theScoresAreThoseOfOneProcess() throws IOException {
    Path together = Digits.newFolder("together").resolve("scored");
    CommandRun.of(
            "score",
            "--client",
            client.resolve("client").toString(),
            "--server",
            server.resolve("server").toString(),
            "--keys",
            client.resolve("keys").toString(),
            "--input",
            client.resolve("records").toString(),
            "--output",
            together.toString())
        .assertDone();
    SparkSession spark = Digits.session();
    assertEquals(Digits.read(spark, together), Digits.read(spark, scored));
    spark.stop();
  }
}
