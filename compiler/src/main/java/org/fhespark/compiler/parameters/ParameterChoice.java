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
 * @param cost of a block of the expected records
 * @param candidates how many sets of parameters were compared by cost: all that carry the request
 *     but those that another with the same N undercuts in n and in every limb
 * @param why how the choice came about, one sentence
 * @param alternatives the next cheapest, cheapest first
 */
public record ParameterChoice(
    PackedParameters parameters,
    int activationBits,
    boolean coversWorstCase,
    String policy,
    Cost cost,
    int candidates,
    String why,
    List<Alternative> alternatives) {
  public ParameterChoice {
    alternatives = List.copyOf(alternatives);
  }

  /**
   * Parameters that would do as well.
   *
   * @param parameters that carry the same request
   * @param costRatio their cost relative to that of the chosen ones
   * @param nanosecondsPerRecord their cost
   * @param mostlyMore where they cost more than the chosen ones: "server", "client" or "wire"
   */
  public record Alternative(
      PackedParameters parameters,
      double costRatio,
      Cost nanosecondsPerRecord,
      String mostlyMore) {}
}
