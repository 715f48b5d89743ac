package org.fhespark.jobs.server;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.apache.spark.connect.proto.AddArtifactsRequest;
import org.apache.spark.connect.proto.AddArtifactsResponse;
import org.apache.spark.connect.proto.AnalyzePlanRequest;
import org.apache.spark.connect.proto.CloneSessionRequest;
import org.apache.spark.connect.proto.Command;
import org.apache.spark.connect.proto.CommonInlineUserDefinedFunction;
import org.apache.spark.connect.proto.ConfigRequest;
import org.apache.spark.connect.proto.CreateDataFrameViewCommand;
import org.apache.spark.connect.proto.ExecutePlanRequest;
import org.apache.spark.connect.proto.ExecutePlanResponse;
import org.apache.spark.connect.proto.Expression;
import org.apache.spark.connect.proto.Filter;
import org.apache.spark.connect.proto.KeyValue;
import org.apache.spark.connect.proto.LocalRelation;
import org.apache.spark.connect.proto.MapPartitions;
import org.apache.spark.connect.proto.Plan;
import org.apache.spark.connect.proto.Project;
import org.apache.spark.connect.proto.PythonUDF;
import org.apache.spark.connect.proto.Read;
import org.apache.spark.connect.proto.Relation;
import org.apache.spark.connect.proto.SQL;
import org.apache.spark.connect.proto.SparkConnectServiceGrpc;
import org.apache.spark.connect.proto.SparkConnectServiceGrpc.SparkConnectServiceBlockingStub;
import org.apache.spark.connect.proto.SparkConnectServiceGrpc.SparkConnectServiceStub;
import org.apache.spark.connect.proto.SqlCommand;
import org.apache.spark.connect.proto.UserContext;
import org.apache.spark.connect.proto.WriteOperation;
import org.apache.spark.sql.SparkSession;
import org.fhespark.jobs.client.Digits;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.sparkproject.connect.grpc.ClientInterceptor;
import org.sparkproject.connect.grpc.ManagedChannel;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.Status;
import org.sparkproject.connect.grpc.StatusRuntimeException;
import org.sparkproject.connect.grpc.netty.NettyChannelBuilder;
import org.sparkproject.connect.grpc.stub.MetadataUtils;
import org.sparkproject.connect.grpc.stub.StreamObserver;
import org.sparkproject.connect.protobuf.ByteString;

/** Whoever has the token of `fhe-spark serve` asks for more than blocks. */
class BlocksOnlyTest {
  private static final String TOKEN = "a token of somebody curious";
  private static final UserContext USER =
      UserContext.newBuilder().setUserId("u").setUserName("u").build();

  private static ServedModels server;
  private static ManagedChannel channel;
  private static SparkConnectServiceBlockingStub spark;
  private static SparkConnectServiceStub streaming;
  private static String session;
  private static Path secret;

  @BeforeAll
  static void serve() throws Exception {
    SparkSession local = Digits.session();
    Path compiled = Digits.compiled(local);
    local.stop();
    Path folder = Digits.newFolder("curious");
    secret = Files.writeString(folder.resolve("secret.txt"), "what the server can read\n");
    Path token = Files.writeString(folder.resolve("token"), TOKEN + "\n");
    server = ServedModels.start(0, token, List.of(compiled.resolve("server").toString()));
    channel = NettyChannelBuilder.forAddress("localhost", server.port()).usePlaintext().build();
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("Authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + TOKEN);
    ClientInterceptor authorized = MetadataUtils.newAttachHeadersInterceptor(headers);
    spark = SparkConnectServiceGrpc.newBlockingStub(channel).withInterceptors(authorized);
    streaming = SparkConnectServiceGrpc.newStub(channel).withInterceptors(authorized);
    session = UUID.randomUUID().toString();
  }

  @AfterAll
  static void stop() throws Exception {
    channel.shutdownNow();
    server.close();
  }

  private static void assertRefused(String what, Runnable request) {
    StatusRuntimeException error =
        assertThrows(StatusRuntimeException.class, request::run, "was answered: " + what);
    assertEquals(Status.Code.PERMISSION_DENIED, error.getStatus().getCode(), error.getMessage());
    String line = error.getStatus().getDescription();
    assertTrue(line.contains(what), what + " is not in: " + line);
    assertEquals(1, line.lines().count(), line);
  }

  private static Iterator<ExecutePlanResponse> run(Plan plan) {
    Iterator<ExecutePlanResponse> answers =
        spark.executePlan(
            ExecutePlanRequest.newBuilder()
                .setSessionId(session)
                .setUserContext(USER)
                .setPlan(plan)
                .build());
    answers.hasNext();
    return answers;
  }

  private static void assertRefused(String what, Relation relation) {
    assertRefused(what, () -> run(Plan.newBuilder().setRoot(relation).build()));
    // Whatever it is wrapped in, and whatever is asked of it.
    Relation project =
        Relation.newBuilder().setProject(Project.newBuilder().setInput(relation)).build();
    assertRefused(what, () -> run(Plan.newBuilder().setRoot(project).build()));
    assertRefused(
        what,
        command(
            Command.newBuilder()
                .setCreateDataframeView(
                    CreateDataFrameViewCommand.newBuilder()
                        .setName("fhe_client_key")
                        .setInput(relation))));
    assertRefused(
        what,
        () ->
            spark.analyzePlan(
                AnalyzePlanRequest.newBuilder()
                    .setSessionId(session)
                    .setUserContext(USER)
                    .setSchema(
                        AnalyzePlanRequest.Schema.newBuilder()
                            .setPlan(Plan.newBuilder().setRoot(relation)))
                    .build()));
  }

  private static void assertRefused(String what, Expression.Builder expression) {
    assertRefused(
        what,
        Relation.newBuilder()
            .setProject(
                Project.newBuilder()
                    .setInput(
                        Relation.newBuilder()
                            .setLocalRelation(LocalRelation.newBuilder().setSchema("block BINARY")))
                    .addExpressions(expression))
            .build());
  }

  private static Runnable command(Command.Builder command) {
    return () -> run(Plan.newBuilder().setCommand(command).build());
  }

  private static Runnable sql(String query) {
    return command(
        Command.newBuilder()
            .setSqlCommand(
                SqlCommand.newBuilder()
                    .setInput(Relation.newBuilder().setSql(SQL.newBuilder().setQuery(query)))));
  }

  @Test
  void whatModeRemoteAsksIsAnswered() {
    assertTrue(
        run(Plan.newBuilder()
                .setCommand(
                    Command.newBuilder()
                        .setSqlCommand(
                            SqlCommand.newBuilder()
                                .setInput(
                                    Relation.newBuilder()
                                        .setSql(SQL.newBuilder().setQuery("CALL fhe.list()")))))
                .build())
            .hasNext());
  }

  /** As Spark's own JVM client does. */
  @SuppressWarnings("deprecation")
  private static SqlCommand.Builder plainSql(String query) {
    return SqlCommand.newBuilder().setSql(query);
  }

  @Test
  void filesAreNotRead() {
    Read.DataSource files =
        Read.DataSource.newBuilder().setFormat("text").addPaths(secret.toString()).build();
    assertRefused(
        "Relation.read",
        Relation.newBuilder().setRead(Read.newBuilder().setDataSource(files)).build());
    assertRefused(
        "Relation.read",
        Relation.newBuilder()
            .setRead(
                Read.newBuilder()
                    .setNamedTable(
                        Read.NamedTable.newBuilder()
                            .setUnparsedIdentifier("text.`" + secret + "`")))
            .build());
    for (String query :
        List.of(
            "SELECT * FROM text.`" + secret + "`",
            "CALL fhe.register('x', '" + secret.getParent() + "')",
            "CALL fhe.register_key('" + secret + "')",
            "CALL fhe.register_key(table => 'text.`" + secret + "`')",
            "CALL fhe.list() -- and\nSELECT 1",
            "ADD JAR '" + secret + "'",
            "SET spark.sql.ansi.enabled=false",
            "CREATE TEMPORARY FUNCTION f AS 'java.lang.Runtime'",
            "SHOW TABLES")) {
      assertRefused("SQL.query", sql(query));
      assertRefused("SqlCommand.sql", command(Command.newBuilder().setSqlCommand(plainSql(query))));
      assertRefused(
          "SQL.query", Relation.newBuilder().setSql(SQL.newBuilder().setQuery(query)).build());
    }
    assertRefused(
        "Command.write_operation",
        command(
            Command.newBuilder().setWriteOperation(WriteOperation.newBuilder().setPath("/tmp/x"))));
  }

  @Test
  void codeIsNotRun() {
    CommonInlineUserDefinedFunction python =
        CommonInlineUserDefinedFunction.newBuilder()
            .setFunctionName("f")
            .setPythonUdf(PythonUDF.newBuilder().setCommand(ByteString.copyFromUtf8("code")))
            .build();
    assertRefused(
        "Expression.common_inline_user_defined_function",
        Expression.newBuilder().setCommonInlineUserDefinedFunction(python));
    assertRefused(
        "Command.register_function", command(Command.newBuilder().setRegisterFunction(python)));
    assertRefused(
        "Relation.map_partitions",
        Relation.newBuilder().setMapPartitions(MapPartitions.newBuilder().setFunc(python)).build());
    for (String function : List.of("reflect", "java_method", "fhe.f`(1)", "spark_catalog.fhe.f")) {
      assertRefused(
          "UnresolvedFunction.function_name \"" + function,
          Expression.newBuilder()
              .setUnresolvedFunction(
                  Expression.UnresolvedFunction.newBuilder().setFunctionName(function)));
    }
    assertRefused(
        "Expression.expression_string",
        Expression.newBuilder()
            .setExpressionString(
                Expression.ExpressionString.newBuilder()
                    .setExpression("reflect('java.lang.System', 'getenv')")));
    assertRefused("Relation.filter", Relation.newBuilder().setFilter(Filter.newBuilder()).build());
  }

  @Test
  void settingsAndSessionsStayAsTheyAre() {
    assertRefused(
        "ConfigRequest.Set",
        config(
            ConfigRequest.Operation.newBuilder()
                .setSet(
                    ConfigRequest.Set.newBuilder()
                        .addPairs(
                            KeyValue.newBuilder()
                                .setKey("spark.sql.catalog.fhe")
                                .setValue("x.Y")))));
    // Not even one that clients read.
    assertRefused(
        "ConfigRequest.Set",
        config(
            ConfigRequest.Operation.newBuilder()
                .setSet(
                    ConfigRequest.Set.newBuilder()
                        .addPairs(
                            KeyValue.newBuilder()
                                .setKey("spark.sql.session.localRelationSizeLimit")
                                .setValue("999999999999")))));
    assertRefused(
        "ConfigRequest.Get.keys \"spark.hadoop.fs.s3a.secret.key",
        config(
            ConfigRequest.Operation.newBuilder()
                .setGet(ConfigRequest.Get.newBuilder().addKeys("spark.hadoop.fs.s3a.secret.key"))));
    assertRefused(
        "ConfigRequest.Operation.get_all",
        config(
            ConfigRequest.Operation.newBuilder()
                .setGetAll(ConfigRequest.GetAll.getDefaultInstance())));
    assertRefused(
        "CloneSessionRequest",
        () ->
            spark.cloneSession(
                CloneSessionRequest.newBuilder()
                    .setSessionId(session)
                    .setUserContext(USER)
                    .build()));
    assertRefused(
        "AnalyzePlanRequest.spark_version",
        () ->
            spark.analyzePlan(
                AnalyzePlanRequest.newBuilder()
                    .setSessionId(session)
                    .setUserContext(USER)
                    .setSparkVersion(AnalyzePlanRequest.SparkVersion.getDefaultInstance())
                    .build()));
  }

  private static Runnable config(ConfigRequest.Operation.Builder operation) {
    return () ->
        spark.config(
            ConfigRequest.newBuilder()
                .setSessionId(session)
                .setUserContext(USER)
                .setOperation(operation)
                .build());
  }

  @Test
  void artifactsAreBlocksAlone() throws Exception {
    for (String name : List.of("jars/x.jar", "classes/X.class", "pyfiles/x.py", "files/x")) {
      assertRefused("SingleChunkArtifact.name \"" + name, add(batch(name)));
      assertRefused("BeginChunkedArtifact.name \"" + name, add(chunked(name)));
    }
    String block = "cache/" + "0".repeat(64);
    assertRefused("SingleChunkArtifact.name \"" + block + "/..", add(batch(block + "/../jars/x")));
    // After one that is allowed.
    assertRefused("SingleChunkArtifact.name", add(batch(block), batch("jars/x.jar")));
  }

  private static AddArtifactsRequest batch(String name) {
    return artifacts()
        .setBatch(
            AddArtifactsRequest.Batch.newBuilder()
                .addArtifacts(AddArtifactsRequest.SingleChunkArtifact.newBuilder().setName(name)))
        .build();
  }

  private static AddArtifactsRequest chunked(String name) {
    return artifacts()
        .setBeginChunk(
            AddArtifactsRequest.BeginChunkedArtifact.newBuilder().setName(name).setNumChunks(2))
        .build();
  }

  private static AddArtifactsRequest.Builder artifacts() {
    return AddArtifactsRequest.newBuilder().setSessionId(session).setUserContext(USER);
  }

  /** Sends them as one stream, and fails as the server answers. */
  private static Runnable add(AddArtifactsRequest... requests) {
    return () -> {
      CompletableFuture<Void> end = new CompletableFuture<>();
      StreamObserver<AddArtifactsRequest> stream =
          streaming.addArtifacts(
              new StreamObserver<AddArtifactsResponse>() {
                @Override
                public void onNext(AddArtifactsResponse answer) {}

                @Override
                public void onError(Throwable error) {
                  end.completeExceptionally(error);
                }

                @Override
                public void onCompleted() {
                  end.complete(null);
                }
              });
      for (AddArtifactsRequest request : requests) {
        stream.onNext(request);
      }
      stream.onCompleted();
      try {
        end.join();
      } catch (CompletionException error) {
        throw (StatusRuntimeException) error.getCause();
      }
    };
  }
}
