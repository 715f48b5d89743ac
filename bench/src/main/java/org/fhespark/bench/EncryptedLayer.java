package org.fhespark.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.fhespark.udf.BlockBatch;
import org.fhespark.udf.EncryptedBlock;

/** A layer of random weights under FHE, both sides in one process, on one thread. */
final class EncryptedLayer implements AutoCloseable {
  private static final double LOG2_P_ERROR = -40;

  private final ClientKey key;
  private final PackedCircuit circuit;
  private final ModuleClient client;
  private final ByteBuffer records;
  private final float[] scales;
  private final ByteBuffer outputs;
  private EncryptedBlock block;
  private EncryptedBlock result;

  /**
   * @param records floats {@code [T][d_in]}
   * @param weightBits 2 to 8
   * @param modulus see {@link Modulus}
   */
  EncryptedLayer(
      ByteBuffer records, int count, int inputs, int outputs, int weightBits, Modulus modulus) {
    int largest = (1 << (weightBits - 1)) - 1;
    byte[] weights = new byte[inputs * outputs];
    Random random = new Random(1);
    for (int i = 0; i < weights.length; i++) {
      // The largest weight of a column is odd, as the compiler makes it.
      weights[i] = (byte) (i % inputs == 0 ? largest : random.nextInt(2 * largest + 1) - largest);
    }
    WeightNorms norms = WeightNorms.of(weights, inputs, outputs);
    PackedParameters parameters = parameters(modulus, norms, count);
    byte[] file = PackedCircuit.encode(parameters, "bench", inputs, outputs, weights);
    float[] weightScales = new float[outputs];
    Arrays.fill(weightScales, 0.01f);
    ModuleSpec spec =
        new ModuleSpec(
            CircuitDigest.of(file),
            parameters,
            inputs,
            outputs,
            norms,
            new Quantization(8, 0f),
            weightScales,
            new float[0]);
    this.records = records;
    this.scales = new float[count];
    this.outputs = ByteBuffer.allocateDirect(4 * count * outputs).order(ByteOrder.nativeOrder());
    this.key = ClientKey.generate(new byte[32], List.of(parameters.secretKeyShape()));
    this.circuit = PackedCircuit.open(file);
    this.client = ModuleClient.withKey(spec, key);
    encrypt();
    evaluate();
    decrypt();
    requireExact();
  }

  /** k, N, and the limbs of mask and body entries on both ways. */
  record Modulus(
      int glweDimension,
      int polynomialSize,
      int limbs,
      int bodyLimbs,
      int outputLimbs,
      int outputBodyLimbs) {

    PackedParameters parameters(int messageBits, int records) {
      return new PackedParameters(
          glweDimension,
          polynomialSize,
          limbs,
          bodyLimbs,
          outputLimbs,
          outputBodyLimbs,
          messageBits,
          (records + polynomialSize - 1) / polynomialSize);
    }
  }

  private static PackedParameters parameters(Modulus modulus, WeightNorms norms, int count) {
    PackedParameters parameters = modulus.parameters(8 * modulus.outputBodyLimbs, count);
    while (NoiseModel.log2FailureProbability(parameters, norms) > LOG2_P_ERROR) {
      parameters = parameters.withMessageBits(parameters.messageBits() - 1);
    }
    return parameters;
  }

  private void requireExact() {
    long[] expected = circuit.accumulate(client.quantize(records, new float[scales.length]));
    if (!Arrays.equals(expected, client.decryptAccumulators(result.toByteArray()))) {
      throw new IllegalStateException("the encrypted layer differs from the clear one");
    }
  }

  /** Float records to a block. */
  void encrypt() {
    if (block == null) {
      block = EncryptedBlock.allocate(client.blockBytes(scales.length));
    }
    client.encrypt(records, scales, 0, 1, block.bytes());
  }

  /** The server's part: wire bytes in, wire bytes out, through Arrow and JNI. */
  void evaluate() {
    if (result != null) {
      result.close();
    }
    result = BlockBatch.evaluate(circuit, List.of(block), 1, () -> false).get(0);
  }

  /** A block of results to float outputs. */
  void decrypt() {
    client.decrypt(result.bytes(), 0, scales, 1, outputs);
  }

  int bytesUp() {
    return block.length();
  }

  int bytesDown() {
    return result.length();
  }

  @Override
  public void close() {
    client.close();
    circuit.close();
    key.close();
  }
}
