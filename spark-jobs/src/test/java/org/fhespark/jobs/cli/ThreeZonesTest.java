package org.fhespark.jobs.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * The model's owner is this process; the client and the evaluating side are processes of their own,
 * each with a folder of its own and one that they share, and with their heaps dumped to be searched
 * for what is another's.
 */
class ThreeZonesTest {
  private static final int IMAGES = 300;

  private static Path client;
  private static Path server;
  private static Path shared;
  private static Path clientDump;
  private static Path serverDump;
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
    serverDump = folder.resolve("server.hprof");
    scored = client.resolve("scored");
    CompletableFuture<CommandRun> evaluating =
        run(
            serverDump,
            // The query goes on; the dump is taken when the client has its scores.
            scored.resolve("_SUCCESS"),
            "evaluate",
            "--stream",
            "--server",
            server.resolve("server").toString(),
            "--input",
            shared.resolve("blocks").toString(),
            "--out",
            shared.resolve("results").toString());
    CommandRun exchanged =
        run(
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
    assertEquals(0, evaluating.get().status(), evaluating.get().err());
  }

  private static CompletableFuture<CommandRun> run(Path dump, Path ends, String... command) {
    List<String> arguments = new ArrayList<>(List.of(dump.toString(), ends.toString()));
    arguments.addAll(List.of(command));
    CompletableFuture<CommandRun> ended = new CompletableFuture<>();
    new Thread(
            () -> {
              try {
                ended.complete(new ChildJvm().run(DumpedCommand.class, arguments));
              } catch (Throwable error) {
                ended.completeExceptionally(error);
              }
            })
        .start();
    return ended;
  }

  private static List<Path> files(Path folder) throws IOException {
    try (Stream<Path> inside = Files.walk(folder)) {
      return inside.filter(Files::isRegularFile).toList();
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
    all.add(serverDump);
    assertNone(keyBytes(), all);
    BytePieces clear = clearValues();
    assertNone(clear, all);
    // They are found where they belong.
    assertTrue(clear.foundIn(clientDump) > clear.count() / 10, "records on the client's heap");
  }

  @Test
  void theClientHoldsNoWeight() throws IOException {
    BytePieces weights = weights();
    List<Path> all = new ArrayList<>(files(client));
    all.addAll(files(shared));
    all.add(clientDump);
    assertNone(weights, all);
    assertNone(keyBytes(), List.of(clientDump));
    assertEquals(weights.count(), weights.foundIn(serverDump), "circuits on the server's heap");
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
