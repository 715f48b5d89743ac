package org.fhespark.udf;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoSerializable;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import org.fhespark.InvalidInputException;

/**
 * An encrypted block on its way between client and executors, in native memory: neither encryption
 * nor evaluation copies it, and it does not fill the heap.
 *
 * <p>Whoever uses it last closes it, and its memory serves the next one. A result closes itself
 * when it is sent, since nobody on the executor sees it after that: it can be serialised once. The
 * memory of a block that is lost is freed with it.
 *
 * <p>With a local master, Spark's tasks and results carry a ticket for the memory, not the bytes
 * ({@link LocalHandover}).
 */
public final class EncryptedBlock implements Externalizable, KryoSerializable, AutoCloseable {
  private static final long serialVersionUID = 1L;

  private static final ThreadLocal<byte[]> CHUNK = ThreadLocal.withInitial(() -> new byte[1 << 15]);

  private static final long NO_TICKET = 0;

  /** What follows in the serialised form. */
  private enum Form {
    BYTES,
    TICKET,
    TICKET_FOR_ONE
  }

  private SharedMemory memory;
  private boolean closesWhenSent;
  private long ticket = NO_TICKET;

  /** For serialisation. */
  public EncryptedBlock() {}

  private EncryptedBlock(SharedMemory memory, boolean closesWhenSent) {
    this.memory = memory;
    this.closesWhenSent = closesWhenSent;
  }

  /** A block of any content, to be filled through {@link #bytes}. */
  public static EncryptedBlock allocate(int length) {
    return new EncryptedBlock(pooled(length), false);
  }

  /** A block with these bytes. */
  public static EncryptedBlock copyOf(byte[] bytes) {
    EncryptedBlock block = allocate(bytes.length);
    block.bytes().put(bytes);
    return block;
  }

  /**
   * The result of a task, in memory of somebody else's that is released once the result is used.
   */
  static EncryptedBlock result(ByteBuffer bytes, Runnable release) {
    return new EncryptedBlock(new SharedMemory(bytes, release), true);
  }

  private static SharedMemory pooled(int length) {
    ByteBuffer whole = DirectMemory.shared().take(length);
    return new SharedMemory(whole.slice(0, length), () -> DirectMemory.shared().giveBack(whole));
  }

  /**
   * Its bytes, from the start; direct memory, valid until the block is closed, and only as long as
   * it is reachable.
   *
   * @throws IllegalStateException if it is closed
   */
  public ByteBuffer bytes() {
    return memory().bytes();
  }

  private synchronized SharedMemory memory() {
    if (memory == null) {
      throw new IllegalStateException("this encrypted block is closed");
    }
    return memory;
  }

  /** Its length in bytes. */
  public int length() {
    return bytes().capacity();
  }

  /** A copy of its bytes. */
  public byte[] toByteArray() {
    try {
      byte[] copy = new byte[length()];
      bytes().get(copy);
      return copy;
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** Gives its memory back, unless another block looks at it; closing twice does nothing. */
  @Override
  public void close() {
    SharedMemory left;
    synchronized (this) {
      left = memory;
      memory = null;
    }
    if (left != null) {
      LocalHandover.shared().withdraw(ticket);
      left.leave();
    }
  }

  private synchronized long ticket() {
    if (ticket == NO_TICKET) {
      ticket = LocalHandover.shared().deposit(memory());
    }
    return ticket;
  }

  @Override
  public void writeExternal(ObjectOutput out) throws IOException {
    if (!LocalHandover.isPossible()) {
      out.writeByte(Form.BYTES.ordinal());
      out.writeInt(length());
      byte[] chunk = CHUNK.get();
      for (ByteBuffer rest = bytes(); rest.hasRemaining(); ) {
        out.write(chunk, 0, fill(chunk, rest));
      }
    } else if (closesWhenSent) {
      out.writeByte(Form.TICKET_FOR_ONE.ordinal());
      out.writeLong(LocalHandover.shared().deposit(memory()));
    } else {
      out.writeByte(Form.TICKET.ordinal());
      out.writeLong(ticket());
    }
    closeIfSent();
  }

  @Override
  public void readExternal(ObjectInput in) throws IOException {
    switch (form(in.readByte())) {
      case BYTES -> {
        memory = pooled(checkedLength(in.readInt()));
        byte[] chunk = CHUNK.get();
        for (ByteBuffer rest = bytes(); rest.hasRemaining(); ) {
          int count = Math.min(rest.remaining(), chunk.length);
          in.readFully(chunk, 0, count);
          rest.put(chunk, 0, count);
        }
      }
      case TICKET -> memory = LocalHandover.shared().look(in.readLong());
      case TICKET_FOR_ONE -> memory = LocalHandover.shared().redeem(in.readLong());
    }
  }

  @Override
  public void write(Kryo kryo, Output output) {
    if (!LocalHandover.isPossible()) {
      output.writeByte(Form.BYTES.ordinal());
      output.writeInt(length());
      byte[] chunk = CHUNK.get();
      for (ByteBuffer rest = bytes(); rest.hasRemaining(); ) {
        output.writeBytes(chunk, 0, fill(chunk, rest));
      }
    } else if (closesWhenSent) {
      output.writeByte(Form.TICKET_FOR_ONE.ordinal());
      output.writeLong(LocalHandover.shared().deposit(memory()));
    } else {
      output.writeByte(Form.TICKET.ordinal());
      output.writeLong(ticket());
    }
    closeIfSent();
  }

  @Override
  public void read(Kryo kryo, Input input) {
    switch (form(input.readByte())) {
      case BYTES -> {
        memory = pooled(checkedLength(input.readInt()));
        byte[] chunk = CHUNK.get();
        for (ByteBuffer rest = bytes(); rest.hasRemaining(); ) {
          int count = Math.min(rest.remaining(), chunk.length);
          input.readBytes(chunk, 0, count);
          rest.put(chunk, 0, count);
        }
      }
      case TICKET -> memory = LocalHandover.shared().look(input.readLong());
      case TICKET_FOR_ONE -> memory = LocalHandover.shared().redeem(input.readLong());
    }
  }

  private static int fill(byte[] chunk, ByteBuffer from) {
    int count = Math.min(from.remaining(), chunk.length);
    from.get(chunk, 0, count);
    return count;
  }

  private void closeIfSent() {
    if (closesWhenSent) {
      close();
    }
  }

  private static Form form(int code) {
    if (code < 0 || code >= Form.values().length) {
      throw new InvalidInputException("an encrypted block was sent in the unknown form " + code);
    }
    return Form.values()[code];
  }

  private static int checkedLength(int length) {
    if (length < 0) {
      throw new InvalidInputException("an encrypted block of " + length + " bytes was sent");
    }
    return length;
  }
}
