package org.fhespark.nativelib;

import java.util.List;
import org.fhespark.InvalidInputException;

/**
 * What a leveled circuit computes: linear layers, and polynomials between them. Values are
 * normalised, so that whatever an activation reads, and each output, lies in [-1, 1] for every
 * record that the client lets in.
 *
 * @param moduleKey the {@code named_modules()} key it comes from
 * @param inputs d_in
 * @param layers one more than activations
 * @param activations between them
 * @param inputScale what an input of 1 is in a fresh ciphertext; the first layer's multipliers all
 *     are its share of {@link LeveledCircuit#nominalScale}
 * @param outputScale what an output of 1 is in a result
 */
public record LeveledChain(
    String moduleKey,
    int inputs,
    List<LeveledLayer> layers,
    List<LeveledActivation> activations,
    double inputScale,
    double outputScale) {
  public LeveledChain {
    layers = List.copyOf(layers);
    activations = List.copyOf(activations);
    if (layers.size() != activations.size() + 1) {
      throw new InvalidInputException(
          "a leveled chain of "
              + layers.size()
              + " linear layers has "
              + activations.size()
              + " activations between them");
    }
  }

  /** d_out. */
  public int outputs() {
    return layers.get(layers.size() - 1).outputs();
  }
}
