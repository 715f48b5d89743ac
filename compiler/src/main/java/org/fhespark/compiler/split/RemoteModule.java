package org.fhespark.compiler.split;

import java.util.List;
import org.fhespark.compiler.affine.AffineCall;

/**
 * A module that goes remote.
 *
 * @param key its key
 * @param calls where the graph calls it, in the order of the graph; all share its weights
 */
public record RemoteModule(String key, List<AffineCall> calls) {
  public RemoteModule {
    calls = List.copyOf(calls);
  }

  /** What tells the layer's shape and weights: any call does. */
  public AffineCall layer() {
    return calls.get(0);
  }
}
