package org.fhespark.udf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.Decomposition;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupStep;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;

/** Two values of three activations, looked up in a table that is the identity. */
public record LookupLayer(byte[] circuitFile, ClientKey key, ModuleClient client, byte[] keyFile)
    implements AutoCloseable {
  public static final PackedParameters PACKED = new PackedParameters(4, 512, 5, 5, 5, 5, 16, 1);
  public static final BootstrapParameters PARAMETERS =
      new BootstrapParameters(900, 4, 512, new Decomposition(23, 1), new Decomposition(4, 3), 2);
  public static final int RECORDS = 3;

  private static final byte[] WEIGHTS = {1, 2, 3, 4, 5, 6};

  /** With a key of its own. */
  public static LookupLayer make() {
    long[] table = new long[PARAMETERS.polynomialSize()];
    for (int i = 0; i < table.length; i++) {
      table[i] = (i - table.length / 2) * ((1L << 62) / (table.length / 2));
    }
    byte[] circuitFile =
        LookupCircuit.encode(
            PACKED,
            PARAMETERS,
            "mlp",
            3,
            2,
            WEIGHTS,
            List.of(table),
            List.of(new LookupStep.Lookup(0, 2, 4, 1L << 62, 0)),
            new int[] {2, 3});
    ClientKey key =
        ClientKey.generate(
            new byte[32], List.of(PACKED.secretKeyShape()), new int[] {PARAMETERS.lweDimension()});
    ModuleClient client =
        ModuleClient.withKey(
            new ModuleSpec(
                CircuitDigest.of(circuitFile),
                PACKED,
                3,
                2,
                WeightNorms.of(WEIGHTS, 3, 2),
                new Quantization(10, 1f),
                new float[] {1, 1},
                new float[0]),
            key);
    byte[] keyFile = key.evaluationKey(PARAMETERS, PACKED.secretKeyShape(), 2, share -> {});
    return new LookupLayer(circuitFile, key, client, keyFile);
  }

  /** Records {@code [RECORDS][3]}. */
  public static ByteBuffer records() {
    ByteBuffer records = ByteBuffer.allocateDirect(4 * 3 * RECORDS).order(ByteOrder.nativeOrder());
    for (int i = 0; i < 3 * RECORDS; i++) {
      records.putFloat(100 - 20 * i);
    }
    return records.flip();
  }

  /** The records, encrypted, as block number 7. */
  public byte[] block() {
    return client.encrypt(records(), new float[RECORDS], 7);
  }

  @Override
  public void close() {
    client.close();
    key.close();
  }
}
