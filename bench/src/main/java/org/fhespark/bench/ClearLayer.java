package org.fhespark.bench;

import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;

/** The first reference: the same layer in clear, an fp32 MatMul in ONNX Runtime on one thread. */
final class ClearLayer implements AutoCloseable {
  private final OrtProduct product;
  private final OrtProduct.Bound layer;

  /**
   * @param records floats {@code [T][d_in]}
   */
  ClearLayer(ByteBuffer records, int count, LayerShape shape) throws OrtException {
    product = OrtProduct.floats(shape);
    ByteBuffer results = ByteBuffer.allocateDirect(Float.BYTES * count * shape.outputs());
    layer = product.bind(records, results, count);
  }

  void run() {
    layer.run();
  }

  @Override
  public void close() throws OrtException {
    layer.close();
    product.close();
  }
}
