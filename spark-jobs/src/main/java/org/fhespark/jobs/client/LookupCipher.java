package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.LookupClient;
import org.fhespark.nativelib.LookupResultsSpec;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.OutputRows;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** That of circuits with look-ups. */
final class LookupCipher extends IntegerCipher {
  private static final Logger LOG = LoggerFactory.getLogger(LookupCipher.class);

  /**
   * Blocks are cut to about so many: some seconds of one core. Their mask costs little beside, and
   * what a lost task costs, or the last one alone on its core, is less.
   */
  private static final int BLOCK_LOOKUPS = 512;

  private final LookupClient lookups;
  private final AtomicBoolean hasWarned = new AtomicBoolean();

  /**
   * @param lookups reads results
   */
  LookupCipher(RemoteCallSpec call, ModuleClient client, LookupClient lookups) {
    super(call, client);
    this.lookups = lookups;
  }

  static LookupCipher open(RemoteCallSpec call, Optional<ClientKey> key, Resources resources) {
    LookupResultsSpec spec =
        new LookupResultsSpec(
            CircuitDigest.parse(call.circuitDigest()),
            call.lookups().parameters(),
            call.lookups().outputScales(),
            call.bias() == null ? new float[0] : call.bias());
    LookupClient lookups =
        key.map(k -> LookupClient.withKey(spec, k)).orElseGet(() -> LookupClient.withoutKey(spec));
    resources.add(lookups);
    return new LookupCipher(call, openClient(call, key, resources), lookups);
  }

  @Override
  public int blockRows() {
    long fitting = RESULT_BYTES / bytesDown(1);
    long rows = Math.min(fitting, BLOCK_LOOKUPS / Math.max(1, call.lookups().lookups()));
    return (int) Math.max(1, Math.min(call.parameters().maxRecords(), rows));
  }

  @Override
  public long bytesDown(long rows) {
    BootstrapParameters lookup = call.lookups().parameters();
    return rows * call.dOut() * (lookup.lweDimension() + 1) * lookup.outputBytes();
  }

  @Override
  public void decrypt(
      ByteBuffer block, long number, float[] scales, int cores, OutputRows outputs) {
    requireStaticScale(scales);
    warnOf(lookups.decrypt(block, number, cores, outputs));
  }

  @Override
  void dequantize(long[] results, float[] scales, OutputRows outputs) {
    requireStaticScale(scales);
    warnOf(lookups.dequantize(results, outputs));
  }

  /** The tables of look-ups are made for one scale; a row of another is read wrongly. */
  private void requireStaticScale(float[] scales) {
    float expected = client.spec().quantization().staticScale();
    for (int row = 0; row < scales.length; row++) {
      if (scales[row] != expected) {
        throw new InvalidInputException(
            "module "
                + call.circuit()
                + ": row "
                + (row + 1)
                + " of a block was quantised with scale "
                + scales[row]
                + ", and its look-ups are made for "
                + expected
                + "; compile the model again");
      }
    }
  }

  /** Once a session: records unlike those of calibration come in numbers. */
  private void warnOf(long doubtful) {
    if (doubtful > 0 && hasWarned.compareAndSet(false, true)) {
      LOG.warn(
          "module {}: outputs lie beyond 1.5 times the range that calibration saw and may be wrong;"
              + " compile the model with calibration data like these records",
          call.circuit());
    }
  }
}
