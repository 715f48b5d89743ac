package org.fhespark.examples.minilm;

import java.util.List;

/**
 * Cosines of embeddings to those of the same sentences that are expected.
 *
 * @param mean of all sentences
 * @param least of a sentence
 */
record Cosines(double mean, double least) {
  static Cosines of(List<float[]> embeddings, float[][] expected) {
    if (embeddings.size() != expected.length) {
      throw new IllegalStateException(embeddings.size() + " rows of " + expected.length);
    }
    double sum = 0;
    double least = 1;
    for (int i = 0; i < expected.length; i++) {
      double cosine = cosine(embeddings.get(i), expected[i]);
      sum += cosine;
      least = Math.min(least, cosine);
    }
    return new Cosines(sum / expected.length, least);
  }

  private static double cosine(float[] a, float[] b) {
    double product = 0;
    double squaresA = 0;
    double squaresB = 0;
    for (int i = 0; i < a.length; i++) {
      product += (double) a[i] * b[i];
      squaresA += (double) a[i] * a[i];
      squaresB += (double) b[i] * b[i];
    }
    return product / Math.sqrt(squaresA * squaresB);
  }
}
