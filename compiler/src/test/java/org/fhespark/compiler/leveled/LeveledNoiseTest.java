package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.fhespark.nativelib.LeveledLayer;
import org.junit.jupiter.api.Test;

class LeveledNoiseTest {
  @Test
  void noiseGrowsWithTheLongestRowOfWeights() {
    LeveledLayer layer =
        new LeveledLayer(2, new byte[] {3, 4, 1, 0}, new double[] {0.5, 2}, new double[2]);
    assertEquals(0.025, LeveledNoise.firstLayer(layer, 0.01), 1e-12);
  }

  @Test
  void noiseThatLeavesTheRangeMoreOftenThanAllowedIsRefused() throws NotLeveledException {
    // The room is 1/64; at ten deviations it is left with a probability below 2^-71.
    double tenth = 1.0 / 640;
    assertEquals(-71.1, LeveledNoise.failure(tenth, -40).log2PerValue(), 0.1);
    String reason =
        assertThrows(NotLeveledException.class, () -> LeveledNoise.failure(tenth, -80))
            .getMessage();
    assertTrue(reason.endsWith("with a probability of 2^-71, and 2^-80 was asked for"), reason);
  }
}
