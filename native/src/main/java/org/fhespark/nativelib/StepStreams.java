package org.fhespark.nativelib;

import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/** Steps as they cross to the native side: a stream of integers and one of words. */
record StepStreams(int[] integers, long[] words) {
  private static final int LINEAR = 1;
  private static final int LOOKUP = 2;

  static StepStreams of(List<LookupStep> steps) {
    return new StepStreams(
        steps.stream().flatMapToInt(StepStreams::integers).toArray(),
        steps.stream().flatMapToLong(StepStreams::words).toArray());
  }

  private static IntStream integers(LookupStep step) {
    if (step instanceof LookupStep.Linear linear) {
      IntStream head = IntStream.of(LINEAR, linear.ends().length, linear.columns().length);
      return IntStream.concat(
          IntStream.concat(head, IntStream.of(linear.ends())),
          IntStream.concat(IntStream.of(linear.columns()), IntStream.of(linear.weights())));
    }
    LookupStep.Lookup lookup = (LookupStep.Lookup) step;
    return IntStream.of(LOOKUP, lookup.first(), lookup.count(), lookup.table());
  }

  private static LongStream words(LookupStep step) {
    if (step instanceof LookupStep.Linear linear) {
      return LongStream.of(linear.constants());
    }
    LookupStep.Lookup lookup = (LookupStep.Lookup) step;
    return LongStream.of(lookup.factor(), lookup.offset());
  }
}
