package org.fhespark.udf;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoSerializable;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import java.io.Serializable;
import org.fhespark.nativelib.CircuitDigest;

/**
 * Immutable bytes of a file as they are broadcast, named by their SHA-256.
 *
 * <p>What is made of them in native memory is not in here: broadcast values live on the heap and
 * are softly referenced. {@link CircuitRegistry} keeps it, one copy a JVM.
 */
abstract class NamedBytes implements Serializable, KryoSerializable {
  private static final long serialVersionUID = 1L;

  private byte[] file;
  private transient volatile CircuitDigest digest;

  /** For Kryo. */
  NamedBytes() {}

  /** Takes the bytes, which must not change any more. */
  NamedBytes(byte[] file) {
    this.file = file;
  }

  /** SHA-256 of the bytes, computed from them wherever they arrive. */
  public final CircuitDigest digest() {
    CircuitDigest known = digest;
    if (known == null) {
      known = CircuitDigest.of(file);
      digest = known;
    }
    return known;
  }

  final byte[] file() {
    return file;
  }

  /** Their number. */
  public final int length() {
    return file.length;
  }

  @Override
  public final void write(Kryo kryo, Output output) {
    output.writeInt(file.length);
    output.writeBytes(file);
  }

  @Override
  public final void read(Kryo kryo, Input input) {
    file = input.readBytes(input.readInt());
  }
}
