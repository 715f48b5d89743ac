package org.fhespark.jobs.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;
import org.fhespark.udf.BlockHeader;
import org.junit.jupiter.api.Test;

/**
 * Headers of blocks as they are looked at in SQL and by jobs; the native side has tests of its own.
 */
class BlockHeaderFuzzTest {
  private static final int CHECKSUM = BlockHeader.BYTES - Integer.BYTES;

  @Test
  void damagedOnesAreReadOrRefused() throws Exception {
    Fuzzing.run("BlockHeader", BlockHeaderFuzzTest::read);
  }

  private static void read(byte[] input) throws Exception {
    Decisions decisions = new Decisions(input);
    boolean isSealed = decisions.below(2) == 0;
    ByteBuffer header = ByteBuffer.allocate(BlockHeader.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    header.put(new byte[] {'F', 'H', 'E', 'B'}).putShort((short) BlockHeader.FORMAT_VERSION);
    header.put((byte) decisions.below(10));
    ByteBuffer block =
        ByteBuffer.wrap(decisions.damage(header.array())).order(ByteOrder.LITTLE_ENDIAN);
    if (isSealed && block.limit() >= BlockHeader.BYTES) {
      CRC32C checksum = new CRC32C();
      checksum.update(block.array(), 0, CHECKSUM);
      block.putInt(CHECKSUM, (int) checksum.getValue());
    }
    Fuzzing.read(() -> BlockHeader.of(block));
  }
}
