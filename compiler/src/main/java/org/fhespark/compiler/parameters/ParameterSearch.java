package org.fhespark.compiler.parameters;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.NoiseModel;
import org.fhespark.nativelib.PackedParameters;

/**
 * Finds the cheapest secure parameters of a packed circuit.
 *
 * <p>p need not cover the worst case: the client coarsens the scale of a record whose accumulators
 * could leave p bits, so nothing wraps. Parameters carry a bits of activation if all but about one
 * in a thousand calibrated records need no coarsening.
 */
public final class ParameterSearch {
  /** The fewest bits of an activation, its sign included. */
  public static final int FEWEST_ACTIVATION_BITS = 4;

  /** The most bits of an activation, its sign included. */
  public static final int MOST_ACTIVATION_BITS = 16;

  /** The fewest bytes of the ciphertext modulus. */
  public static final int FEWEST_LIMBS = 3;

  /** The most bytes of the ciphertext modulus. */
  public static final int MOST_LIMBS = 7;

  /** The quantile of calibrated records that must fit. */
  public static final double FITTING_RECORDS = 0.999;

  /** What automatic choice carries at least, if anything does. */
  private static final int AUTOMATIC_BITS = 8;

  private static final int SMALLEST_DIMENSION = 900;
  private static final int LARGEST_DIMENSION = 2560;
  private static final int SMALLEST_POLYNOMIAL = 64;
  private static final int LARGEST_POLYNOMIAL = 2048;

  /**
   * What a block can hold at least, however few records are expected: where more come after all,
   * they share a mask. Keys that no record needs cost nothing but their bytes in the key file.
   */
  private static final int LEAST_CAPACITY = 4096;

  /** Above, an accumulator is no longer exact in the client's double arithmetic. */
  private static final int MOST_MESSAGE_BITS = 52;

  private static final int FEWEST_MESSAGE_BITS = 2;
  private static final int ALTERNATIVES = 3;

  private final ParameterRequest request;

  private record Candidate(Limbs limbs, PackedParameters parameters, Cost cost) {}

  private ParameterSearch(ParameterRequest request) {
    this.request = request;
  }

  /**
   * The cheapest parameters that carry a request. If its limbs are too few for p_error, those with
   * the least noise, and of these the cheapest: secure, but wrong more often than was asked for.
   *
   * @throws InvalidInputException if none do; says how many activation bits would
   */
  public static ParameterChoice search(ParameterRequest request) {
    ParameterSearch search = new ParameterSearch(request);
    if (request.activationBits().isPresent()) {
      int bits = request.activationBits().getAsInt();
      List<Candidate> carrying = search.carrying(bits);
      if (carrying.isEmpty()) {
        return search.withLeastNoise(bits);
      }
      return search.choice(carrying, bits, "the " + bits + "-bit activations asked for");
    }
    for (int bits = AUTOMATIC_BITS; bits >= FEWEST_ACTIVATION_BITS; bits--) {
      List<Candidate> carrying = search.carrying(bits);
      if (!carrying.isEmpty()) {
        return search.choice(
            carrying, search.raised(carrying.get(0), bits), bits + "-bit activations");
      }
    }
    if (request.limbs().isPresent()) {
      return search.withLeastNoise(AUTOMATIC_BITS);
    }
    throw search.nothingCarries(FEWEST_ACTIVATION_BITS);
  }

  /**
   * What has the least noise with the limbs asked for, though more than p_error allows.
   *
   * @throws InvalidInputException if no limbs were asked for, or the modulus has no room for p bits
   */
  private ParameterChoice withLeastNoise(int activationBits) {
    int messageBits = messageBits(request.accumulatorBound().applyAsDouble(activationBits));
    if (request.limbs().isEmpty()) {
      throw nothingCarries(activationBits);
    }
    int limbs = request.limbs().getAsInt();
    Limbs whole = new Limbs(limbs, limbs, limbs, limbs);
    List<Candidate> least = new ArrayList<>();
    double noise = Double.POSITIVE_INFINITY;
    for (int size = SMALLEST_POLYNOMIAL; size <= LARGEST_POLYNOMIAL; size *= 2) {
      for (int k = (SMALLEST_DIMENSION + size - 1) / size; k * size <= LARGEST_DIMENSION; k++) {
        if (messageBits > MOST_MESSAGE_BITS
            || !ExactLimbs.secureLimbs(k * size).contains(limbs)
            || !whole.hold(
                messageBits, request.summands(), request.protectsWeights(), k * size, capacity())) {
          continue;
        }
        PackedParameters parameters =
            whole.with(
                k, size, messageBits, bodies(size), request.summands(), request.protectsWeights());
        double own = NoiseModel.outputStandardDeviation(parameters, request.norms());
        if (own < noise) {
          least.clear();
          noise = own;
        }
        if (own == noise) {
          least.add(new Candidate(whole, parameters, cost(parameters)));
        }
      }
    }
    if (least.isEmpty()) {
      throw new InvalidInputException(
          "module "
              + request.modules()
              + ": accumulators of "
              + activationBits
              + "-bit activations take "
              + messageBits
              + " bits, which q = 2^"
              + 8 * limbs
              + " has no room for; use more limbs, or fewer weight or activation bits");
    }
    least.sort(Comparator.comparingDouble(candidate -> candidate.cost.total()));
    String why =
        "cheapest of "
            + least.size()
            + " secure parameter sets with the least noise at q = 2^"
            + 8 * limbs
            + ", where none carries "
            + activationBits
            + "-bit activations at p-error 2^"
            + Math.round(request.log2PError());
    return choiceBecause(why, least, activationBits);
  }

  /**
   * What carries so many activation bits, cheapest first, with the least p. Left out is what cannot
   * be the cheapest: all that another with the same N undercuts in n and in every limb.
   */
  private List<Candidate> carrying(int activationBits) {
    int messageBits = messageBits(request.accumulatorBound().applyAsDouble(activationBits));
    List<Candidate> carrying = new ArrayList<>();
    if (messageBits > MOST_MESSAGE_BITS) {
      return carrying;
    }
    ExactLimbs exact = new ExactLimbs(request, messageBits, capacity());
    for (int size = SMALLEST_POLYNOMIAL; size <= LARGEST_POLYNOMIAL; size *= 2) {
      carrying.addAll(withPolynomialSize(size, messageBits, exact));
    }
    carrying.sort(Comparator.comparingDouble(candidate -> candidate.cost.total()));
    return carrying;
  }

  private List<Candidate> withPolynomialSize(int size, int messageBits, ExactLimbs exact) {
    int bodies = bodies(size);
    List<Candidate> candidates = new ArrayList<>();
    for (int k = (SMALLEST_DIMENSION + size - 1) / size; k * size <= LARGEST_DIMENSION; k++) {
      for (Limbs limbs : exact.at(k * size)) {
        if (candidates.stream().noneMatch(smaller -> smaller.limbs.atMost(limbs))) {
          PackedParameters parameters =
              limbs.with(
                  k, size, messageBits, bodies, request.summands(), request.protectsWeights());
          candidates.add(new Candidate(limbs, parameters, cost(parameters)));
        }
      }
    }
    return candidates;
  }

  /** The most records of a block, with the N at which that is most. */
  private int capacity() {
    return bodies(LARGEST_POLYNOMIAL) * LARGEST_POLYNOMIAL;
  }

  private int bodies(int size) {
    return (Math.max(request.records(), LEAST_CAPACITY) + size - 1) / size;
  }

  private Cost cost(PackedParameters parameters) {
    return request.costs().price(BlockWork.of(parameters, request.records(), request.layer()));
  }

  private boolean decryptsRight(PackedParameters parameters) {
    return NoiseModel.log2FailureProbability(parameters, request.norms()) <= request.log2PError();
  }

  /** The activation bits that parameters carry once p is as large as their noise allows. */
  private int raised(Candidate candidate, int activationBits) {
    int mostMessageBits = mostMessageBits(candidate.parameters);
    int bits = activationBits;
    while (bits < MOST_ACTIVATION_BITS
        && messageBits(request.accumulatorBound().applyAsDouble(bits + 1)) <= mostMessageBits) {
      bits++;
    }
    return bits;
  }

  private int mostMessageBits(PackedParameters parameters) {
    int bits = parameters.messageBits();
    int most = Math.min(MOST_MESSAGE_BITS, 8 * parameters.outputBodyLimbs());
    if (parameters.protectsWeights()) {
      int least =
          NoiseModel.leastFlooding(
              parameters.lweDimension(), parameters.limbs(), parameters.maxRecords());
      most = Math.min(most, bits + parameters.flooding() - least);
    }
    while (bits < most && decryptsRight(parameters.withMessageBits(bits + 1))) {
      bits++;
    }
    return bits;
  }

  private ParameterChoice choice(List<Candidate> carrying, int activationBits, String carried) {
    String why =
        "cheapest of "
            + carrying.size()
            + " secure parameter sets that carry "
            + carried
            + (request.activationBits().isEmpty()
                ? ", then activations raised to the " + activationBits + " bits that it carries"
                : "");
    return choiceBecause(why, carrying, activationBits);
  }

  private ParameterChoice choiceBecause(String why, List<Candidate> carrying, int activationBits) {
    PackedParameters cheapest = carrying.get(0).parameters;
    int worstCase = worstCaseBits(activationBits);
    // More bits than the worst case needs would only spend noise margin.
    int messageBits =
        Math.max(
            messageBits(request.accumulatorBound().applyAsDouble(activationBits)),
            Math.min(worstCase, mostMessageBits(cheapest)));
    PackedParameters chosen = cheapest.withMessageBits(messageBits);
    Cost cost = carrying.get(0).cost;
    return new ParameterChoice(
        chosen,
        activationBits,
        messageBits >= worstCase,
        policy(messageBits, worstCase, activationBits),
        cost,
        carrying.size(),
        why,
        carrying.stream()
            .skip(1)
            .limit(ALTERNATIVES)
            .map(candidate -> alternative(candidate, cost))
            .toList());
  }

  private ParameterChoice.Alternative alternative(Candidate candidate, Cost least) {
    return new ParameterChoice.Alternative(
        candidate.parameters,
        candidate.cost.total() / least.total(),
        candidate.cost.perRecord(request.records()),
        candidate.cost.mostAbove(least));
  }

  private String policy(int messageBits, int worstCase, int activationBits) {
    long nonZeroRecords = request.nonZeroRecords();
    if (request.summands() > 1) {
      return "p = "
          + messageBits
          + " covers the sum of "
          + request.summands()
          + " results of any records: all have one scale, larger activations are clipped, and no"
          + " record is coarsened";
    }
    if (messageBits >= worstCase) {
      return "p = " + messageBits + " covers the worst case: no record is coarsened";
    }
    String covered =
        nonZeroRecords == 0
            ? " rests on no calibrated record, since none is other than zero; at "
            : " covers about 99.9 % of the calibrated records at ";
    return "p = "
        + messageBits
        + covered
        + activationBits
        + " bits"
        + (nonZeroRecords == 0 ? " it does not cover" : ", not")
        + " the worst case ("
        + worstCase
        + "): the client coarsens the scale of a record that could exceed it, and none wraps"
        + (nonZeroRecords == 0 ? "; calibrate with records that occur" : "");
  }

  private int worstCaseBits(int activationBits) {
    double largest = (1 << (activationBits - 1)) - 1;
    return messageBits(request.summands() * largest * request.norms().maxL1());
  }

  /** Least p with bound ≤ 2^(p-1) - 1. */
  private static int messageBits(double bound) {
    int bits = FEWEST_MESSAGE_BITS;
    while (bound > Math.pow(2, bits - 1) - 1) {
      bits++;
    }
    return bits;
  }

  private InvalidInputException nothingCarries(int activationBits) {
    String wayOut =
        "use fewer weight bits or a larger p-error"
            + (request.summands() > 1 ? ", or add fewer results with --sums" : "");
    for (int bits = activationBits - 1; bits >= FEWEST_ACTIVATION_BITS; bits--) {
      if (!carrying(bits).isEmpty()) {
        wayOut = bits + " bits would do: use --activation-bits " + bits;
        break;
      }
    }
    return new InvalidInputException(
        "module "
            + request.modules()
            + ": no parameters carry "
            + activationBits
            + "-bit activations at p-error 2^"
            + Math.round(request.log2PError())
            + "; "
            + wayOut);
  }
}
