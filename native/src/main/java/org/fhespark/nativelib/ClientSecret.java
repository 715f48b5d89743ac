package org.fhespark.nativelib;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.KryoSerializable;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import java.io.IOException;
import java.io.NotSerializableException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.io.Serializable;

/**
 * What must not leave the client's process; it lives in native memory that is wiped on close.
 *
 * <p>It is {@link Serializable} only to say no: a closure that captures it fails on the driver with
 * a message that tells why, instead of a bare {@link NotSerializableException}. Kryo is refused in
 * the same way.
 */
abstract class ClientSecret implements AutoCloseable, Serializable, KryoSerializable {
  private static final long serialVersionUID = 1L;

  /** Why no serialiser gets this class. */
  abstract String refusal();

  @Override
  public abstract void close();

  private void writeObject(ObjectOutputStream out) throws IOException {
    throw new NotSerializableException(refusal());
  }

  private void readObject(ObjectInputStream in) throws IOException {
    throw new NotSerializableException(refusal());
  }

  @Override
  public final void write(Kryo kryo, Output output) {
    throw new KryoException(refusal());
  }

  @Override
  public final void read(Kryo kryo, Input input) {
    throw new KryoException(refusal());
  }
}
