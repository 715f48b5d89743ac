package org.fhespark.compiler.parameters;

import java.util.List;
import org.fhespark.nativelib.PackedParameters;

/**
 * Parameters that carry a request.
 *
 * @param parameters the cheapest found
 * @param activationBits bits of the activations
 * @param coversWorstCase whether no record whatever can need a coarser scale
 * @param policy what happens to records that need more than p bits, one sentence
 * @param cost of a block
 * @param why how the choice came about, one sentence
 * @param alternatives the next cheapest, cheapest first
 */
public record ParameterChoice(
    PackedParameters parameters,
    int activationBits,
    boolean coversWorstCase,
    String policy,
    CostModel.Cost cost,
    String why,
    List<Alternative> alternatives) {
  public ParameterChoice {
    alternatives = List.copyOf(alternatives);
  }

  /**
   * Parameters that would do as well.
   *
   * @param costRatio their cost relative to that of the chosen ones
   */
  public record Alternative(PackedParameters parameters, double costRatio) {}
}
