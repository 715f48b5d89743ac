package org.fhespark.compiler.affine;

import java.util.Optional;
import org.fhespark.compiler.artifact.Unfolding;

/**
 * Where the rows of a remote call come from.
 *
 * @param tensor the tensor it reads
 * @param unfolding how windows of it become rows; empty if a row is its last axis
 */
public record RowSource(String tensor, Optional<Unfolding> unfolding) {}
