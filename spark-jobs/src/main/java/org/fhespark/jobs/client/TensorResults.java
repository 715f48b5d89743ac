package org.fhespark.jobs.client;

import java.util.List;
import java.util.Map;

/**
 * What {@link HybridSession#forward(List)} gives.
 *
 * @param outputs for each batch the model's outputs by name
 * @param report what the run cost
 */
public record TensorResults(List<Map<String, ModelTensor>> outputs, ScoreReport report) {
  public TensorResults {
    outputs = List.copyOf(outputs);
  }
}
