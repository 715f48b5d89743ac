package org.fhespark.compiler.parameters;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.WeightNorms;

/**
 * With how few limbs messages of p bits still decrypt right, for each n. Noise depends on n = k·N
 * alone, so all its splits share the answer.
 */
final class ExactLimbs {
  private static final int SMALLEST_POLYNOMIAL = 64;
  private static final int FEWEST_BODY_LIMBS = 2;

  /** For each n, the limbs of moduli at which some noise is secure: the curve alone says so. */
  private static final Map<Integer, List<Integer>> SECURE = new HashMap<>();

  private final WeightNorms norms;
  private final int messageBits;
  private final OptionalInt limbs;
  private final double log2PError;
  private final int summands;
  private final boolean protectsWeights;
  private final int capacity;
  private final Map<Integer, List<Limbs>> found = new HashMap<>();

  /**
   * @param request of the norms, limbs, p_error, and what becomes of results
   * @param capacity the most records of a block, whatever its N
   */
  ExactLimbs(ParameterRequest request, int messageBits, int capacity) {
    this.norms = request.norms();
    this.messageBits = messageBits;
    this.limbs = request.limbs();
    this.log2PError = request.log2PError();
    this.summands = request.summands();
    this.protectsWeights = request.protectsWeights();
    this.capacity = capacity;
  }

  /** All choices at dimension n but those that others undercut in every limb. */
  List<Limbs> at(int dimension) {
    return found.computeIfAbsent(dimension, this::search);
  }

  private List<Limbs> search(int dimension) {
    List<Limbs> exact = new ArrayList<>();
    int fewest = (messageBits + 7) / 8;
    for (int mask : secureLimbs(dimension)) {
      // Without any rounding there is the least noise that this modulus can have.
      if (limbs.isPresent() && limbs.getAsInt() != mask) {
        continue;
      }
      if (fewest > mask || !isExact(dimension, new Limbs(mask, mask, mask, mask))) {
        continue;
      }
      for (int body = Math.max(FEWEST_BODY_LIMBS, fewest); body <= mask; body++) {
        for (int outputMask = fewest; outputMask <= mask; outputMask++) {
          for (int outputBody = fewest; outputBody <= Math.min(body, outputMask); outputBody++) {
            Limbs limbs = new Limbs(mask, body, outputMask, outputBody);
            if (exact.stream().anyMatch(fewer -> fewer.atMost(limbs))) {
              break;
            }
            if (isExact(dimension, limbs)) {
              exact.add(limbs);
              break;
            }
          }
        }
      }
    }
    return exact;
  }

  private boolean isExact(int dimension, Limbs limbs) {
    if (!limbs.hold(messageBits, summands, protectsWeights, dimension, capacity)) {
      return false;
    }
    PackedParameters parameters =
        limbs.with(
            dimension / SMALLEST_POLYNOMIAL,
            SMALLEST_POLYNOMIAL,
            messageBits,
            1,
            summands,
            protectsWeights);
    return NoiseModel.log2FailureProbability(parameters, norms) <= log2PError;
  }

  /** Moduli, by their limbs, at which some noise is secure. */
  static List<Integer> secureLimbs(int dimension) {
    synchronized (SECURE) {
      return SECURE.computeIfAbsent(
          dimension,
          n -> {
            List<Integer> secure = new ArrayList<>();
            for (int limbs = ParameterSearch.FEWEST_LIMBS;
                limbs <= ParameterSearch.MOST_LIMBS;
                limbs++) {
              if (isSecure(n, limbs)) {
                secure.add(limbs);
              }
            }
            return secure;
          });
    }
  }

  private static boolean isSecure(int dimension, int limbs) {
    try {
      return NoiseModel.freshStandardDeviation(dimension, limbs) > 0;
    } catch (InvalidInputException tooSmall) {
      return false;
    }
  }
}
