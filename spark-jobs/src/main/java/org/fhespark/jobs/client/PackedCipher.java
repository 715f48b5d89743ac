package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.Optional;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;
import org.fhespark.nativelib.PackedParameters;

/** That of packed linear layers. */
final class PackedCipher extends IntegerCipher {
  PackedCipher(RemoteCallSpec call, ModuleClient client) {
    super(call, client);
  }

  static PackedCipher open(RemoteCallSpec call, Optional<ClientKey> key, Resources resources) {
    return new PackedCipher(call, openClient(call, key, resources));
  }

  @Override
  public int blockRows() {
    if (bytesDown(BlockLimits.PANEL_ROWS) > BlockLimits.LARGEST_RESULT_BYTES) {
      throw new InvalidInputException(
          "module "
              + call.circuit()
              + ": the encrypted result of one record takes "
              + bytesDown(1)
              + " bytes, more than a task can return; keep this module in clear");
    }
    long upward = BlockLimits.BLOCK_BYTES / bytesUp(1);
    long downward = (RESULT_BYTES - bytesDown(0)) / (bytesDown(1) - bytesDown(0));
    long rows = Math.min(upward, downward) / BlockLimits.PANEL_ROWS * BlockLimits.PANEL_ROWS;
    return (int) Math.min(call.parameters().maxRecords(), Math.max(BlockLimits.PANEL_ROWS, rows));
  }

  @Override
  public long bytesDown(long rows) {
    PackedParameters parameters = call.parameters();
    long mask = (long) parameters.lweDimension() * parameters.outputLimbs();
    return (mask + rows * parameters.outputBodyLimbs()) * call.dOut();
  }

  @Override
  public void decrypt(
      ByteBuffer block, long number, float[] scales, int cores, OutputRows outputs) {
    client.decrypt(block, number, scales, cores, outputs);
  }

  @Override
  void dequantize(long[] results, float[] scales, OutputRows outputs) {
    client.dequantize(results, scales, outputs);
  }
}
