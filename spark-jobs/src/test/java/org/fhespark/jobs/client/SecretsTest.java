package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkException;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.serializer.JavaSerializer;
import org.apache.spark.sql.SparkSession;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PreparedMask;
import org.fhespark.udf.BlockBatch;
import org.fhespark.udf.EncryptedBlock;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Who holds what: no remote weight at the client, no key at the server, none in a Spark job. */
class SecretsTest {
  private static final int SEED = 56;
  private static final int SEED_END = 72;

  private static Path compiled;
  private static HybridModel model;
  private static ClientKey key;
  private static Path keyFile;

  @BeforeAll
  static void makeAKey() {
    SparkSession spark = Digits.session();
    compiled = Digits.compiled(spark);
    spark.stop();
    model = Digits.load(compiled);
    key = model.newKey();
    keyFile = Digits.newFolder("keys").resolve("client.key");
    key.save(keyFile);
  }

  @AfterAll
  static void closeTheKey() {
    key.close();
  }

  private static byte[] allBytes(Path folder) throws IOException {
    StringBuilder all = new StringBuilder();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
        // Latin 1 keeps every byte as one char, and String.contains is fast.
        all.append(Files.readString(file, StandardCharsets.ISO_8859_1));
      }
    }
    return all.toString().getBytes(StandardCharsets.ISO_8859_1);
  }

  private static long found(byte[] where, List<byte[]> what) {
    String text = new String(where, StandardCharsets.ISO_8859_1);
    return what.stream()
        .filter(bytes -> text.contains(new String(bytes, StandardCharsets.ISO_8859_1)))
        .count();
  }

  /** Eight neighbours of each row and each column, in float, little-endian. */
  private static List<byte[]> floatPieces(String module) throws IOException {
    AffineCall call = RemoteWeights.call(module);
    float[] weights = RemoteWeights.of(module);
    List<byte[]> pieces = new ArrayList<>();
    for (int row = 0; row < call.dOut(); row++) {
      ByteBuffer piece = ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < 8; i++) {
        piece.putFloat(weights[row * call.dIn() + i]);
      }
      pieces.add(piece.array());
    }
    for (int column = 0; column < call.dIn(); column++) {
      ByteBuffer piece = ByteBuffer.allocate(32).order(ByteOrder.LITTLE_ENDIAN);
      for (int i = 0; i < 8; i++) {
        piece.putFloat(weights[i * call.dIn() + column]);
      }
      pieces.add(piece.array());
    }
    return pieces;
  }

  private static List<byte[]> integerRows(String module) throws IOException {
    AffineCall call = RemoteWeights.call(module);
    byte[] integers =
        QuantizedWeights.quantize(
                module,
                RemoteWeights.of(module),
                call.dIn(),
                call.dOut(),
                QuantizedWeights.MOST_BITS)
            .values();
    List<byte[]> rows = new ArrayList<>();
    for (int row = 0; row < call.dOut(); row++) {
      byte[] whole = Arrays.copyOfRange(integers, row * call.dIn(), (row + 1) * call.dIn());
      // Constant stretches, as of pixels that are always dark, could be anything's bytes.
      if (Arrays.equals(whole, new byte[whole.length])) {
        continue;
      }
      rows.add(whole);
    }
    return rows;
  }

  private static List<byte[]> integerColumns(String module) throws IOException {
    AffineCall call = RemoteWeights.call(module);
    byte[] integers =
        QuantizedWeights.quantize(
                module,
                RemoteWeights.of(module),
                call.dIn(),
                call.dOut(),
                QuantizedWeights.MOST_BITS)
            .values();
    List<byte[]> columns = new ArrayList<>();
    for (int column = 0; column < call.dIn(); column++) {
      byte[] whole = new byte[call.dOut()];
      for (int row = 0; row < whole.length; row++) {
        whole[row] = integers[row * call.dIn() + column];
      }
      columns.add(whole);
    }
    return columns;
  }

  @ParameterizedTest
  @ValueSource(strings = {"seq.0", "seq.2", "seq.4"})
  void theClientArtefactHoldsNoRemoteWeight(String module) throws IOException {
    byte[] client = allBytes(compiled.resolve("client"));
    byte[] server = allBytes(compiled.resolve("server"));
    AffineCall call = RemoteWeights.call(module);
    List<byte[]> floats = floatPieces(module);
    List<byte[]> integers = integerRows(module);
    // The search finds them where they belong.
    assertTrue(found(server, floats) >= call.dOut(), "float weights in server/float");
    assertEquals(integers.size(), found(server, integers), "int8 weights in server/circuits");
    assertTrue(integers.size() >= call.dOut() - 2);

    assertEquals(0, found(client, floats), "float weights");
    assertEquals(0, found(client, integers), "int8 rows");
    assertEquals(0, found(client, integerColumns(module)), "int8 columns");
  }

  @Test
  void theClientArtefactHoldsNoRemoteWeightAsText() throws IOException {
    byte[] client = allBytes(compiled.resolve("client"));
    for (String module : Digits.REMOTE) {
      float[] weights = RemoteWeights.of(module);
      List<byte[]> digits = new ArrayList<>();
      for (float weight : weights) {
        // Six digits: short ones are found in scales and biases by chance.
        String text = Float.toString(Math.abs(weight));
        if (text.length() >= 9) {
          digits.add(text.getBytes(StandardCharsets.US_ASCII));
        }
      }
      assertTrue(digits.size() > weights.length / 3, "enough weights to look for");
      assertEquals(0, found(client, digits), module);
    }
  }

  /** Pieces of the secret key polynomials; the public shape before each set is none. */
  private static List<byte[]> keyPieces() throws IOException {
    byte[] file = Files.readAllBytes(keyFile);
    List<byte[]> pieces = new ArrayList<>();
    for (int set = 56; set + 16 < file.length; ) {
      IntBuffer shape = ByteBuffer.wrap(file, set, 16).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer();
      int bits = set + 16;
      int end = bits + shape.get(0) * shape.get(1) * shape.get(3) / 8;
      for (int start = bits; start + 12 <= end; start += 8) {
        pieces.add(Arrays.copyOfRange(file, start, start + 12));
      }
      set = end;
    }
    return pieces;
  }

  @Test
  void noArtefactHoldsKeyBytes() throws IOException {
    List<byte[]> pieces = keyPieces();
    assertTrue(pieces.size() > 100);
    assertEquals(pieces.size(), found(Files.readAllBytes(keyFile), pieces), "positive control");
    assertEquals(0, found(allBytes(compiled), pieces));
  }

  @Test
  void noBlockHoldsKeyBytesOrTheRecordItEncrypts() throws IOException {
    List<byte[]> pieces = keyPieces();
    for (RemoteCallSpec remote : model.specs().remote()) {
      try (ModuleClient client = ModuleClient.withKey(remote.moduleSpec(), key)) {
        ByteBuffer records = records(64, remote.dIn());
        byte[] block = client.encrypt(records, new float[64], 0);
        assertEquals(0, found(block, pieces), remote.circuit());
        byte[] clear = new byte[16];
        records.get(0, clear);
        assertEquals(0, found(block, List.of(clear)), remote.circuit());
      }
    }
  }

  @Test
  void theKeyFileIsReadableByItsOwnerOnly() throws IOException {
    assertEquals(
        "rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(keyFile)));
  }

  private static ByteBuffer records(int count, int width) {
    ByteBuffer records =
        ByteBuffer.allocateDirect(4 * count * width).order(ByteOrder.nativeOrder());
    for (int i = 0; i < count * width; i++) {
      records.putFloat(4 * i, (float) Math.sin(i + 1));
    }
    return records;
  }

  private static String seedOf(byte[] block) {
    return HexFormat.of().formatHex(block, SEED, SEED_END);
  }

  @Test
  void twoRunsOverTheSameRecordsNeverShareAMaskSeed() throws Exception {
    Set<String> seeds = new HashSet<>();
    int blocks = 0;
    for (int run = 0; run < 2; run++) {
      // Each run as a process would start it: key and modules opened anew.
      try (ClientKey loaded = ClientKey.load(keyFile)) {
        for (RemoteCallSpec remote : model.specs().remote()) {
          try (ModuleClient client = ModuleClient.withKey(remote.moduleSpec(), loaded)) {
            ExecutorService threads = Executors.newFixedThreadPool(4);
            try {
              List<Callable<byte[]>> tasks = new ArrayList<>();
              for (int number = 0; number < 100; number++) {
                long block = number;
                tasks.add(() -> client.encrypt(records(1, remote.dIn()), new float[1], block));
              }
              for (Future<byte[]> block : threads.invokeAll(tasks)) {
                seeds.add(seedOf(block.get()));
                blocks++;
              }
            } finally {
              threads.shutdownNow();
            }
          }
        }
      }
    }
    assertEquals(blocks, seeds.size());
    assertFalse(seeds.contains("0".repeat(32)));
  }

  @Test
  void theSameRecordIsEncryptedToOtherBytesEachTime() {
    RemoteCallSpec remote = model.specs().remote().get(0);
    try (ModuleClient client = ModuleClient.withKey(remote.moduleSpec(), key)) {
      byte[] one = client.encrypt(records(1, 64), new float[1], 0);
      byte[] other = client.encrypt(records(1, 64), new float[1], 0);
      int same = 0;
      for (int i = 128; i < one.length; i++) {
        same += one[i] == other[i] ? 1 : 0;
      }
      // 320 uniform bytes agree in 1.25 places; in 20 or more with probability below 2^-50.
      assertTrue(same < 20, same + " of " + (one.length - 128) + " payload bytes are the same");
    }
  }

  @Test
  void aKeyOpensOnlyTheClientItWasMadeFor() throws IOException {
    SparkSession spark = Digits.session();
    try {
      HybridModel other =
          Digits.load(
              Digits.compile(spark, CompileOptions.remote(Digits.REMOTE).weightBits(7).build()));
      Exception error =
          assertThrows(InvalidInputException.class, () -> other.session(spark, Mode.EXECUTE, key));
      assertTrue(error.getMessage().contains(key.id()), error.getMessage());
    } finally {
      spark.stop();
    }
  }

  private static void assertRefusesTheKey(Executable job) {
    assertRefuses(ClientKey.REFUSAL, job);
  }

  private static void assertRefuses(String refusal, Executable job) {
    Throwable error = assertThrows(Exception.class, job);
    StringBuilder messages = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      messages.append(cause).append('\n');
    }
    assertTrue(messages.toString().contains(refusal), messages.toString());
  }

  /** What must fail whatever spark.serializer is. */
  @TestInstance(Lifecycle.PER_CLASS)
  abstract static class KeyInAJob {
    JavaSparkContext spark;
    private SparkSession session;

    abstract SparkConf conf();

    @BeforeAll
    void start() {
      session = Digits.session(conf());
      spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    }

    @AfterAll
    void stop() {
      session.stop();
    }

    @AfterEach
    void theSessionStillWorks() {
      assertEquals(3, spark.parallelize(List.of(1, 2, 3), 2).count());
    }

    @Test
    void aClosureThatCapturesTheKeyIsRefusedOnTheDriver() {
      ClientKey captured = key;
      Executable job = () -> spark.parallelize(List.of(1), 1).map(one -> captured.id()).collect();
      Exception error = assertThrows(SparkException.class, job);
      assertTrue(error.getMessage().contains("Task not serializable"), error.getMessage());
      assertRefusesTheKey(job);
    }

    @Test
    void anRddOfTheKeyIsRefused() {
      assertRefusesTheKey(() -> spark.parallelize(List.of(key), 1).count());
    }

    @Test
    void aBroadcastOfTheKeyIsRefused() {
      assertRefusesTheKey(() -> spark.broadcast(key));
    }

    @Test
    void preparedMasksAndTheirOrdersAreRefused() {
      RemoteCallSpec remote = model.specs().remote().get(0);
      // Keys and masks of its own: a broadcast that fails closes what it was given.
      try (ClientKey own = ClientKey.load(keyFile);
          ModuleClient client = ModuleClient.withKey(remote.moduleSpec(), own);
          PackedCircuit circuit = PackedCircuit.open(model.server().circuit(remote.circuit()));
          EncryptedBlock block = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES)) {
        assertRefusesInAJob(client.orderMask(5, 0, block.bytes()));
        MaskOrder order = client.orderMask(5, 0, block.bytes());
        EncryptedBlock results =
            BlockBatch.evaluate(circuit::evaluate, List.of(block), 1, () -> false).get(0);
        try (results;
            PreparedMask mask = order.prepare(results.bytes(), 1)) {
          assertRefusesInAJob(mask);
        }
      }
    }

    private void assertRefusesInAJob(AutoCloseable secret) {
      assertRefuses(
          PreparedMask.REFUSAL,
          () -> spark.parallelize(List.of(1), 1).map(one -> secret.hashCode()).collect());
      assertRefuses(PreparedMask.REFUSAL, () -> spark.parallelize(List.of(secret), 1).count());
      assertRefuses(PreparedMask.REFUSAL, () -> spark.broadcast(secret));
    }

    @Test
    void aTaskThatReturnsAKeyIsRefused() {
      String file = keyFile.toString();
      assertRefusesTheKey(
          () ->
              spark.parallelize(List.of(1), 1).map(one -> ClientKey.load(Path.of(file))).collect());
    }
  }

  @Nested
  class WithKryoAndRegistrationRequired extends KeyInAJob {
    @Override
    SparkConf conf() {
      return SparkSettings.addTo(new SparkConf());
    }
  }

  @Nested
  class WithTheJavaSerializer extends KeyInAJob {
    @Override
    SparkConf conf() {
      return new SparkConf().set("spark.serializer", JavaSerializer.class.getName());
    }
  }

  @Test
  void noTemporaryCopyOfTheKeyStaysBehind() throws IOException {
    try (Stream<Path> files = Files.list(keyFile.getParent())) {
      assertEquals(List.of(keyFile), files.toList());
    }
  }
}
