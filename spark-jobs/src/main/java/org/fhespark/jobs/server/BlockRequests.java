package org.fhespark.jobs.server;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.sparkproject.connect.protobuf.Descriptors.FieldDescriptor;
import org.sparkproject.connect.protobuf.Message;

/**
 * What mode REMOTE asks a Spark Connect server for, and nothing else: functions of the catalog on
 * rows that come with the query, and keys. Fields of messages that are not listed here are refused,
 * and so are texts other than these.
 *
 * <p>Not looked into are the bytes of rows and the text of their schema, in which Spark allows
 * types that are classes of the server's class path, by their constructors without arguments.
 */
final class BlockRequests {
  private static final String PACKAGE = "spark.connect.";

  /**
   * Of a session or a query that is there already, and where a client's program built a query;
   * whatever they say.
   */
  private static final Set<String> WHOLE =
      Set.of(
          "ArtifactStatusesRequest",
          "FetchErrorDetailsRequest",
          "InterruptRequest",
          "Origin",
          "ReattachExecuteRequest",
          "ReleaseExecuteRequest",
          "ReleaseSessionRequest");

  /** Those that every request may have. */
  private static final Set<String> COMMON =
      Set.of(
          "session_id",
          "client_observed_server_side_session_id",
          "user_context",
          "client_type",
          "operation_id",
          "tags");

  private static final Map<String, Set<String>> FIELDS =
      Map.ofEntries(
          Map.entry("UserContext", Set.of("user_id", "user_name")),
          Map.entry("ExecutePlanRequest", Set.of("plan", "request_options")),
          Map.entry(
              "ExecutePlanRequest.RequestOption",
              Set.of("reattach_options", "result_chunking_options")),
          Map.entry("ReattachOptions", Set.of("reattachable")),
          Map.entry(
              "ResultChunkingOptions",
              Set.of("allow_arrow_batch_chunking", "preferred_arrow_chunk_size")),
          Map.entry("AnalyzePlanRequest", Set.of("schema")),
          Map.entry("AnalyzePlanRequest.Schema", Set.of("plan")),
          Map.entry("Plan", Set.of("root", "command")),
          Map.entry(
              "Relation",
              Set.of(
                  "common",
                  "project",
                  "sql",
                  "local_relation",
                  "cached_local_relation",
                  "chunked_cached_local_relation")),
          Map.entry("RelationCommon", Set.of("plan_id", "origin")),
          Map.entry("Project", Set.of("input", "expressions")),
          Map.entry("SQL", Set.of("query")),
          Map.entry("LocalRelation", Set.of("data", "schema")),
          Map.entry("CachedLocalRelation", Set.of("hash")),
          Map.entry("ChunkedCachedLocalRelation", Set.of("dataHashes", "schemaHash")),
          Map.entry("Expression", Set.of("common", "unresolved_attribute", "unresolved_function")),
          Map.entry("ExpressionCommon", Set.of("origin")),
          Map.entry("Expression.UnresolvedAttribute", Set.of("unparsed_identifier", "plan_id")),
          Map.entry(
              "Expression.UnresolvedFunction",
              Set.of("function_name", "arguments", "is_user_defined_function", "is_internal")),
          Map.entry("Command", Set.of("sql_command", "create_dataframe_view")),
          Map.entry("SqlCommand", Set.of("sql", "input")),
          Map.entry("CreateDataFrameViewCommand", Set.of("input", "name", "replace")),
          Map.entry("ConfigRequest", Set.of("operation")),
          Map.entry(
              "ConfigRequest.Operation", Set.of("set", "get", "get_with_default", "get_option")),
          Map.entry("ConfigRequest.Set", Set.of("pairs")),
          Map.entry("ConfigRequest.Get", Set.of("keys")),
          Map.entry("ConfigRequest.GetOption", Set.of("keys")),
          Map.entry("ConfigRequest.GetWithDefault", Set.of("pairs")),
          Map.entry("KeyValue", Set.of("key", "value")),
          Map.entry("AddArtifactsRequest", Set.of("batch", "begin_chunk", "chunk")),
          Map.entry("AddArtifactsRequest.Batch", Set.of("artifacts")),
          Map.entry("AddArtifactsRequest.SingleChunkArtifact", Set.of("name", "data")),
          Map.entry(
              "AddArtifactsRequest.BeginChunkedArtifact",
              Set.of("name", "total_bytes", "num_chunks", "initial_chunk")),
          Map.entry("AddArtifactsRequest.ArtifactChunk", Set.of("data", "crc")));

  private static final Pattern ARTIFACT = Pattern.compile("cache/\\p{XDigit}{64}");
  private static final Pattern CALL =
      Pattern.compile(
          "CALL fhe\\.(about\\(\\)|list\\(\\)|list_keys\\(\\)"
              + "|register_key\\(table => 'fhe_client_key'\\)"
              + "|drop_key\\('\\p{XDigit}{32}'\\))");

  /** That the client of Spark reads, or ours sets. */
  private static final Pattern SETTING =
      Pattern.compile(
          "spark\\.sql\\.(session\\.(localRelation\\w+|timeZone)|optimizer\\.excludedRules"
              + "|execution\\.arrow\\.useLargeVarTypes|timestampType)"
              + "|spark\\.connect\\.session\\.planCompression\\.\\w+");

  /** Texts that decide what is done; others only name or hold what came with the query. */
  private static final Map<String, Pattern> TEXTS =
      Map.of(
          "SQL.query",
          CALL,
          "SqlCommand.sql",
          CALL,
          "Expression.UnresolvedFunction.function_name",
          Pattern.compile("fhe\\.\\w+"),
          "CreateDataFrameViewCommand.name",
          Pattern.compile("fhe_client_key"),
          "ConfigRequest.Get.keys",
          SETTING,
          "ConfigRequest.GetOption.keys",
          SETTING,
          "KeyValue.key",
          SETTING,
          "KeyValue.value",
          Pattern.compile(
              "\\d+|org\\.apache\\.spark\\.sql\\.catalyst\\.optimizer\\.ConvertToLocalRelation"),
          "AddArtifactsRequest.SingleChunkArtifact.name",
          ARTIFACT,
          "AddArtifactsRequest.BeginChunkedArtifact.name",
          ARTIFACT);

  private static final List<String> OUR_SETTING =
      List.of(
          "spark.sql.optimizer.excludedRules",
          "org.apache.spark.sql.catalyst.optimizer.ConvertToLocalRelation");

  private BlockRequests() {}

  /**
   * The first thing in a request that is none of them.
   *
   * @return its name in Spark Connect's messages; empty if there is none
   */
  static Optional<String> foreign(Message request) {
    return foreignIn(request, COMMON);
  }

  private static Optional<String> foreignIn(Message message, Set<String> common) {
    String type = nameOf(message);
    if (WHOLE.contains(type)) {
      return Optional.empty();
    }
    if (type.equals("ConfigRequest.Set") && !isOurSetting(message)) {
      return Optional.of(type);
    }
    Set<String> known = FIELDS.get(type);
    if (known == null) {
      return Optional.of(type);
    }
    for (Map.Entry<FieldDescriptor, Object> field : message.getAllFields().entrySet()) {
      String name = field.getKey().getName();
      if (!known.contains(name) && !common.contains(name)) {
        return Optional.of(type + "." + name);
      }
      Pattern allowed = TEXTS.get(type + "." + name);
      Object value = field.getValue();
      for (Object each : value instanceof Collection<?> all ? all : List.of(value)) {
        if (allowed != null && !allowed.matcher((String) each).matches()) {
          return Optional.of(type + "." + name + " \"" + each + "\"");
        }
        Optional<String> inside =
            each instanceof Message part ? foreignIn(part, Set.of()) : Optional.empty();
        if (inside.isPresent()) {
          return inside;
        }
      }
    }
    return Optional.empty();
  }

  /** Only that of our client, which keeps the server from evaluating on its driver. */
  private static boolean isOurSetting(Message set) {
    return set.getAllFields().values().stream()
        .flatMap(value -> value instanceof Collection<?> all ? all.stream() : Stream.of(value))
        .filter(Message.class::isInstance)
        .allMatch(
            pair -> List.copyOf(((Message) pair).getAllFields().values()).equals(OUR_SETTING));
  }

  private static String nameOf(Message message) {
    String name = message.getDescriptorForType().getFullName();
    return name.startsWith(PACKAGE) ? name.substring(PACKAGE.length()) : name;
  }
}
