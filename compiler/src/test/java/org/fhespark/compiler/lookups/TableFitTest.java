package org.fhespark.compiler.lookups;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

class TableFitTest {
  private static final double RANGE = 4;
  private static final double NOISE = 0.005;
  private static final int SIZE = 1024;

  private static ValueFunction of(DoubleUnaryOperator function) {
    return arguments -> {
      float[] results = new float[arguments.length];
      for (int i = 0; i < results.length; i++) {
        results[i] = (float) function.applyAsDouble(arguments[i]);
      }
      return results;
    };
  }

  private static float[][] arguments() {
    Random random = new Random(1);
    float[] some = new float[2000];
    for (int i = 0; i < some.length; i++) {
      some[i] = (float) (RANGE * Math.max(-1, Math.min(1, random.nextGaussian() / 3)));
    }
    return new float[][] {some};
  }

  private static TableFit fit(DoubleUnaryOperator function) {
    return TableFit.of(of(function), 0, RANGE, arguments(), NOISE, 8 * NOISE);
  }

  /** What table and line make of an argument whose phase errs. */
  private static double value(TableFit fit, double[] table, double x, double error) {
    long place = Math.round(((x - fit.centre()) / (2 * fit.halfTurn()) + error) * 2 * SIZE);
    int index = (int) Math.floorMod(place, 2L * SIZE);
    double read = index < SIZE ? table[index] : -table[index - SIZE];
    return read + fit.slope() * x + fit.intercept();
  }

  private static double error(DoubleUnaryOperator function, TableFit fit, boolean isNoisy) {
    double[] table = fit.table(SIZE);
    Random random = new Random(2);
    double square = 0;
    float[] some = arguments()[0];
    for (float x : some) {
      double noise = isNoisy ? random.nextGaussian() * NOISE : 0;
      square += Math.pow(value(fit, table, x, noise) - function.applyAsDouble(x), 2);
    }
    return Math.sqrt(square / some.length);
  }

  @Test
  void rectifiersUseTheWholeTorusForTheirRange() {
    for (DoubleUnaryOperator rectifier :
        new DoubleUnaryOperator[] {
          x -> Math.max(x, 0), Math::abs, x -> x > 0 ? x : 0.1 * x,
        }) {
      TableFit fit = fit(rectifier);
      assertEquals(RANGE, fit.halfTurn(), 1e-9);
      assertEquals(1, fit.rangeInTurns(), 1e-9);
      assertTrue(error(rectifier, fit, false) < 0.002 * 2 * RANGE);
    }
    assertEquals(0.5, fit(x -> Math.max(x, 0)).slope(), 0.03);
    assertEquals(0, fit(Math::abs).slope(), 0.06);
  }

  @Test
  void noiseOfARectifierIsHalved() {
    DoubleUnaryOperator relu = x -> Math.max(x, 0);
    double asRead = NOISE * 2 * RANGE;
    assertEquals(0.5, error(relu, fit(relu), true) / asRead, 0.1);
  }

  @Test
  void otherFunctionsAreAsCloseAsNoiseLetsThem() {
    for (DoubleUnaryOperator function :
        new DoubleUnaryOperator[] {
          Math::tanh,
          x -> 1 / (1 + Math.exp(-x)),
          x -> x / (1 + Math.exp(-x)),
          x -> Math.max(-1, Math.min(2, x)),
          x -> x * Math.max(0, Math.min(6, x + 3)) / 6,
          x -> x * x / 4,
          x -> Math.exp(-x * x),
        }) {
      TableFit fit = fit(function);
      double found = error(function, fit, true);
      assertTrue(fit.halfTurn() >= RANGE);
      assertTrue(found < 0.012 * 2 * RANGE, fit.halfTurn() + ": " + found);
      // The prediction counts arguments that do not occur, too.
      assertTrue(found < 1.3 * fit.error() + 0.002, found + " where " + fit.error());
    }
  }

  @Test
  void aStraightLineNeedsNoTable() {
    TableFit fit = fit(x -> 3 * x - 1);
    for (double entry : fit.table(SIZE)) {
      assertEquals(0, entry, 0.05);
    }
    assertEquals(3, fit.slope(), 0.01);
  }
}
