package org.fhespark.jobs.client;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.OnnxModel;

/** The weights of the example's modules, as the ONNX file holds them. */
final class RemoteWeights {
  private RemoteWeights() {}

  private static OnnxModel model() throws IOException {
    return OnnxModel.load(Digits.hadoop(Digits.file("digits.onnx")), new Configuration());
  }

  static AffineCall call(String module) throws IOException {
    return ModuleTree.of(model()).find(module).calls().get(0);
  }

  /** Floats {@code [d_out][d_in]}, row-major. */
  static float[] of(String module) throws IOException {
    return call(module).weights();
  }
}
