package org.fhespark.compiler.split;

import java.util.List;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.RemotePart;
import org.fhespark.compiler.lookups.LookupRegion;

/**
 * A module that goes remote.
 *
 * @param key its key
 * @param calls where the graph calls it, in the order of the graph, if it is one affine map; all
 *     share its weights
 * @param lookups where the graph calls it, if it needs look-ups
 */
public record RemoteModule(String key, List<AffineCall> calls, List<LookupRegion> lookups) {
  public RemoteModule {
    calls = List.copyOf(calls);
    lookups = List.copyOf(lookups);
  }

  /** What its calls compute. */
  public List<? extends RemotePart> parts() {
    return calls.isEmpty() ? lookups : calls;
  }

  /**
   * Whether it has non-linearities, by whatever engine, so that its circuits need evaluation keys.
   */
  public boolean isNonLinear() {
    return !lookups.isEmpty();
  }

  /** What tells the layer's shape and weights: any call does. */
  public AffineCall layer() {
    return calls.get(0);
  }
}
