package org.fhespark.jobs.server;

import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.catalog.Identifier;
import org.apache.spark.sql.connector.catalog.ProcedureCatalog;
import org.apache.spark.sql.connector.catalog.procedures.BoundProcedure;
import org.apache.spark.sql.connector.catalog.procedures.ProcedureParameter;
import org.apache.spark.sql.connector.catalog.procedures.UnboundProcedure;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.fhespark.sql.FheCatalog;
import org.fhespark.udf.BlockHeader;

/**
 * The catalog of a later release: {@link Newer} versions of procedures, {@link NewerBlocks} of
 * blocks.
 */
public abstract class LaterCatalog implements ProcedureCatalog {
  private final int version;
  private final int blockVersion;
  private final FheCatalog today = new FheCatalog();

  LaterCatalog(int version, int blockVersion) {
    this.version = version;
    this.blockVersion = blockVersion;
  }

  /** With other procedures. */
  public static final class Newer extends LaterCatalog {
    public Newer() {
      super(FheCatalog.VERSION + 1, BlockHeader.FORMAT_VERSION);
    }
  }

  /** With blocks of another format. */
  public static final class NewerBlocks extends LaterCatalog {
    public NewerBlocks() {
      super(FheCatalog.VERSION, BlockHeader.FORMAT_VERSION + 1);
    }
  }

  @Override
  public void initialize(String name, CaseInsensitiveStringMap options) {
    today.initialize(name, options);
  }

  @Override
  public String name() {
    return today.name();
  }

  @Override
  public Identifier[] listProcedures(String[] namespace) {
    return today.listProcedures(namespace);
  }

  @Override
  public UnboundProcedure loadProcedure(Identifier procedure) {
    UnboundProcedure found = today.loadProcedure(procedure);
    return found.name().equals("about") ? new About(found.bind(new StructType())) : found;
  }

  /** The same columns with other versions. */
  private final class About implements UnboundProcedure, BoundProcedure {
    private final BoundProcedure today;

    About(BoundProcedure today) {
      this.today = today;
    }

    @Override
    public String name() {
      return today.name();
    }

    @Override
    public String description() {
      return today.description();
    }

    @Override
    public BoundProcedure bind(StructType arguments) {
      return this;
    }

    @Override
    public ProcedureParameter[] parameters() {
      return today.parameters();
    }

    @Override
    public boolean isDeterministic() {
      return today.isDeterministic();
    }

    @Override
    public Iterator<Scan> call(InternalRow input) {
      LocalScan scan = (LocalScan) today.call(input).next();
      StructType columns = scan.readSchema();
      GenericInternalRow row = new GenericInternalRow(columns.length());
      for (int i = 0; i < columns.length(); i++) {
        row.update(i, scan.rows()[0].get(i, columns.apply(i).dataType()));
      }
      row.update(columns.fieldIndex("version"), version);
      row.update(columns.fieldIndex("block_version"), blockVersion);
      return List.<Scan>of(new Changed(columns, row)).iterator();
    }
  }

  private record Changed(StructType readSchema, InternalRow row) implements LocalScan {
    @Override
    public InternalRow[] rows() {
      return new InternalRow[] {row};
    }
  }
}
