package org.fhespark.nativelib;

import java.util.Objects;
import org.fhespark.InvalidInputException;

/**
 * A linear layer of a {@link LeveledChain}: {@code multipliers[i] · Σ_j weights[i][j] · x_j +
 * biases[i]}.
 *
 * @param outputs its number of outputs
 * @param weights signed integers {@code [outputs][inputs]}, row-major
 * @param multipliers {@code [outputs]}
 * @param biases {@code [outputs]}
 */
public record LeveledLayer(int outputs, byte[] weights, double[] multipliers, double[] biases) {
  public LeveledLayer {
    Objects.requireNonNull(weights);
    if (outputs < 1
        || weights.length % outputs != 0
        || multipliers.length != outputs
        || biases.length != outputs) {
      throw new InvalidInputException(
          "a leveled layer of "
              + outputs
              + " outputs has "
              + weights.length
              + " weights, "
              + multipliers.length
              + " multipliers and "
              + biases.length
              + " biases");
    }
  }

  /** Its number of inputs. */
  public int inputs() {
    return weights.length / outputs;
  }
}
