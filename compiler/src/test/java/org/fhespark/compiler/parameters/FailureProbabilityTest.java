package org.fhespark.compiler.parameters;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class FailureProbabilityTest {
  @Test
  void deviationsAndProbabilitiesAreEachOthersInverse() {
    double asked = FailureProbability.deviations(-40);
    // 2·exp(-c²/2) = 2^-40.
    assertEquals(-40, Math.log(2 * Math.exp(-asked * asked / 2)) / Math.log(2), 1e-9);
    FailureProbability equal = FailureProbability.beyond(asked, -40);
    assertEquals(-40, equal.log2PerValue(), 1e-9);
    assertEquals(0, equal.marginBits(), 1e-12);
    FailureProbability twice = FailureProbability.beyond(2 * asked, -40);
    assertEquals(1, twice.marginBits(), 1e-12);
    assertEquals(-163, twice.log2PerValue(), 1e-9);
    assertEquals(0, FailureProbability.beyond(0.5, -40).log2PerValue(), 0);
  }
}
