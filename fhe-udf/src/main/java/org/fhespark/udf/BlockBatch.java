package org.fhespark.udf;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.apache.arrow.c.ArrowArray;
import org.apache.arrow.c.ArrowSchema;
import org.apache.arrow.c.Data;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.ForeignAllocation;
import org.apache.arrow.memory.util.MemoryUtil;
import org.apache.arrow.vector.BaseLargeVariableWidthVector;
import org.apache.arrow.vector.LargeVarBinaryVector;
import org.apache.arrow.vector.ipc.message.ArrowFieldNode;
import org.apache.spark.sql.util.ArrowUtils;

/** One crossing of JNI: a batch of encrypted blocks through the Arrow C Data Interface. */
public final class BlockBatch {
  /** Bytes of blocks that go in one call; one block may be larger. */
  static final long MAX_BYTES = 64L << 20;

  private static final BufferAllocator ALLOCATOR =
      ArrowUtils.rootAllocator().newChildAllocator("fhe-spark blocks", 0, Long.MAX_VALUE);

  private BlockBatch() {}

  /**
   * Evaluates blocks, in order; they stay open.
   *
   * @param threads threads to use at most
   * @param shouldStop asked some times a second, or some thousand
   * @return the blocks of results, which lie in memory of the native side until they are closed
   * @throws java.util.concurrent.CancellationException if {@code shouldStop} said so
   * @throws org.fhespark.InvalidInputException naming the row of a damaged or foreign block
   */
  public static List<EncryptedBlock> evaluate(
      BlockEvaluation evaluation,
      List<EncryptedBlock> blocks,
      int threads,
      BooleanSupplier shouldStop) {
    try (ArrowArray inputArray = ArrowArray.allocateNew(ALLOCATOR);
        ArrowSchema inputSchema = ArrowSchema.allocateNew(ALLOCATOR);
        ArrowArray outputArray = ArrowArray.allocateNew(ALLOCATOR);
        ArrowSchema outputSchema = ArrowSchema.allocateNew(ALLOCATOR)) {
      try (LargeVarBinaryVector vector = vector(blocks)) {
        Data.exportVector(ALLOCATOR, vector, null, inputArray, inputSchema);
      }
      try {
        evaluation.evaluate(
            inputArray.memoryAddress(),
            inputSchema.memoryAddress(),
            outputArray.memoryAddress(),
            outputSchema.memoryAddress(),
            threads,
            shouldStop);
      } finally {
        // Nothing is left to release once the native side has taken them; before that, all of it.
        inputArray.release();
        inputSchema.release();
      }
      return results(
          (LargeVarBinaryVector) Data.importVector(ALLOCATOR, outputArray, outputSchema, null));
    }
  }

  private static LargeVarBinaryVector vector(List<EncryptedBlock> blocks) {
    LargeVarBinaryVector vector = new LargeVarBinaryVector("block", ALLOCATOR);
    if (blocks.size() == 1) {
      // The usual case: a large block, used where it lies.
      wrap(vector, blocks.get(0));
      return vector;
    }
    vector.allocateNew(blocks.stream().mapToLong(EncryptedBlock::length).sum(), blocks.size());
    for (int row = 0; row < blocks.size(); row++) {
      vector.set(row, blocks.get(row).bytes(), 0, blocks.get(row).length());
    }
    vector.setValueCount(blocks.size());
    return vector;
  }

  private static void wrap(LargeVarBinaryVector vector, EncryptedBlock block) {
    int length = block.length();
    try (ArrowBuf validity = ALLOCATOR.buffer(1);
        ArrowBuf offsets = ALLOCATOR.buffer(2L * BaseLargeVariableWidthVector.OFFSET_WIDTH);
        ArrowBuf values = ALLOCATOR.wrapForeignAllocation(new Borrowed(block, length))) {
      validity.setByte(0, 1);
      offsets.setLong(0, 0);
      offsets.setLong(BaseLargeVariableWidthVector.OFFSET_WIDTH, length);
      vector.loadFieldBuffers(new ArrowFieldNode(1, 0), List.of(validity, offsets, values));
    }
  }

  /** A block's memory as Arrow sees it; the block stays its owner. */
  private static final class Borrowed extends ForeignAllocation {
    /** Keeps the memory until Arrow lets go of it. */
    @SuppressWarnings({"unused", "FieldCanBeLocal"})
    private EncryptedBlock block;

    Borrowed(EncryptedBlock block, int length) {
      super(length, MemoryUtil.getByteBufferAddress(block.bytes()));
      this.block = block;
    }

    @Override
    protected void release0() {
      block = null;
    }
  }

  private static List<EncryptedBlock> results(LargeVarBinaryVector vector) {
    int rows = vector.getValueCount();
    AtomicInteger open = new AtomicInteger(rows);
    List<EncryptedBlock> results = new ArrayList<>(rows);
    for (int row = 0; row < rows; row++) {
      long start = offset(vector, row);
      int length = Math.toIntExact(offset(vector, row + 1) - start);
      Runnable closeLast =
          () -> {
            if (open.decrementAndGet() == 0) {
              vector.close();
            }
          };
      EncryptedBlock result =
          EncryptedBlock.result(vector.getDataBuffer().nioBuffer(start, length).slice(), closeLast);
      results.add(result);
    }
    return results;
  }

  private static long offset(LargeVarBinaryVector vector, int row) {
    return vector.getOffsetBuffer().getLong((long) row * BaseLargeVariableWidthVector.OFFSET_WIDTH);
  }
}
