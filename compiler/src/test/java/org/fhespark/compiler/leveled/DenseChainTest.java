package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.fhespark.compiler.lookups.Combination;
import org.fhespark.compiler.lookups.Network;
import org.junit.jupiter.api.Test;

class DenseChainTest {
  private static Combination of(double constant, int variable, double weight) {
    return new Combination(new int[] {variable}, new double[] {weight}, constant);
  }

  private static Network.Layer layer(Combination... arguments) {
    return new Network.Layer("hidden", arguments, RandomNetwork.function(RandomNetwork.RELU));
  }

  private static Network network(Network.Layer layer, Combination... outputs) {
    return new Network(2, List.of(layer), outputs, List.of((long) outputs.length));
  }

  @Test
  void aLayerIsAMatrixOfTheValuesBeforeIt() throws NotLeveledException {
    DenseChain chain =
        DenseChain.of(network(layer(of(1, 1, 3), of(-1, 0, 2), of(0, 1, 5)), of(7, 4, -4)));
    assertArrayEquals(new int[] {2, 3, 1}, chain.widths());
    assertArrayEquals(new float[] {0, 3}, chain.linear().get(0).weights()[0]);
    assertArrayEquals(new double[] {1, -1, 0}, chain.linear().get(0).biases());
    assertArrayEquals(new float[] {0, 0, -4}, chain.linear().get(1).weights()[0]);
    assertEquals("hidden", chain.activations().get(0).name());
  }

  @Test
  void aWayPastALayerIsRefused() {
    Network network =
        network(layer(of(0, 0, 1)), new Combination(new int[] {1, 2}, new double[] {1, 1}, 0));
    String reason =
        assertThrows(NotLeveledException.class, () -> DenseChain.of(network)).getMessage();
    assertTrue(reason.startsWith("its output also reads values from before"), reason);
  }

  @Test
  void aLayerThatReadsTheLayerBeforeTheLastIsNamed() {
    Network network =
        new Network(
            1,
            List.of(layer(of(0, 0, 1)), layer(of(0, 0, 1))),
            new Combination[] {of(0, 2, 1)},
            List.of(1L));
    String reason =
        assertThrows(NotLeveledException.class, () -> DenseChain.of(network)).getMessage();
    assertTrue(reason.startsWith("layer 'hidden' also reads"), reason);
  }

  @Test
  void tooManyWeightsAreRefusedBeforeTheyTakeMemory() {
    Combination[] many = new Combination[1 << 14];
    Arrays.fill(many, of(0, 0, 1));
    Network network =
        new Network(
            1 << 13, List.of(layer(many)), new Combination[] {of(0, 1 << 13, 1)}, List.of(1L));
    String reason =
        assertThrows(NotLeveledException.class, () -> DenseChain.of(network)).getMessage();
    assertTrue(reason.contains("134234112 weights as dense layers"), reason);
  }
}
