package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.junit.jupiter.api.Test;

class SeriesFitTest {
  private static final double[] NARROW = normal(0, 0.1);

  private static double[] normal(double mean, double deviation) {
    Random random = new Random(1);
    return random.doubles(1000).map(u -> mean + deviation * random.nextGaussian()).toArray();
  }

  private static ChebyshevPolynomial fit(
      Form form, int degree, DoubleUnaryOperator function, double[] arguments) {
    SeriesFit fit = new SeriesFit(form, degree);
    return fit.fit(Arrays.stream(fit.nodes()).map(function).toArray(), arguments);
  }

  private static double error(
      ChebyshevPolynomial polynomial, DoubleUnaryOperator function, double[] arguments) {
    return Math.sqrt(
        Arrays.stream(arguments)
            .map(u -> Math.pow(polynomial.value(u) - function.applyAsDouble(u), 2))
            .average()
            .orElseThrow());
  }

  @Test
  void aPolynomialIsItsOwnFit() {
    DoubleUnaryOperator cubic = u -> 0.3 + u - 2 * u * u + 0.5 * u * u * u;
    ChebyshevPolynomial general = fit(Form.GENERAL, 7, cubic, NARROW);
    DoubleUnaryOperator evenAndLine = u -> 0.3 + 0.7 * u - u * u + u * u * u * u;
    ChebyshevPolynomial even = fit(Form.EVEN, 3, evenAndLine, NARROW);
    for (double u = -1; u <= 1; u += 0.05) {
      assertEquals(cubic.applyAsDouble(u), general.value(u), 1e-6);
      assertEquals(evenAndLine.applyAsDouble(u), even.value(u), 1e-6);
    }
  }

  @Test
  void itIsClosestWhereArgumentsAreAndNotFarOffElsewhere() {
    DoubleUnaryOperator relu = u -> Math.max(u, 0);
    double[] anywhere = new Random(2).doubles(20_000, -1, 1).toArray();
    for (Form form : Form.values()) {
      for (int degree : ActivationShape.DEGREES) {
        ChebyshevPolynomial fitted = fit(form, degree, relu, NARROW);
        ChebyshevPolynomial even = fit(form, degree, relu, anywhere);
        assertTrue(error(fitted, relu, NARROW) < error(even, relu, NARROW), form + " " + degree);
        double most = 0;
        for (double u : anywhere) {
          most = Math.max(most, Math.abs(fitted.value(u) - relu.applyAsDouble(u)));
        }
        assertTrue(most < 0.5, form + " " + degree + " errs by " + most);
      }
    }
  }

  @Test
  void higherDegreesAreMoreExact() {
    DoubleUnaryOperator relu = u -> Math.max(u, 0);
    for (Form form : Form.values()) {
      double before = 1;
      for (int degree : ActivationShape.DEGREES) {
        double error = error(fit(form, degree, relu, NARROW), relu, NARROW);
        assertTrue(error < 0.8 * before, form + " " + degree + ": " + error);
        before = error;
      }
    }
  }

  @Test
  void argumentsThatAreAllTheSameDoNotBreakIt() {
    ChebyshevPolynomial polynomial =
        fit(Form.GENERAL, 15, u -> Math.max(u, 0), new double[] {0.2, 0.2, 0.2});
    assertEquals(0.2, polynomial.value(0.2), 0.01);
  }
}
