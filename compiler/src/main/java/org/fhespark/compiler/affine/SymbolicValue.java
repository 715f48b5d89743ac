package org.fhespark.compiler.affine;

import java.util.List;
import org.fhespark.compiler.artifact.Unfolding;

/** What is known of a tensor inside a region. */
sealed interface SymbolicValue {

  /**
   * Not an affine function of one tensor.
   *
   * @param node the node where it ceased to be one
   * @param reason one clause that says why
   */
  record Other(int node, String reason) implements SymbolicValue {}

  /** Which axis holds the channels. */
  enum Layout {
    /** Nothing has shown yet. */
    UNKNOWN,
    /** The last one. */
    LAST,
    /** Axis 1, as convolutions have it. */
    SECOND
  }

  /**
   * A tensor whose values are those of another, each channel multiplied and shifted by numbers.
   *
   * @param source the other tensor
   * @param padding zeros added around the spatial axes: {@code [begin.., end..]}; empty for none
   */
  record Scaled(
      String source, Layout layout, ChannelVector scale, ChannelVector shift, List<Integer> padding)
      implements SymbolicValue {
    static Scaled identity(String source) {
      return new Scaled(source, Layout.UNKNOWN, ChannelVector.ONE, ChannelVector.ZERO, List.of());
    }

    boolean isIdentity() {
      return scale.isOne() && shift.isZero() && padding.isEmpty();
    }

    Scaled with(Layout newLayout, ChannelVector newScale, ChannelVector newShift) {
      return new Scaled(source, newLayout, newScale, newShift, padding);
    }
  }

  /**
   * A tensor whose rows are an affine map of another's.
   *
   * @param source the other tensor
   * @param unfolding how its rows are made; null if a row is the last axis
   */
  record Mapped(String source, Unfolding unfolding, AffineMap map) implements SymbolicValue {
    Layout layout() {
      return unfolding == null ? Layout.LAST : Layout.SECOND;
    }

    Mapped with(AffineMap newMap) {
      return new Mapped(source, unfolding, newMap);
    }
  }
}
