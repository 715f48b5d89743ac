package org.fhespark.sql;

import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.catalog.procedures.BoundProcedure;
import org.apache.spark.sql.connector.catalog.procedures.ProcedureParameter;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.fhespark.InvalidInputException;

/** A procedure of text arguments that answers with one table, made when it is called. */
final class CatalogProcedure implements UnboundProcedure, BoundProcedure {
  private final String name;
  private final String description;
  private final List<Parameter> parameters;
  private final StructType columns;
  private final Work work;

  /** A parameter, of type STRING. */
  record Parameter(String name, boolean isOptional, String comment) {
    private ProcedureParameter toSpark() {
      ProcedureParameter.Builder parameter =
          ProcedureParameter.in(name, DataTypes.StringType).comment(comment);
      return (isOptional ? parameter.defaultValue("NULL") : parameter).build();
    }
  }

  /** What a procedure does. */
  @FunctionalInterface
  interface Work {
    /**
     * Runs on the driver.
     *
     * @param arguments in the order of the parameters; null where an optional one is left out
     * @return rows of strings, boxed numbers and booleans
     */
    List<Object[]> call(SparkSession spark, RegisteredModels models, String[] arguments);
  }

  CatalogProcedure(
      String name, String description, List<Parameter> parameters, StructType columns, Work work) {
    this.name = name;
    this.description = description;
    this.parameters = parameters;
    this.columns = columns;
    this.work = work;
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public String description() {
    return description;
  }

  @Override
  public BoundProcedure bind(StructType arguments) {
    return this;
  }

  @Override
  public ProcedureParameter[] parameters() {
    return parameters.stream().map(Parameter::toSpark).toArray(ProcedureParameter[]::new);
  }

  @Override
  public boolean isDeterministic() {
    return false;
  }

  @Override
  public Iterator<Scan> call(InternalRow input) {
    String[] arguments = new String[parameters.size()];
    for (int i = 0; i < arguments.length; i++) {
      arguments[i] = input.isNullAt(i) ? null : input.getString(i);
      if (arguments[i] == null && !parameters.get(i).isOptional()) {
        throw new InvalidInputException(name + ": " + parameters.get(i).name() + " is NULL");
      }
    }
    SparkSession spark = SparkSession.active();
    RegisteredModels models = RegisteredModels.of(spark.sparkContext());
    List<Object[]> rows = work.call(spark, models, arguments);
    return List.<Scan>of(new Table(rows.stream().map(CatalogProcedure::row).toList(), columns))
        .iterator();
  }

  private static InternalRow row(Object[] values) {
    Object[] converted = values.clone();
    for (int i = 0; i < converted.length; i++) {
      if (converted[i] instanceof String text) {
        converted[i] = UTF8String.fromString(text);
      }
    }
    return new GenericInternalRow(converted);
  }

  private record Table(List<InternalRow> list, StructType readSchema) implements LocalScan {
    @Override
    public InternalRow[] rows() {
      return list.toArray(InternalRow[]::new);
    }
  }
}
