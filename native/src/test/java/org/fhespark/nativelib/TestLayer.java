package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Random;

/** A small layer with its key, both sides in one JVM. */
record TestLayer(ModuleSpec spec, byte[] circuitFile, ClientKey key) implements AutoCloseable {
  static final PackedParameters PARAMETERS = new PackedParameters(20, 64, 4, 4, 4, 3, 17, 2);

  static TestLayer random(int inputs, int outputs, long seed) {
    byte[] weights = new byte[inputs * outputs];
    Random random = new Random(seed);
    for (int i = 0; i < weights.length; i++) {
      weights[i] = (byte) (random.nextInt(255) - 127);
    }
    byte[] file = PackedCircuit.encode(PARAMETERS, "fc", inputs, outputs, weights);
    float[] weightScales = new float[outputs];
    float[] bias = new float[outputs];
    for (int j = 0; j < outputs; j++) {
      weightScales[j] = 0.01f * (j + 1);
      bias[j] = j;
    }
    ModuleSpec spec =
        new ModuleSpec(
            CircuitDigest.of(file),
            PARAMETERS,
            inputs,
            outputs,
            WeightNorms.of(weights, inputs, outputs),
            new Quantization(8, 0f),
            weightScales,
            bias);
    return new TestLayer(
        spec, file, ClientKey.generate(new byte[32], List.of(PARAMETERS.secretKeyShape())));
  }

  static ByteBuffer floats(float... values) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(4 * values.length).order(ByteOrder.nativeOrder());
    buffer.asFloatBuffer().put(values);
    return buffer;
  }

  @Override
  public void close() {
    key.close();
  }
}
