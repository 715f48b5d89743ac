package org.fhespark.sql;

import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.LeveledParameters;
import org.fhespark.sql.CatalogProcedure.Parameter;
import org.fhespark.udf.BlockHeader;

/** The procedures of the catalog. */
final class Procedures {
  private static final StructType CIRCUITS =
      new StructType()
          .add("model", DataTypes.StringType, false)
          .add("function", DataTypes.StringType, false)
          .add("module", DataTypes.StringType, false)
          .add("circuit", DataTypes.StringType, false)
          .add("inputs", DataTypes.IntegerType, false)
          .add("outputs", DataTypes.IntegerType, false)
          .add("lookups", DataTypes.BooleanType, false)
          .add("rerandomizes", DataTypes.BooleanType, false)
          .add("leveled", DataTypes.BooleanType, false);

  private static final StructType KEYS =
      new StructType()
          .add("key", DataTypes.StringType, false)
          .add("kind", DataTypes.StringType, false)
          .add("file", DataTypes.StringType, false)
          .add("bytes", DataTypes.LongType, false);

  static final List<CatalogProcedure> ALL =
      List.of(
          new CatalogProcedure(
              "register",
              "Registers all circuits of a server artefact, as functions MODEL_MODULE",
              List.of(
                  new Parameter("model", false, "name of the model"),
                  new Parameter("server", false, "folder of the server artefact")),
              CIRCUITS,
              (spark, models, arguments) ->
                  circuits(models.register(arguments[0], new Path(arguments[1])))),
          new CatalogProcedure(
              "list",
              "Lists all registered circuits",
              List.of(),
              CIRCUITS,
              (spark, models, arguments) -> circuits(models.circuits())),
          new CatalogProcedure(
              "drop",
              "Drops a model's circuits",
              List.of(new Parameter("model", false, "name of the model")),
              new StructType().add("function", DataTypes.StringType, false),
              (spark, models, arguments) ->
                  models.drop(arguments[0]).stream().map(name -> new Object[] {name}).toList()),
          new CatalogProcedure(
              "register_key",
              "Registers a client's evaluation or public key: a file, or a table with a BINARY column of keys",
              List.of(
                  new Parameter("path", true, "file of the key"),
                  new Parameter("table", true, "table or view of one BINARY column, a key a row")),
              KEYS,
              (spark, models, arguments) ->
                  keys(registerKeys(spark, models, arguments[0], arguments[1]))),
          new CatalogProcedure(
              "list_keys",
              "Lists all registered evaluation and public keys",
              List.of(),
              KEYS,
              (spark, models, arguments) -> keys(models.keys())),
          new CatalogProcedure(
              "drop_key",
              "Drops the evaluation and public keys of a client key",
              List.of(new Parameter("key", false, "id of the client key, in hexadecimal")),
              new StructType().add("dropped", DataTypes.IntegerType, false),
              (spark, models, arguments) ->
                  List.<Object[]>of(new Object[] {models.dropKey(arguments[0])})),
          new CatalogProcedure(
              "about",
              "Tells the versions of catalog and blocks, and how many blocks are evaluated at a time",
              List.of(),
              new StructType()
                  .add("version", DataTypes.IntegerType, false)
                  .add("block_version", DataTypes.IntegerType, false)
                  .add("parallelism", DataTypes.IntegerType, false),
              (spark, models, arguments) ->
                  List.<Object[]>of(
                      new Object[] {
                        FheCatalog.VERSION,
                        BlockHeader.FORMAT_VERSION,
                        JavaSparkContext.fromSparkContext(spark.sparkContext()).defaultParallelism()
                      })));

  private Procedures() {}

  private static List<Object[]> circuits(List<RegisteredCircuit> circuits) {
    return circuits.stream()
        .map(
            circuit ->
                new Object[] {
                  circuit.model(),
                  circuit.function(),
                  circuit.module(),
                  circuit.digest(),
                  circuit.inputs(),
                  circuit.outputs(),
                  circuit.keyed().filter(BootstrapParameters.class::isInstance).isPresent(),
                  circuit.rerandomizes(),
                  circuit.keyed().filter(LeveledParameters.class::isInstance).isPresent()
                })
        .toList();
  }

  private static List<Object[]> keys(List<RegisteredKey> keys) {
    return keys.stream()
        .map(key -> new Object[] {key.key(), key.kind(), key.digest(), key.bytes()})
        .toList();
  }

  private static List<RegisteredKey> registerKeys(
      SparkSession spark, RegisteredModels models, String path, String table) {
    if ((path == null) == (table == null)) {
      throw new InvalidInputException("register_key: give either a path or a table");
    }
    if (path != null) {
      return List.of(models.registerKey(new Path(path)));
    }
    Dataset<Row> rows = spark.table(table);
    if (rows.schema().length() != 1
        || !rows.schema().apply(0).dataType().equals(DataTypes.BinaryType)) {
      throw new InvalidInputException(
          "register_key: table "
              + table
              + " must have one column, of type BINARY, and has "
              + rows.schema().catalogString());
    }
    List<RegisteredKey> registered = new ArrayList<>();
    for (Row row : rows.collectAsList()) {
      if (row.isNullAt(0)) {
        throw new InvalidInputException("register_key: a key in table " + table + " is NULL");
      }
      registered.add(models.registerKey((byte[]) row.get(0)));
    }
    return registered;
  }
}
