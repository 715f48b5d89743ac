package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.LeveledClient;
import org.fhespark.nativelib.LeveledClientSpec;
import org.fhespark.nativelib.OutputRows;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** That of leveled circuits, whose blocks cost the same however full they are. */
final class LeveledCipher implements LayerCipher {
  private static final Logger LOG = LoggerFactory.getLogger(LeveledCipher.class);

  private final RemoteCallSpec call;
  private final LeveledClient client;
  private final OutOfRange outOfRange;
  private final AtomicBoolean hasWarned = new AtomicBoolean();

  private LeveledCipher(RemoteCallSpec call, LeveledClient client, OutOfRange outOfRange) {
    this.call = call;
    this.client = client;
    this.outOfRange = outOfRange;
  }

  static LeveledCipher open(
      RemoteCallSpec call, Optional<ClientKey> key, OutOfRange outOfRange, Resources resources) {
    LeveledClientSpec spec = call.leveled().clientSpec(call.circuitDigest());
    LeveledClient client =
        key.map(k -> LeveledClient.withKey(spec, k))
            .orElseGet(() -> LeveledClient.withoutKey(spec));
    return new LeveledCipher(call, resources.add(client), outOfRange);
  }

  /** What normalises. */
  LeveledClient client() {
    return client;
  }

  @Override
  public int blockRows() {
    return call.leveled().parameters().polynomialSize();
  }

  @Override
  public int blockBytes(int rows) {
    return client.blockBytes();
  }

  @Override
  public long bytesUp(long rows) {
    return call.dIn() * call.leveled().parameters().bytesUp();
  }

  @Override
  public long bytesDown(long rows) {
    return call.dOut() * call.leveled().parameters().bytesDown();
  }

  @Override
  public void encrypt(InputRows rows, float[] scales, long number, int cores, ByteBuffer block) {
    client.encrypt(rows, scales, number, block);
  }

  @Override
  public void decrypt(
      ByteBuffer block, long number, float[] scales, int cores, OutputRows outputs) {
    client.decrypt(block, number, outputs);
  }

  @Override
  public int clamped(RowBlock rows, float[] scales) {
    int clamped = 0;
    for (int row = 0; row < scales.length; row++) {
      if (scales[row] < 1) {
        clamped++;
        if (outOfRange == OutOfRange.FAIL) {
          throw new InvalidInputException(
              "module "
                  + call.circuit()
                  + ", record "
                  + (rows.recordNumber(row) + 1)
                  + ": it lies "
                  + String.format(Locale.ROOT, "%.3g", 1 / scales[row])
                  + " times as far from the center of the calibration data as the circuit is made"
                  + " for; correct or drop the record, calibrate with records like it, or set "
                  + OutOfRange.SETTING
                  + "=clamp");
        }
      }
    }
    if (clamped > 0 && hasWarned.compareAndSet(false, true)) {
      LOG.warn(
          "module {}: records lie beyond the range that its circuit is made for; they are drawn into"
              + " it, and their results are wrong; compile the model with calibration data like"
              + " these records",
          call.circuit());
    }
    return clamped;
  }
}
