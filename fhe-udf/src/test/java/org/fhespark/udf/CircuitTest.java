package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import org.apache.spark.SparkConf;
import org.apache.spark.serializer.JavaSerializer;
import org.apache.spark.serializer.KryoSerializer;
import org.apache.spark.serializer.SerializerInstance;
import org.fhespark.nativelib.PackedCircuit;
import org.junit.jupiter.api.Test;
import scala.reflect.ClassTag;
import scala.reflect.ClassTag$;

class CircuitTest {
  private static final ClassTag<Circuit> CIRCUIT = ClassTag$.MODULE$.apply(Circuit.class);
  private static final ClassTag<byte[][]> BLOCKS = ClassTag$.MODULE$.apply(byte[][].class);

  private static Circuit circuit() {
    return new Circuit(
        PackedCircuit.encode(Layer.PARAMETERS, "fc", 2, 1, new byte[] {(byte) -128 + 1, 3}));
  }

  private static SerializerInstance kryo() {
    SparkConf conf =
        new SparkConf()
            .set("spark.kryo.registrator", FheKryoRegistrator.class.getName())
            .set("spark.kryo.registrationRequired", "true");
    return new KryoSerializer(conf).newInstance();
  }

  private static Circuit roundTrip(SerializerInstance serializer, Circuit circuit) {
    ByteBuffer bytes = serializer.serialize(circuit, CIRCUIT);
    return serializer.deserialize(bytes, CIRCUIT);
  }

  @Test
  void aCircuitPassesKryoWithRegistrationRequired() {
    Circuit circuit = circuit();
    // Before, so that a digest that were sent along would show.
    String digest = circuit.digest().hex();
    Circuit copy = roundTrip(kryo(), circuit);
    assertArrayEquals(circuit.file(), copy.file());
    assertEquals(digest, copy.digest().hex());
  }

  @Test
  void aCircuitPassesJavaSerialisation() {
    Circuit circuit = circuit();
    Circuit copy = roundTrip(new JavaSerializer(new SparkConf()).newInstance(), circuit);
    assertArrayEquals(circuit.file(), copy.file());
    assertEquals(circuit.digest(), copy.digest());
  }

  @Test
  void arraysOfBlocksPassKryoWithRegistrationRequired() {
    byte[][] blocks = {{1, 2}, {}, {3}};
    SerializerInstance serializer = kryo();
    assertArrayEquals(blocks, serializer.deserialize(serializer.serialize(blocks, BLOCKS), BLOCKS));
  }

  @Test
  void aCircuitDoesNotChangeWithTheBytesItWasMadeOf() {
    byte[] file = circuit().file().clone();
    Circuit circuit = new Circuit(file);
    String before = circuit().digest().hex();
    file[0] ^= 1;
    assertEquals(before, circuit.digest().hex());
  }
}
