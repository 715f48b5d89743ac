package org.fhespark.udf;

import com.esotericsoftware.kryo.Kryo;
import java.util.List;
import org.apache.spark.serializer.KryoRegistrator;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.catalyst.expressions.GenericRow;
import org.apache.spark.sql.catalyst.expressions.GenericRowWithSchema;
import org.apache.spark.sql.execution.streaming.sinks.SinkFileStatus;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.PreparedMask;

/**
 * What Spark serialises with Kryo in a session of ours, with {@code
 * spark.kryo.registrationRequired=true}: our classes, and those of Spark SQL that it does not
 * register itself.
 */
public final class FheKryoRegistrator implements KryoRegistrator {
  @Override
  public void registerClasses(Kryo kryo) {
    kryo.register(Circuit.class);
    kryo.register(byte[][].class);
    kryo.register(EncryptedBlock.class);
    kryo.register(EncryptedBlock[].class);
    kryo.register(EvaluationKeyBytes.class);
    kryo.register(PublicKeyBytes.class);
    // Registered so that their own refusals are what the user reads.
    kryo.register(ClientKey.class);
    kryo.register(MaskOrder.class);
    kryo.register(PreparedMask.class);
    // What a task says of the files that it wrote for a streaming query.
    kryo.register(SinkFileStatus.class);
    registerSqlTypes(kryo);
  }

  private static void registerSqlTypes(Kryo kryo) {
    List.of(
            DataTypes.BinaryType,
            DataTypes.BooleanType,
            DataTypes.ByteType,
            DataTypes.DateType,
            DataTypes.DoubleType,
            DataTypes.FloatType,
            DataTypes.IntegerType,
            DataTypes.LongType,
            DataTypes.NullType,
            DataTypes.ShortType,
            DataTypes.StringType,
            DataTypes.TimestampType)
        .forEach(type -> kryo.register(type.getClass()));
    for (Class<?> type :
        List.of(
            ArrayType.class,
            DecimalType.class,
            MapType.class,
            Metadata.class,
            StructField.class,
            StructField[].class,
            StructType.class,
            Row[].class,
            GenericRow.class,
            GenericRowWithSchema.class,
            Float[].class,
            Double[].class,
            Long[].class,
            Integer[].class)) {
      kryo.register(type);
    }
  }
}
