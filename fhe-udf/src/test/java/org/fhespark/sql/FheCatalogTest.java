package org.fhespark.sql;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.sql.AnalysisException;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupClient;
import org.fhespark.nativelib.LookupResultsSpec;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.udf.BlockHeader;
import org.fhespark.udf.Circuit;
import org.fhespark.udf.FheKryoRegistrator;
import org.fhespark.udf.Layer;
import org.fhespark.udf.LookupLayer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FheCatalogTest {
  private static final StructType BLOCKS =
      new StructType().add("number", DataTypes.LongType).add("block", DataTypes.BinaryType);

  private static final PackedParameters GUARDED =
      new PackedParameters(4, 512, 5, 5, 5, 5, 20, 2, 1, PackedParameters.mostFlooding(5, 20, 1));

  @TempDir private static java.nio.file.Path folder;

  private static SparkSession spark;
  private static Layer layer;
  private static Layer other;
  private static LookupLayer lookups;

  /** Re-randomises its results. */
  private static Layer guarded;

  @BeforeAll
  static void start() throws IOException {
    spark =
        SparkSession.builder()
            .master("local[2]")
            .appName("catalog")
            .config("spark.ui.enabled", "false")
            .config("spark.sql.shuffle.partitions", "2")
            .config("spark.serializer", KryoSerializer.class.getName())
            .config("spark.kryo.registrator", FheKryoRegistrator.class.getName())
            .config("spark.kryo.registrationRequired", "true")
            .config("spark.sql.catalog.fhe", FheCatalog.class.getName())
            .getOrCreate();
    layer = Layer.random(6, 3, 1);
    other = Layer.random(3, 2, 2);
    lookups = LookupLayer.make();
    write("one", Map.of("seq.0", layer.circuitFile(), "seq.2", other.circuitFile()));
    write("two", Map.of("seq.0", layer.circuitFile()));
    write("mlp", Map.of(".", lookups.circuitFile()));
    guarded = Layer.random(GUARDED, 6, 3, 3);
    write("guarded", Map.of("seq.0", guarded.circuitFile()));
  }

  @AfterAll
  static void stop() {
    layer.close();
    other.close();
    lookups.close();
    guarded.close();
    spark.stop();
  }

  @AfterEach
  void dropAll() {
    RegisteredModels models = RegisteredModels.of(spark.sparkContext());
    models.circuits().stream().map(RegisteredCircuit::model).distinct().forEach(models::drop);
    models.keys().stream().map(RegisteredKey::key).distinct().forEach(models::dropKey);
  }

  private static void write(String name, Map<String, byte[]> circuits) throws IOException {
    Path server = new Path(server(name));
    ServerArtifact.write(
        FileStore.of(server, new Configuration()),
        server,
        "0".repeat(64),
        circuits,
        Map.of(),
        Map.of());
  }

  private static String server(String name) {
    return folder.resolve(name).toString();
  }

  private static List<Row> register(String model, String server) {
    return spark
        .sql("CALL fhe.register(model => '" + model + "', server => '" + server(server) + "')")
        .collectAsList();
  }

  private static void blocks(byte[]... blocks) {
    List<Row> rows = new ArrayList<>();
    for (byte[] block : blocks) {
      rows.add(RowFactory.create((long) rows.size(), block));
    }
    spark.createDataFrame(rows, BLOCKS).createOrReplaceTempView("blocks");
  }

  private static List<Row> sql(String query) {
    return spark.sql(query).collectAsList();
  }

  private static String refusal(String query) {
    Throwable error = assertThrows(Throwable.class, () -> sql(query), query);
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof InvalidInputException) {
        assertEquals(1, cause.getMessage().lines().count(), cause.getMessage());
        return cause.getMessage();
      }
    }
    throw new AssertionError("no clear line", error);
  }

  private static void assertRefused(String query, String... parts) {
    String message = refusal(query);
    for (String part : parts) {
      assertTrue(message.contains(part), "'" + part + "' is not in: " + message);
    }
  }

  @Test
  void aRegisteredCircuitEvaluatesBlocksBySql() {
    List<Row> registered = register("Digits", "one");
    assertEquals(
        List.of("digits_seq_0", "digits_seq_2"),
        registered.stream().map(row -> row.getString(1)).toList());
    assertEquals(
        RowFactory.create(
            "digits",
            "digits_seq_0",
            "seq.0",
            layer.circuit().digest().hex(),
            6,
            3,
            false,
            false,
            false),
        registered.get(0));
    assertEquals(registered, sql("CALL fhe.list()"));
    blocks(layer.encrypt(layer.records(5, 1), 0), null, layer.encrypt(layer.records(70, 2), 2));
    List<Row> results = sql("SELECT number, fhe.digits_seq_0(block) FROM blocks ORDER BY number");
    assertArrayEquals(
        layer.accumulate(layer.records(5, 1)),
        layer.client().decryptAccumulators((byte[]) results.get(0).get(1)));
    assertTrue(results.get(1).isNullAt(1));
    assertArrayEquals(
        layer.accumulate(layer.records(70, 2)),
        layer.client().decryptAccumulators((byte[]) results.get(2).get(1)));
    List<String> functions =
        sql("SHOW USER FUNCTIONS IN fhe").stream().map(row -> row.getString(0)).toList();
    assertTrue(functions.contains("fhe.digits_seq_2"), functions.toString());
  }

  @Test
  void anotherSessionSeesWhatIsRegistered() {
    register("digits", "two");
    blocks(layer.encrypt(layer.records(1, 1), 4));
    SparkSession session = spark.newSession();
    assertEquals(1, session.sql("CALL fhe.list()").count());
    session
        .createDataFrame(spark.table("blocks").collectAsList(), BLOCKS)
        .createOrReplaceTempView("mine");
    assertEquals(1, session.sql("SELECT fhe.DIGITS_SEQ_0(block) FROM mine").collectAsList().size());
  }

  @Test
  void aBlockDescribesItself() {
    byte[] block = layer.encrypt(layer.records(70, 5), 9);
    byte[] damaged = block.clone();
    damaged[90] ^= 1;
    blocks(block, null);
    List<Row> rows = sql("SELECT d.*, d IS NULL FROM (SELECT fhe.describe(block) d FROM blocks)");
    Row found = rows.get(0);
    assertEquals("activations", found.getString(0));
    assertEquals(BlockHeader.FORMAT_VERSION, found.getInt(1));
    assertEquals(layer.circuit().digest().hex(), found.getString(2));
    assertEquals(layer.key().id(), found.getString(3));
    assertEquals(List.of(9L, 70, 6), List.of(found.get(4), found.get(5), found.get(6)));
    assertEquals(List.of(0, 0), List.of(found.get(7), found.get(8)));
    assertEquals(block.length, found.getLong(9));
    assertTrue(rows.get(1).getBoolean(10));
    register("digits", "two");
    assertEquals(
        "results",
        sql("SELECT fhe.describe(fhe.digits_seq_0(block)).kind FROM blocks").get(0).get(0));
    blocks(damaged);
    assertRefused("SELECT fhe.describe(block) FROM blocks", "damaged", "checksum");
    blocks(new byte[20]);
    assertRefused("SELECT fhe.describe(block) FROM blocks", "truncated: 20 bytes");
    blocks(new byte[200]);
    assertRefused("SELECT fhe.describe(block) FROM blocks", "no encrypted block");
  }

  @Test
  void whatCannotBeEvaluatedIsRefusedInOneLine() {
    register("digits", "one");
    byte[] block = layer.encrypt(layer.records(5, 1), 0);
    blocks(block);
    assertRefused(
        "SELECT fhe.digits_seq_2(block) FROM blocks",
        layer.circuit().digest().hex(),
        other.circuit().digest().hex(),
        "digits_seq_2");
    byte[] damaged = block.clone();
    damaged[block.length - 1] ^= 1;
    blocks(damaged);
    assertRefused("SELECT fhe.digits_seq_0(block) FROM blocks", "damaged");
    for (String call : List.of("fhe.digits_seq_0(number)", "fhe.digits_seq_0(block, block)")) {
      AnalysisException error =
          assertThrows(AnalysisException.class, () -> sql("SELECT " + call + " FROM blocks"));
      assertTrue(error.getMessage().contains("one BINARY argument"), error.getMessage());
    }
    assertThrows(AnalysisException.class, () -> sql("SELECT fhe.digits_seq_4(block) FROM blocks"));
    assertRefused("CALL fhe.drop('mnist')", "no model mnist", "digits");
    assertRefused("CALL fhe.enlist()", "no procedure", "register");
    assertRefused("CALL fhe.register('x', '" + folder.resolve("none") + "')", "none: no such");
    assertRefused("CALL fhe.register('x', NULL)", "server is NULL");
    assertRefused("CALL fhe.register('..', '" + server("one") + "')", "no name for a model");
    assertRefused("CALL fhe.register('describe', '" + server("mlp") + "')", "has itself");
  }

  @Test
  void functionsOfTwoModulesNeverShareAName() throws IOException {
    write("clash", Map.of("a.0", layer.circuitFile(), "a_0", other.circuitFile()));
    assertRefused(
        "CALL fhe.register('digits', '" + server("clash") + "')", "digits_a_0", "another name");
    assertEquals(List.of(), sql("CALL fhe.list()"));
    register("digits_seq_0", "mlp");
    assertRefused(
        "CALL fhe.register('digits', '" + server("two") + "')",
        "digits_seq_0",
        "of model digits_seq_0 is");
    assertEquals(1, sql("CALL fhe.list()").size());
  }

  @Test
  void aCircuitIsBroadcastOnceAndDestroyedWithTheLastModelThatHasIt() {
    register("one", "one");
    register("two", "two");
    RegisteredModels models = RegisteredModels.of(spark.sparkContext());
    Broadcast<Circuit> shared = models.circuit("one_seq_0").orElseThrow().file();
    Broadcast<Circuit> own = models.circuit("one_seq_2").orElseThrow().file();
    assertEquals(shared.id(), models.circuit("two_seq_0").orElseThrow().file().id());
    assertEquals(
        List.of("one_seq_0", "one_seq_2"),
        sql("CALL fhe.drop('one')").stream().map(row -> row.getString(0)).toList());
    assertTrue(shared.isValid());
    assertThrows(Exception.class, own::value);
    register("two", "one");
    assertTrue(shared.isValid(), "what stays is not sent again");
    sql("CALL fhe.drop('two')");
    assertThrows(Exception.class, shared::value);
  }

  @Test
  void aQueryThatIsBoundGoesOnWhenItsModelIsReplaced() throws IOException {
    write("renewed", Map.of("seq.0", other.circuitFile()));
    register("digits", "two");
    blocks(layer.encrypt(layer.records(5, 1), 0));
    Dataset<Row> bound = spark.sql("SELECT fhe.digits_seq_0(block) FROM blocks");
    register("digits", "renewed");
    assertArrayEquals(
        layer.accumulate(layer.records(5, 1)),
        layer.client().decryptAccumulators((byte[]) bound.collectAsList().get(0).get(0)));
    assertRefused("SELECT fhe.digits_seq_0(block) FROM blocks", "circuit");
  }

  @Test
  void circuitsWithLookupsTakeTheKeyThatTheBlockNames() throws IOException {
    register("mlp", "mlp");
    blocks(lookups.block());
    String query = "SELECT fhe.mlp(block) FROM blocks";
    assertRefused(query, "no evaluation key", lookups.key().id(), "register_key");
    java.nio.file.Path file = folder.resolve("evaluation.key");
    Files.write(file, lookups.keyFile());
    Row registered = sql("CALL fhe.register_key('" + file + "')").get(0);
    assertEquals(lookups.key().id(), registered.getString(0));
    assertEquals("evaluation", registered.getString(1));
    assertEquals(lookups.keyFile().length, registered.getLong(3));
    assertEquals(List.of(registered), sql("CALL fhe.list_keys()"));
    byte[] result = (byte[]) sql(query).get(0).get(0);
    LookupResultsSpec results =
        new LookupResultsSpec(
            CircuitDigest.of(lookups.circuitFile()),
            LookupLayer.PARAMETERS,
            new double[] {1, 1},
            new float[0]);
    try (LookupClient reader = LookupClient.withKey(results, lookups.key());
        LookupCircuit clear = LookupCircuit.open(lookups.circuitFile())) {
      long[] found = reader.decryptPhases(result, 7);
      long[] expected =
          clear.phases(
              lookups.client().quantize(LookupLayer.records(), new float[LookupLayer.RECORDS]));
      assertEquals(2 * LookupLayer.RECORDS, found.length);
      for (int i = 0; i < found.length; i++) {
        assertEquals(expected[i] * 0x1p-64, found[i] * 0x1p-64, 0.05);
      }
    }
    sql("CALL fhe.drop_key('" + lookups.key().id() + "')");
    assertRefused(query, "no evaluation key");
  }

  @Test
  void circuitsThatRerandomizeTakeThePublicKeyOfTheBlocksClient() throws IOException {
    assertTrue(register("guarded", "guarded").get(0).getBoolean(7));
    ByteBuffer records = guarded.records(5, 1);
    blocks(guarded.encrypt(records, 0));
    String query = "SELECT fhe.guarded_seq_0(block) FROM blocks";
    assertRefused(
        query, "no public key", guarded.key().id(), "none is", "with the client's public.key");
    try (ClientKey stranger = ClientKey.generate(new byte[32], List.of(GUARDED.secretKeyShape()))) {
      Files.write(folder.resolve("other.key"), publicKey(stranger));
      sql("CALL fhe.register_key('" + folder.resolve("other.key") + "')");
      assertRefused(query, guarded.key().id(), "only of " + stranger.id());
    }
    Files.write(folder.resolve("public.key"), publicKey(guarded.key()));
    Row registered = sql("CALL fhe.register_key('" + folder.resolve("public.key") + "')").get(0);
    assertEquals(
        List.of(guarded.key().id(), "public"), List.of(registered.get(0), registered.get(1)));
    assertEquals(2, sql("CALL fhe.list_keys()").size());
    assertArrayEquals(
        guarded.accumulate(records),
        guarded.client().decryptAccumulators((byte[]) sql(query).get(0).get(0)));
    Broadcast<?> sent =
        RegisteredModels.of(spark.sparkContext()).keys().stream()
            .filter(key -> key.key().equals(guarded.key().id()))
            .findFirst()
            .orElseThrow()
            .file();
    assertEquals(1, sql("CALL fhe.drop_key('" + guarded.key().id() + "')").get(0).getInt(0));
    assertThrows(Exception.class, sent::value);
    assertRefused(query, "no public key");
    byte[] damaged = publicKey(guarded.key());
    damaged[damaged.length / 2] ^= 1;
    Files.write(folder.resolve("damaged.key"), damaged);
    assertRefused(
        "CALL fhe.register_key('" + folder.resolve("damaged.key") + "')", "damaged.key: ");
  }

  private static byte[] publicKey(ClientKey key) {
    return key.publicKey(List.of(GUARDED.secretKeyShape()));
  }

  @Test
  void aBlockOfAnotherVersionIsRefusedWithBoth() {
    register("digits", "two");
    byte[] block = layer.encrypt(layer.records(5, 1), 0);
    ByteBuffer fields = ByteBuffer.wrap(block).order(ByteOrder.LITTLE_ENDIAN);
    fields.putShort(4, (short) (BlockHeader.FORMAT_VERSION + 1));
    CRC32C checksum = new CRC32C();
    checksum.update(block, 0, BlockHeader.BYTES - 4);
    fields.putInt(BlockHeader.BYTES - 4, (int) checksum.getValue());
    blocks(block);
    assertRefused("SELECT fhe.digits_seq_0(block) FROM blocks", "version 5", "version 4");
  }

  @Test
  void keysComeFromTablesTooAndBadOnesAreRefused() {
    StructType column = new StructType().add("key", DataTypes.BinaryType);
    spark
        .createDataFrame(List.of(RowFactory.create((Object) lookups.keyFile())), column)
        .createOrReplaceTempView("my_keys");
    assertEquals(
        lookups.key().id(), sql("CALL fhe.register_key(table => 'my_keys')").get(0).getString(0));
    assertRefused("CALL fhe.register_key()", "either a path or a table");
    assertRefused("CALL fhe.register_key(table => 'blocks')", "one column, of type BINARY");
    assertRefused("CALL fhe.register_key('" + folder.resolve("no.key") + "')", "no such file");
    assertRefused(
        "CALL fhe.register_key('" + folder.resolve("one/server.json") + "')",
        "server.json",
        "evaluation key");
    assertRefused("CALL fhe.drop_key('00')", "client key 00");
  }
}
