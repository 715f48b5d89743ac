package org.fhespark.udf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;

/** A linear layer with random weights: its circuit, its key and its client. */
public record Layer(Circuit circuit, ModuleSpec spec, ClientKey key, ModuleClient client)
    implements AutoCloseable {
  /** n = k·N = 1280, q = 2^32. */
  public static final PackedParameters PARAMETERS = new PackedParameters(5, 256, 4, 4, 4, 4, 18, 2);

  public static Layer random(PackedParameters parameters, int inputs, int outputs, long seed) {
    byte[] weights = new byte[inputs * outputs];
    Random random = new Random(seed);
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (byte) (random.nextInt(255) - 127);
    }
    byte[] file = PackedCircuit.encode(parameters, "fc" + seed, inputs, outputs, weights);
    float[] weightScales = new float[outputs];
    Arrays.fill(weightScales, 0.01f);
    ModuleSpec spec =
        new ModuleSpec(
            CircuitDigest.of(file),
            parameters,
            inputs,
            outputs,
            WeightNorms.of(weights, inputs, outputs),
            new Quantization(8, 0f),
            weightScales,
            new float[0]);
    ClientKey key = ClientKey.generate(new byte[32], List.of(parameters.secretKeyShape()));
    return new Layer(new Circuit(file), spec, key, ModuleClient.withKey(spec, key));
  }

  public static Layer random(int inputs, int outputs, long seed) {
    return random(PARAMETERS, inputs, outputs, seed);
  }

  /** The circuit's file. */
  public byte[] circuitFile() {
    return circuit.file();
  }

  /** Records [T][d_in] of normal deviates. */
  public ByteBuffer records(int count, long seed) {
    ByteBuffer records =
        ByteBuffer.allocateDirect(4 * count * spec.inputs()).order(ByteOrder.nativeOrder());
    Random random = new Random(seed);
    while (records.hasRemaining()) {
      records.putFloat((float) random.nextGaussian());
    }
    return records.flip();
  }

  public byte[] encrypt(ByteBuffer records, long blockNumber) {
    int count = records.limit() / (4 * spec.inputs());
    return client.encrypt(records, new float[count], blockNumber);
  }

  /** Accumulators [T][d_out] in clear. */
  public long[] accumulate(ByteBuffer records) {
    int count = records.limit() / (4 * spec.inputs());
    try (PackedCircuit clear = PackedCircuit.open(circuit.file())) {
      return clear.accumulate(client.quantize(records, new float[count]));
    }
  }

  @Override
  public void close() {
    client.close();
    key.close();
  }
}
