package org.fhespark.udf;

import com.esotericsoftware.kryo.Kryo;
import org.apache.spark.serializer.KryoRegistrator;

/**
 * Every class of ours that Spark serialises with Kryo; jobs run with {@code
 * spark.kryo.registrationRequired=true}.
 */
public final class FheKryoRegistrator implements KryoRegistrator {
  @Override
  public void registerClasses(Kryo kryo) {
    kryo.register(Circuit.class);
    kryo.register(byte[][].class);
  }
}
