package org.fhespark.sql;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.analysis.NoSuchFunctionException;
import org.apache.spark.sql.catalyst.analysis.NoSuchNamespaceException;
import org.apache.spark.sql.connector.catalog.FunctionCatalog;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.ProcedureCatalog;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.fhespark.InvalidInputException;

/**
 * The catalog of circuits, for SQL on the cluster that evaluates them: {@code
 * spark.sql.catalog.fhe=org.fhespark.sql.FheCatalog}.
 *
 * <pre>{@code
 * CALL fhe.register(model => 'digits', server => 'hdfs:///models/digits/server');
 * SELECT number, fhe.digits_seq_0(block) AS block FROM blocks;
 * }</pre>
 *
 * <p>Sessions have a catalog each, and what is registered is of the Spark context: all sessions see
 * it. Nothing here knows a secret key.
 */
public final class FheCatalog implements FunctionCatalog, ProcedureCatalog {
  /** Of functions and procedures, which clients elsewhere rely on. */
  public static final int VERSION = 2;

  private String name;

  @Override
  public void initialize(String name, CaseInsensitiveStringMap options) {
    this.name = name;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public Identifier[] listFunctions(String[] namespace) throws NoSuchNamespaceException {
    if (namespace.length != 0) {
      throw new NoSuchNamespaceException(namespace);
    }
    List<Identifier> functions = new ArrayList<>();
    functions.add(identifier(FunctionNames.DESCRIBE));
    functions.add(identifier(FunctionNames.SUM));
    models().circuits().forEach(circuit -> functions.add(identifier(circuit.function())));
    return functions.toArray(Identifier[]::new);
  }

  @Override
  public UnboundFunction loadFunction(Identifier function) throws NoSuchFunctionException {
    String wanted = function.name().toLowerCase(Locale.ROOT);
    if (function.namespace().length == 0) {
      if (wanted.equals(FunctionNames.DESCRIBE)) {
        return new DescribeFunction();
      }
      if (wanted.equals(FunctionNames.SUM)) {
        return new SumFunction();
      }
      RegisteredModels models = models();
      Optional<RegisteredCircuit> circuit = models.circuit(wanted);
      if (circuit.isPresent()) {
        return new CircuitFunction(circuit.get(), models.keysFor(circuit.get()));
      }
    }
    throw new NoSuchFunctionException(function);
  }

  @Override
  public Identifier[] listProcedures(String[] namespace) {
    return namespace.length == 0
        ? Procedures.ALL.stream().map(each -> identifier(each.name())).toArray(Identifier[]::new)
        : new Identifier[0];
  }

  @Override
  public UnboundProcedure loadProcedure(Identifier procedure) {
    return Procedures.ALL.stream()
        .filter(each -> procedure.namespace().length == 0)
        .filter(each -> each.name().equalsIgnoreCase(procedure.name()))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "catalog "
                        + name
                        + " has no procedure "
                        + procedure
                        + ": it has "
                        + String.join(
                            ", ", Procedures.ALL.stream().map(CatalogProcedure::name).toList())));
  }

  private static RegisteredModels models() {
    return RegisteredModels.of(SparkSession.active().sparkContext());
  }

  private static Identifier identifier(String name) {
    return Identifier.of(new String[0], name);
  }
}
