package org.fhespark.compiler.leveled;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.fhespark.compiler.parameters.BlockLimits;
import org.fhespark.nativelib.LeveledActivation.Form;
import org.fhespark.nativelib.LeveledParameters;

/**
 * The fastest polynomials and ring that are exact enough. What each layer's polynomials make of the
 * error is found with the best ones in all other layers; combinations that this promises are then
 * tried, the fastest first.
 */
final class LeveledSearch {
  /** Layers of activations whose polynomials are chosen one by one; of more, all have the same. */
  private static final int MOST_CHOSEN_APART = 3;

  /** A combination may be promised to miss the target by so much, for promises are not exact. */
  private static final double SLACK = 1.15;

  private final DenseChain chain;
  private final ErrorMeasure measure;
  private final Trial trial;
  private final double target;
  private final long rows;
  private final Map<List<ActivationShape>, PartialChain> begun = new HashMap<>();
  private final Map<List<ActivationShape>, Double> errors = new HashMap<>();

  /** Tries a whole chain with the noise of encryption. */
  @FunctionalInterface
  interface Trial {
    /** The error of outputs of the rows that are held out. */
    double error(LeveledParameters parameters, PartialChain.Whole chain);
  }

  /**
   * A search.
   *
   * @param start the chain's beginning
   * @param measure of errors
   * @param trial of what would be chosen
   * @param target the largest error
   * @param rows that come together
   */
  LeveledSearch(
      DenseChain chain,
      PartialChain start,
      ErrorMeasure measure,
      Trial trial,
      double target,
      long rows) {
    this.chain = chain;
    this.measure = measure;
    this.trial = trial;
    this.target = target;
    this.rows = rows;
    begun.put(List.of(), start);
  }

  /**
   * What was found.
   *
   * @param error with noise, on rows that are held out, relative to the outputs' spread
   * @param milliseconds of a block
   * @param candidates combinations that were looked at
   */
  record Choice(
      List<ActivationShape> activations,
      LeveledParameters parameters,
      PartialChain.Whole chain,
      double error,
      double milliseconds,
      long candidates) {}

  /** A combination with the ring that is fastest. */
  private record Candidate(
      List<ActivationShape> activations, LeveledParameters parameters, double milliseconds) {}

  /**
   * Searches.
   *
   * @throws NotLeveledException if no polynomials are exact enough, or those that are need more
   *     levels than any ring has, or noise makes them inexact
   */
  Choice search() throws NotLeveledException {
    List<List<ActivationShape>> all = combinations();
    List<ActivationShape> best =
        all.stream().max(Comparator.comparingInt(LeveledSearch::degreesInArguments)).orElseThrow();
    double least = error(best);
    if (!(least <= target)) {
      throw new NotLeveledException(
          ("the error of its outputs is %.3g of their spread even with polynomials of degree %d, and"
                  + " %.3g was asked for")
              .formatted(least, best.get(0).degree(), target));
    }
    Map<List<ActivationShape>, Double> promised = new HashMap<>();
    for (List<ActivationShape> shapes : all) {
      promised.put(shapes, promise(shapes, best, least));
    }
    List<List<ActivationShape>> promising =
        all.stream().filter(shapes -> promised.get(shapes) <= SLACK * target).toList();
    List<Candidate> candidates =
        promising.stream()
            .flatMap(shapes -> candidate(shapes).stream())
            .sorted(Comparator.comparingDouble(Candidate::milliseconds))
            .toList();
    double noisiest = 0;
    for (Candidate candidate : candidates) {
      if (error(candidate.activations) <= target) {
        PartialChain.Whole whole = partial(candidate.activations).finish();
        double noisy = trial.error(candidate.parameters, whole);
        if (noisy <= target) {
          return new Choice(
              candidate.activations,
              candidate.parameters,
              whole,
              noisy,
              candidate.milliseconds / blocks(candidate.parameters),
              all.size());
        }
        noisiest = Math.max(noisiest, noisy);
      }
    }
    if (noisiest > 0) {
      throw new NotLeveledException(
          "noise takes the error of its outputs to %.3g of their spread, and %.3g was asked for"
              .formatted(noisiest, target));
    }
    throw unreached(promising);
  }

  /** Of what was promised to be exact enough, rings lack levels, or it was not. */
  private NotLeveledException unreached(List<List<ActivationShape>> promising) {
    int most = Rings.mostLevels(Rings.DEGREES.get(Rings.DEGREES.size() - 1));
    OptionalInt needed =
        promising.stream().mapToInt(ActivationShape::levels).filter(levels -> levels > most).min();
    if (needed.isPresent()) {
      return new NotLeveledException(
          "for an error of %.3g it needs %d levels, and the largest ring has %d"
              .formatted(target, needed.getAsInt(), most));
    }
    Optional<LeveledParameters> smallest =
        promising.stream()
            .map(ActivationShape::levels)
            .sorted()
            .flatMap(LeveledSearch::rings)
            .findFirst();
    if (smallest.isPresent()
        && promising.stream().allMatch(shapes -> candidate(shapes).isEmpty())) {
      return new NotLeveledException(
          "a block of it has %,d MB on its way up and %,d MB on its way down in the smallest ring with the levels that it needs, and %,d MB and %,d MB are the most"
              .formatted(
                  bytesUp(smallest.get()) >> 20,
                  bytesDown(smallest.get()) >> 20,
                  BlockLimits.LARGEST_BLOCK_BYTES >> 20,
                  BlockLimits.LARGEST_RESULT_BYTES >> 20));
    }
    return new NotLeveledException(
        "the error of its outputs is %.3g of their spread at least, and %.3g was asked for"
            .formatted(errors.values().stream().min(Double::compare).orElseThrow(), target));
  }

  private static int degreesInArguments(List<ActivationShape> shapes) {
    return shapes.stream()
        .mapToInt(shape -> shape.form() == Form.EVEN ? 2 * shape.degree() : shape.degree())
        .sum();
  }

  private List<List<ActivationShape>> combinations() throws NotLeveledException {
    int layers = chain.activations().size();
    List<List<ActivationShape>> all = List.of(List.of());
    for (int g = 0; g < layers; g++) {
      boolean isEven = isEven(g);
      List<List<ActivationShape>> longer = new ArrayList<>();
      for (List<ActivationShape> shapes : all) {
        for (Form form : isEven ? Form.values() : new Form[] {Form.GENERAL}) {
          for (int degree : ActivationShape.DEGREES) {
            if (layers <= MOST_CHOSEN_APART || g == 0 || degree == shapes.get(0).degree()) {
              longer.add(appended(shapes, new ActivationShape(form, degree)));
            }
          }
        }
      }
      all = longer;
    }
    return all;
  }

  /**
   * Whether a layer's function is even but for a line; later layers as the first polynomials go.
   */
  private boolean isEven(int layer) throws NotLeveledException {
    int middle = ActivationShape.DEGREES.get(ActivationShape.DEGREES.size() / 2);
    List<ActivationShape> before =
        IntStream.range(0, layer).mapToObj(g -> new ActivationShape(Form.GENERAL, middle)).toList();
    return partial(before).allows(Form.EVEN);
  }

  private static List<ActivationShape> appended(
      List<ActivationShape> shapes, ActivationShape last) {
    List<ActivationShape> longer = new ArrayList<>(shapes);
    longer.add(last);
    return List.copyOf(longer);
  }

  private PartialChain partial(List<ActivationShape> shapes) throws NotLeveledException {
    PartialChain known = begun.get(shapes);
    if (known == null) {
      int last = shapes.size() - 1;
      known =
          partial(shapes.subList(0, last)).then(shapes.get(last).form(), shapes.get(last).degree());
      if (last + 1 < chain.activations().size()) {
        begun.put(List.copyOf(shapes), known);
      }
    }
    return known;
  }

  private double error(List<ActivationShape> shapes) throws NotLeveledException {
    Double known = errors.get(shapes);
    if (known == null) {
      known = measure.of(partial(shapes).heldOut());
      errors.put(shapes, known);
    }
    return known;
  }

  /** Errors of layers add up as if they were independent. */
  private double promise(List<ActivationShape> shapes, List<ActivationShape> best, double least)
      throws NotLeveledException {
    double square = least * least;
    for (int g = 0; g < shapes.size(); g++) {
      List<ActivationShape> alone = new ArrayList<>(best);
      alone.set(g, shapes.get(g));
      double error = error(List.copyOf(alone));
      square += Math.max(0, error * error - least * least);
    }
    return Math.sqrt(square);
  }

  private Optional<Candidate> candidate(List<ActivationShape> shapes) {
    int levels = ActivationShape.levels(shapes);
    return rings(levels)
        .filter(this::isSendable)
        .map(
            parameters ->
                new Candidate(
                    shapes,
                    parameters,
                    blocks(parameters)
                        * LeveledCost.milliseconds(parameters, chain.widths(), shapes)))
        .min(Comparator.comparingDouble(Candidate::milliseconds));
  }

  private static Stream<LeveledParameters> rings(int levels) {
    return Rings.DEGREES.stream()
        .filter(degree -> Rings.mostLevels(degree) >= levels)
        .map(degree -> new LeveledParameters(degree, levels));
  }

  private boolean isSendable(LeveledParameters parameters) {
    return bytesUp(parameters) <= BlockLimits.LARGEST_BLOCK_BYTES
        && bytesDown(parameters) <= BlockLimits.LARGEST_RESULT_BYTES;
  }

  private long bytesUp(LeveledParameters parameters) {
    return chain.widths()[0] * parameters.bytesUp();
  }

  private long bytesDown(LeveledParameters parameters) {
    int[] widths = chain.widths();
    return widths[widths.length - 1] * parameters.bytesDown();
  }

  private long blocks(LeveledParameters parameters) {
    return (rows + parameters.polynomialSize() - 1) / parameters.polynomialSize();
  }
}
