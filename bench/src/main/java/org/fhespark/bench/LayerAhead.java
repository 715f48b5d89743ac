package org.fhespark.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.fhespark.nativelib.MaskOrder;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PreparedMask;
import org.fhespark.udf.BlockBatch;
import org.fhespark.udf.EncryptedBlock;

/**
 * An encrypted layer whose masks are prepared ahead of its records, both sides in one process, on
 * one thread.
 */
final class LayerAhead implements AutoCloseable {
  private final ModuleClient client;
  private final PackedCircuit circuit;
  private final ByteBuffer records;
  private final float[] scales;
  private final ByteBuffer outputs;
  private final EncryptedBlock block;
  private MaskOrder order;
  private EncryptedBlock orderBlock;
  private EncryptedBlock maskResults;
  private PreparedMask mask;
  private int firstSlot;
  private EncryptedBlock result;

  /**
   * Prepares a mask and runs the layer once.
   *
   * @param records floats {@code [T][d_in]}
   * @param count T
   * @param expected outputs of the ordinary way, floats {@code [T][d_out]}
   * @throws IllegalStateException if the outputs differ from those in a bit
   */
  LayerAhead(
      ModuleClient client,
      PackedCircuit circuit,
      ByteBuffer records,
      int count,
      ByteBuffer expected) {
    this.client = client;
    this.circuit = circuit;
    this.records = records;
    this.scales = new float[count];
    this.outputs = ByteBuffer.allocateDirect(expected.capacity()).order(ByteOrder.nativeOrder());
    this.block = EncryptedBlock.allocate(client.blockBytes(count));
    prepare();
    encrypt();
    evaluate();
    decrypt();
    if (!expected.equals(outputs)) {
      throw new IllegalStateException(
          "the layer with its mask ahead differs from the ordinary one");
    }
  }

  /** Orders a mask for as many records as it can hold; nearly all of it is the server's part. */
  void evaluateMask() {
    close(order);
    close(orderBlock);
    close(maskResults);
    orderBlock = EncryptedBlock.allocate(MaskOrder.BLOCK_BYTES);
    order = client.orderMask(slots(), 0, orderBlock.bytes());
    maskResults =
        BlockBatch.evaluate(circuit::evaluate, List.of(orderBlock), 1, () -> false).get(0);
  }

  /** Both sides' part of preparing a mask. */
  void prepare() {
    evaluateMask();
    PreparedMask prepared = order.prepare(maskResults.bytes(), 1);
    close(mask);
    mask = prepared;
  }

  int slots() {
    return client.spec().parameters().maxRecords();
  }

  long memoryBytes() {
    return mask.memoryBytes();
  }

  /**
   * Float records to a block, in slots that no run has used; now and then that takes another mask.
   */
  void encrypt() {
    if (mask.slotsLeft() < scales.length) {
      prepare();
    }
    firstSlot = mask.encrypt(records, scales, 0, block.bytes()).orElseThrow();
  }

  /** The server's part. */
  void evaluate() {
    close(result);
    result = BlockBatch.evaluate(circuit::evaluate, List.of(block), 1, () -> false).get(0);
  }

  /** A block of results to float outputs. */
  void decrypt() {
    mask.decrypt(result.bytes(), 0, firstSlot, scales, outputs);
  }

  int bytesUp() {
    return block.length();
  }

  int bytesDown() {
    return result.length();
  }

  private static void close(AutoCloseable resource) {
    if (resource != null) {
      try {
        resource.close();
      } catch (Exception impossible) {
        throw new IllegalStateException(impossible);
      }
    }
  }

  @Override
  public void close() {
    for (AutoCloseable each :
        new AutoCloseable[] {block, order, orderBlock, maskResults, mask, result}) {
      close(each);
    }
  }
}
