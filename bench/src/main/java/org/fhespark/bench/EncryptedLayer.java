package org.fhespark.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.fhespark.compiler.parameters.BlockWork;
import org.fhespark.compiler.parameters.CostConstants;
import org.fhespark.compiler.parameters.ParameterRequest;
import org.fhespark.compiler.parameters.ParameterSearch;
import org.fhespark.compiler.parameters.ServerKernel;
import org.fhespark.compiler.quantize.ActivationStatistics;
import org.fhespark.compiler.quantize.QuantizationMode;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.ModuleSpec;
import org.fhespark.nativelib.NativeLibrary;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.PublicKey;
import org.fhespark.nativelib.Quantization;
import org.fhespark.nativelib.WeightNorms;
import org.fhespark.udf.BlockBatch;
import org.fhespark.udf.BlockEvaluation;
import org.fhespark.udf.EncryptedBlock;

/**
 * A layer of random weights under FHE, 8-bit activations and p_error 2^-40, both sides in one
 * process, on one thread.
 */
public final class EncryptedLayer implements AutoCloseable {
  private static final double LOG2_P_ERROR = -40;
  private static final int ACTIVATION_BITS = 8;

  /** Records compared with the clear computation. */
  private static final int CHECKED_RECORDS = 64;

  private final LayerShape shape;
  private final PackedParameters parameters;
  private final byte[] circuitFile;
  private final ClientKey key;
  private final PackedCircuit circuit;

  /** Null unless results are re-randomised. */
  private final PublicKey publicKey;

  private final ModuleClient client;
  private final ByteBuffer records;
  private final float[] scales;
  private final ByteBuffer outputs;
  private final EncryptedBlock block;
  private EncryptedBlock result;

  /**
   * Makes keys and circuit, and runs the layer once.
   *
   * @param records floats {@code [T][d_in]}
   * @param count T
   * @param weightBits 2 to 8
   * @param fixed null for the parameters that the compiler chooses
   * @throws IllegalStateException if the encrypted layer differs from the clear one in a bit
   */
  public EncryptedLayer(
      ByteBuffer records, int count, LayerShape shape, int weightBits, FixedParameters fixed) {
    this(records, count, shape, weightBits, fixed, false);
  }

  /** A layer whose results are re-randomised. */
  static EncryptedLayer ofProtectedWeights(
      ByteBuffer records, int count, LayerShape shape, int weightBits) {
    return new EncryptedLayer(records, count, shape, weightBits, null, true);
  }

  private EncryptedLayer(
      ByteBuffer records,
      int count,
      LayerShape shape,
      int weightBits,
      FixedParameters fixed,
      boolean protectsWeights) {
    this.shape = shape;
    QuantizedWeights weights = weights(shape, weightBits);
    this.parameters =
        fixed == null
            ? chosen(records, count, shape, weights.norms(), protectsWeights)
            : fixed.of(weights.norms(), count, LOG2_P_ERROR);
    this.circuitFile =
        PackedCircuit.encode(
            parameters, "bench", shape.inputs(), shape.outputs(), weights.values());
    ModuleSpec spec =
        new ModuleSpec(
            CircuitDigest.of(circuitFile),
            parameters,
            shape.inputs(),
            shape.outputs(),
            weights.norms(),
            new Quantization(ACTIVATION_BITS, 0f),
            weights.scales(),
            new float[0]);
    this.records = records;
    this.scales = new float[count];
    this.outputs = floats(count * shape.outputs());
    this.key = ClientKey.generate(new byte[32], List.of(parameters.secretKeyShape()));
    this.publicKey =
        protectsWeights
            ? PublicKey.open(key.publicKey(List.of(parameters.secretKeyShape())))
            : null;
    this.circuit = PackedCircuit.open(circuitFile);
    this.client = ModuleClient.withKey(spec, key);
    this.block = EncryptedBlock.allocate(client.blockBytes(count));
    encrypt();
    evaluate();
    decrypt();
    requireExact();
  }

  /** Gaussian weights, quantised as the compiler does it. */
  private static QuantizedWeights weights(LayerShape shape, int bits) {
    Random random = new Random(1);
    float[] weights = new float[shape.weights()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (float) random.nextGaussian();
    }
    return QuantizedWeights.quantize("bench", weights, shape.inputs(), shape.outputs(), bits);
  }

  /** What the compiler would choose for executors that have this machine's kernel. */
  private static PackedParameters chosen(
      ByteBuffer records, int count, LayerShape shape, WeightNorms norms, boolean protectsWeights) {
    ActivationStatistics statistics = new ActivationStatistics();
    statistics.add("bench", records.asFloatBuffer(), shape.inputs());
    return ParameterSearch.search(
            new ParameterRequest(
                "bench",
                new BlockWork.Layer(1, shape.inputs(), shape.outputs()),
                norms,
                bits ->
                    statistics.accumulatorBound(
                        norms, bits, QuantizationMode.DYNAMIC, ParameterSearch.FITTING_RECORDS),
                statistics.nonZeroRecords(),
                OptionalInt.of(ACTIVATION_BITS),
                OptionalInt.empty(),
                LOG2_P_ERROR,
                count,
                CostConstants.of(kernel(), CostConstants.DEFAULT_WIRE_GIGABITS),
                1,
                protectsWeights))
        .parameters();
  }

  private static ServerKernel kernel() {
    String name = NativeLibrary.kernelName();
    return Arrays.stream(ServerKernel.values())
        .filter(kernel -> kernel.toString().equals(name))
        .findFirst()
        .orElseThrow();
  }

  private void requireExact() {
    int checked = Math.min(CHECKED_RECORDS, scales.length);
    float[] checkedScales = new float[checked];
    ByteBuffer checkedRecords =
        records.slice(0, Float.BYTES * checked * shape.inputs()).order(ByteOrder.nativeOrder());
    ByteBuffer expected = floats(checked * shape.outputs());
    long[] accumulators = circuit.accumulate(client.quantize(checkedRecords, checkedScales));
    client.dequantize(accumulators, checkedScales, expected);
    if (!expected.equals(outputs.slice(0, expected.capacity()))) {
      throw new IllegalStateException("the encrypted layer differs from the clear one");
    }
  }

  private static ByteBuffer floats(int count) {
    return ByteBuffer.allocateDirect(Float.BYTES * count).order(ByteOrder.nativeOrder());
  }

  /** The same records under masks that are prepared ahead. */
  LayerAhead ahead() {
    return new LayerAhead(client, circuit, records, scales.length, outputs);
  }

  /** The client's side. */
  public ModuleClient client() {
    return client;
  }

  /** The server's side. */
  public byte[] circuitFile() {
    return circuitFile;
  }

  PackedParameters parameters() {
    return parameters;
  }

  /** Float records to a block. */
  void encrypt() {
    client.encrypt(records, scales, 0, 1, block.bytes());
  }

  /** The server's part: wire bytes in, wire bytes out, through Arrow and JNI. */
  void evaluate() {
    if (result != null) {
      result.close();
    }
    BlockEvaluation evaluation =
        publicKey == null
            ? circuit::evaluate
            : (inputArray, inputSchema, outputArray, outputSchema, threads, shouldStop) ->
                circuit.evaluate(
                    publicKey,
                    inputArray,
                    inputSchema,
                    outputArray,
                    outputSchema,
                    threads,
                    shouldStop);
    result = BlockBatch.evaluate(evaluation, List.of(block), 1, () -> false).get(0);
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
    block.close();
    result.close();
    client.close();
    circuit.close();
    if (publicKey != null) {
      publicKey.close();
    }
    key.close();
  }
}
