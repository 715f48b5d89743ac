package org.fhespark.bench;

import ai.onnxruntime.OrtException;
import java.nio.ByteBuffer;
import java.util.Random;
import org.fhespark.nativelib.PackedParameters;

/**
 * The second reference: the limb products of an encrypted layer by ONNX Runtime's MatMulInteger on
 * one thread, a call a limb. It leaves out what else the server does (expanding the mask,
 * recombining limbs, rounding), in the reference's favour.
 */
final class IntegerLimbs implements AutoCloseable {
  private final OrtProduct product;
  private final OrtProduct.Bound wholeLimb;
  private final OrtProduct.Bound maskLimb;
  private final int wholeLimbs;
  private final int maskLimbs;

  /**
   * @param count T
   */
  IntegerLimbs(PackedParameters parameters, int count, LayerShape shape) throws OrtException {
    int maskRows = parameters.lweDimension();
    int rows = maskRows + count;
    ByteBuffer entries = ByteBuffer.allocateDirect(rows * shape.inputs());
    byte[] random = new byte[entries.capacity()];
    new Random(3).nextBytes(random);
    entries.put(random).flip();
    ByteBuffer results = ByteBuffer.allocateDirect(Integer.BYTES * rows * shape.outputs());
    // Bodies may travel with fewer limbs than the mask.
    wholeLimbs = parameters.bodyLimbs();
    maskLimbs = parameters.limbs() - parameters.bodyLimbs();
    product = OrtProduct.integers(shape);
    wholeLimb = product.bind(entries, results, rows);
    maskLimb = product.bind(entries, results, maskRows);
  }

  void run() {
    for (int limb = 0; limb < wholeLimbs; limb++) {
      wholeLimb.run();
    }
    for (int limb = 0; limb < maskLimbs; limb++) {
      maskLimb.run();
    }
  }

  @Override
  public void close() throws OrtException {
    wholeLimb.close();
    maskLimb.close();
    product.close();
  }
}
