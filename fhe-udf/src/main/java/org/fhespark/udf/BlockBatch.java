package org.fhespark.udf;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.apache.arrow.c.ArrowArray;
import org.apache.arrow.c.ArrowSchema;
import org.apache.arrow.c.Data;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.LargeVarBinaryVector;
import org.apache.spark.sql.util.ArrowUtils;
import org.fhespark.nativelib.PackedCircuit;

/** One crossing of JNI: a batch of encrypted blocks through the Arrow C Data Interface. */
public final class BlockBatch {
  /** Bytes of blocks that go in one call; one block may be larger. */
  static final long MAX_BYTES = 64L << 20;

  private BlockBatch() {}

  /**
   * Evaluates blocks, in order.
   *
   * @param threads threads to use at most
   * @param shouldStop asked some thousand times a second
   * @throws java.util.concurrent.CancellationException if {@code shouldStop} said so
   * @throws org.fhespark.InvalidInputException naming the row of a damaged or foreign block
   */
  public static List<byte[]> evaluate(
      PackedCircuit circuit, List<byte[]> blocks, int threads, BooleanSupplier shouldStop) {
    try (BufferAllocator allocator =
        ArrowUtils.rootAllocator().newChildAllocator("fhe-spark blocks", 0, Long.MAX_VALUE)) {
      try (ArrowArray inputArray = ArrowArray.allocateNew(allocator);
          ArrowSchema inputSchema = ArrowSchema.allocateNew(allocator);
          ArrowArray outputArray = ArrowArray.allocateNew(allocator);
          ArrowSchema outputSchema = ArrowSchema.allocateNew(allocator)) {
        export(allocator, blocks, inputArray, inputSchema);
        try {
          circuit.evaluate(
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
        try (FieldVector results = Data.importVector(allocator, outputArray, outputSchema, null)) {
          LargeVarBinaryVector vector = (LargeVarBinaryVector) results;
          List<byte[]> copies = new ArrayList<>(vector.getValueCount());
          for (int row = 0; row < vector.getValueCount(); row++) {
            copies.add(vector.get(row));
          }
          return copies;
        }
      }
    }
  }

  private static void export(
      BufferAllocator allocator, List<byte[]> blocks, ArrowArray array, ArrowSchema schema) {
    long bytes = blocks.stream().mapToLong(block -> block.length).sum();
    try (LargeVarBinaryVector vector = new LargeVarBinaryVector("block", allocator)) {
      vector.allocateNew(bytes, blocks.size());
      for (int row = 0; row < blocks.size(); row++) {
        vector.set(row, blocks.get(row));
      }
      vector.setValueCount(blocks.size());
      Data.exportVector(allocator, vector, null, array, schema);
    }
  }
}
