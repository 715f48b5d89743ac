package org.fhespark.udf;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoSerializable;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import java.io.Serializable;
import org.fhespark.nativelib.CircuitDigest;

/**
 * A circuit as it is broadcast: the immutable bytes of its file, whose SHA-256 names it.
 *
 * <p>The prepared weights are not in here: broadcast values live on the heap and are softly
 * referenced. {@link CircuitRegistry} keeps them, one copy a JVM.
 */
public final class Circuit implements Serializable, KryoSerializable {
  private static final long serialVersionUID = 1L;

  private byte[] file;
  private transient volatile CircuitDigest digest;

  /** For Kryo. */
  @SuppressWarnings("unused")
  private Circuit() {}

  public Circuit(byte[] file) {
    this.file = file.clone();
  }

  /** SHA-256 of the bytes, computed from them wherever they arrive. */
  public CircuitDigest digest() {
    CircuitDigest known = digest;
    if (known == null) {
      known = CircuitDigest.of(file);
      digest = known;
    }
    return known;
  }

  byte[] file() {
    return file;
  }

  /** Size of the circuit, in bytes. */
  public int length() {
    return file.length;
  }

  @Override
  public void write(Kryo kryo, Output output) {
    output.writeInt(file.length);
    output.writeBytes(file);
  }

  @Override
  public void read(Kryo kryo, Input input) {
    file = input.readBytes(input.readInt());
  }
}
