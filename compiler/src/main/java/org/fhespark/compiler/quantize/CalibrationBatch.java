package org.fhespark.compiler.quantize;

import java.util.Map;

/**
 * A batch of representative records.
 *
 * @param inputs a tensor for each input of the model, by name
 */
public record CalibrationBatch(Map<String, BatchTensor> inputs) {
  public CalibrationBatch {
    inputs = Map.copyOf(inputs);
  }
}
