package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

class EvenFunctionsTest {
  private static boolean isEven(DoubleUnaryOperator function, double range) {
    return EvenFunctions.isEvenButForALine(RandomNetwork.function(function), range);
  }

  @Test
  void rectifiersOfAllKindsAre() {
    for (double range : new double[] {0.01, 1, 6, 40}) {
      assertTrue(isEven(RandomNetwork.RELU, range), "ReLU");
      assertTrue(isEven(x -> x > 0 ? x : 0.1 * x, range), "leaky ReLU");
      assertTrue(isEven(RandomNetwork.SILU, range), "SiLU");
      assertTrue(isEven(x -> x * Math.max(0, Math.min(6, x + 3)) / 6, range), "HardSwish");
      assertTrue(isEven(x -> Math.log1p(Math.exp(x)), range), "softplus");
      assertTrue(isEven(x -> x * x, range), "square");
    }
  }

  @Test
  void othersAreNot() {
    assertFalse(isEven(RandomNetwork.SIGMOID, 6));
    assertFalse(isEven(Math::tanh, 3));
    assertFalse(isEven(x -> Math.max(-1, Math.min(1, x)), 1.2));
    assertFalse(isEven(x -> x > 0 ? x : Math.expm1(x), 2));
    assertFalse(isEven(x -> Math.max(0, Math.min(6, x)), 10));
  }
}
