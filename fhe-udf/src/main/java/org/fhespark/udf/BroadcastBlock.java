package org.fhespark.udf;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.SparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.util.RpcUtils;
import scala.reflect.ClassTag$;

/**
 * A block too large for Spark's messages, which tasks are: executors fetch it from the driver in
 * pieces. Both may move pieces to disk if memory is short.
 */
final class BroadcastBlock implements TaskBlock {
  private static final long serialVersionUID = 1L;

  /** A task's message is some times in the driver's heap on its way. */
  private static final long MOST_IN_TASK = 64L << 20;

  private static final int PIECE_BYTES = 8 << 20;

  private final transient SparkContext spark;
  private final int length;
  private final List<Broadcast<byte[]>> pieces;

  private BroadcastBlock(SparkContext spark, int length, List<Broadcast<byte[]>> pieces) {
    this.spark = spark;
    this.length = length;
    this.pieces = pieces;
  }

  /** Bytes of the largest block that goes in a task. */
  static long mostInTask(SparkContext spark) {
    // What else is in a task is small: half of a message is more than it needs.
    return Math.min(MOST_IN_TASK, RpcUtils.maxMessageSizeBytes(spark.conf()) / 2);
  }

  static BroadcastBlock of(SparkContext spark, EncryptedBlock block) {
    List<Broadcast<byte[]>> pieces = new ArrayList<>();
    BroadcastBlock sent = new BroadcastBlock(spark, block.length(), pieces);
    try {
      for (ByteBuffer rest = block.bytes(); rest.hasRemaining(); ) {
        byte[] piece = new byte[Math.min(PIECE_BYTES, rest.remaining())];
        rest.get(piece);
        pieces.add(spark.broadcast(piece, ClassTag$.MODULE$.apply(byte[].class)));
      }
    } catch (Throwable error) {
      sent.free();
      throw error;
    }
    return sent;
  }

  @Override
  public EncryptedBlock arrived() {
    EncryptedBlock block = EncryptedBlock.allocate(length);
    try {
      ByteBuffer bytes = block.bytes();
      pieces.forEach(piece -> bytes.put(piece.value()));
    } catch (Throwable error) {
      block.close();
      throw error;
    }
    return block;
  }

  @Override
  public void free() {
    // A context that was stopped has no broadcasts left.
    if (!spark.isStopped()) {
      // If it may wait: a session that is stopped right after would log the removal's failure.
      boolean waits = !Thread.currentThread().isInterrupted();
      pieces.forEach(piece -> piece.destroy(waits));
    }
  }
}
