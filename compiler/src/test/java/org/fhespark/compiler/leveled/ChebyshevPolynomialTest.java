package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.junit.jupiter.api.Test;

class ChebyshevPolynomialTest {
  private static ChebyshevPolynomial random(Random random, Form form) {
    double[] coefficients = new double[2 + random.nextInt(63)];
    for (int k = 0; k < coefficients.length; k++) {
      coefficients[k] = random.nextGaussian() / (1 + random.nextInt(4) * k);
    }
    return new ChebyshevPolynomial(form, coefficients, form == Form.EVEN ? 0.7 : 0);
  }

  @Test
  void valuesAreThoseOfTheCosineSum() {
    Random random = new Random(1);
    for (Form form : Form.values()) {
      ChebyshevPolynomial polynomial = random(random, form);
      for (double angle = 0; angle < Math.PI; angle += 0.1) {
        double u = Math.cos(angle);
        double sum = polynomial.linear() * u;
        for (int k = 0; k < polynomial.coefficients().length; k++) {
          sum += polynomial.coefficients()[k] * Math.cos((form == Form.EVEN ? 2 : 1) * k * angle);
        }
        assertEquals(sum, polynomial.value(u), 1e-10);
      }
    }
  }

  @Test
  void boundsHoldEverywhereAndAreTight() {
    Random random = new Random(2);
    for (int trial = 0; trial < 40; trial++) {
      ChebyshevPolynomial polynomial = random(random, Form.values()[trial % 2]);
      Interval bounds = polynomial.bounds();
      double least = Double.POSITIVE_INFINITY;
      double most = Double.NEGATIVE_INFINITY;
      for (int i = 0; i <= 40_000; i++) {
        double value = polynomial.value(i / 20_000.0 - 1);
        least = Math.min(least, value);
        most = Math.max(most, value);
      }
      assertTrue(bounds.low() <= least && most <= bounds.high(), bounds + " " + least);
      assertTrue(bounds.half() < 1.01 * (most - least) / 2, bounds + " " + least + " " + most);
    }
  }

  @Test
  void secantsAreBoundedOverTheirInterval() {
    Random random = new Random(3);
    for (int trial = 0; trial < 40; trial++) {
      ChebyshevPolynomial polynomial = random(random, Form.values()[trial % 2]);
      double u0 = random.nextDouble() * 1.6 - 0.8;
      Interval over = new Interval(u0 - random.nextDouble() * 0.2, u0 + random.nextDouble() * 0.2);
      Interval slopes = polynomial.secants(u0, over);
      double least = Double.POSITIVE_INFINITY;
      double most = Double.NEGATIVE_INFINITY;
      for (int i = 0; i <= 5000; i++) {
        double u = over.low() + (over.high() - over.low()) * i / 5000;
        if (Math.abs(u - u0) > 1e-6) {
          double slope = (polynomial.value(u) - polynomial.value(u0)) / (u - u0);
          least = Math.min(least, slope);
          most = Math.max(most, slope);
        }
      }
      double tolerance = 1e-6 * (Math.abs(least) + Math.abs(most));
      assertTrue(slopes.low() <= least + tolerance, slopes + " " + least);
      assertTrue(slopes.high() >= most - tolerance, slopes + " " + most);
      assertTrue(
          slopes.half() < 1.02 * (most - least) / 2 + tolerance, slopes + " " + least + most);
    }
  }

  @Test
  void aNormalisedOneIsShiftedAndScaled() {
    ChebyshevPolynomial polynomial = random(new Random(4), Form.EVEN);
    assertEquals((polynomial.value(0.3) - 2) / 5, polynomial.normalised(2, 5).value(0.3), 1e-12);
  }
}
