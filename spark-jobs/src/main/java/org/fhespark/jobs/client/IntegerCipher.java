package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.Optional;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;

/** That of circuits which take quantised activations. */
abstract sealed class IntegerCipher implements LayerCipher permits PackedCipher, LookupCipher {
  /** Results are held to about this size, which the mask rows may exceed by themselves. */
  static final long RESULT_BYTES = 128L << 20;

  final RemoteCallSpec call;
  final ModuleClient client;

  IntegerCipher(RemoteCallSpec call, ModuleClient client) {
    this.call = call;
    this.client = client;
  }

  static ModuleClient openClient(
      RemoteCallSpec call, Optional<ClientKey> key, Resources resources) {
    ModuleClient client =
        key.map(k -> ModuleClient.withKey(call.moduleSpec(), k))
            .orElseGet(() -> ModuleClient.withoutKey(call.moduleSpec()));
    return resources.add(client);
  }

  /** What quantises. */
  ModuleClient client() {
    return client;
  }

  /** Outputs of accumulators, or of phases if there are look-ups. */
  abstract void dequantize(long[] results, float[] scales, OutputRows outputs);

  @Override
  public int blockBytes(int rows) {
    return client.blockBytes(rows);
  }

  @Override
  public long bytesUp(long rows) {
    return rows * call.dIn() * call.parameters().bodyLimbs();
  }

  @Override
  public void encrypt(InputRows rows, float[] scales, long number, int cores, ByteBuffer block) {
    client.encrypt(rows, scales, number, cores, block);
  }

  /** Integers are clipped value by value; no record is drawn in as a whole. */
  @Override
  public int clamped(RowBlock rows, float[] scales) {
    return 0;
  }
}
