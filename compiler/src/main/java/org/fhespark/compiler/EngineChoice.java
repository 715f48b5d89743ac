package org.fhespark.compiler;

import com.fasterxml.jackson.annotation.JsonInclude;

/**
 * Which engine computes a module with non-linearities, and why.
 *
 * @param asked what was asked for
 * @param chosen PBS or SIMD
 * @param rows of the expected batch that the estimates are of
 * @param pbsMilliseconds look-ups of these rows on one core, and the wire; null if not estimated
 * @param simdMilliseconds the same of polynomials on encrypted numbers
 * @param why one sentence
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record EngineChoice(
    Engine asked,
    Engine chosen,
    long rows,
    Double pbsMilliseconds,
    Double simdMilliseconds,
    String why) {}
