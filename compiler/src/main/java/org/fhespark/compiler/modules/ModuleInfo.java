package org.fhespark.compiler.modules;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.RemotePart;
import org.fhespark.compiler.lookups.LookupRegion;

/**
 * A module of the model.
 *
 * @param key its key in {@code model.named_modules()}
 * @param kind what it is
 * @param operators the ONNX operators of its own, in order, each once
 * @param parameters shapes of its own parameters by their names in PyTorch
 * @param calls its calls, if it can go remote packed; an affine map each
 * @param lookups its calls, if it can go remote by look-ups
 * @param refusal why it cannot go remote, in one sentence; empty if it can
 */
public record ModuleInfo(
    String key,
    ModuleKind kind,
    List<String> operators,
    Map<String, List<Long>> parameters,
    List<AffineCall> calls,
    List<LookupRegion> lookups,
    String refusal) {
  public ModuleInfo {
    operators = List.copyOf(operators);
    parameters = Collections.unmodifiableMap(new LinkedHashMap<>(parameters));
    calls = List.copyOf(calls);
    lookups = List.copyOf(lookups);
  }

  /** What its calls compute; empty if it cannot go remote. */
  public List<? extends RemotePart> parts() {
    return calls.isEmpty() ? lookups : calls;
  }

  /** Packed or by look-ups. */
  public boolean canGoRemote() {
    return refusal.isEmpty();
  }

  ModuleInfo refused(String reason) {
    return new ModuleInfo(key, kind, operators, parameters, List.of(), List.of(), reason);
  }

  ModuleInfo withKey(String newKey) {
    Map<String, List<Long>> renamed = new LinkedHashMap<>();
    parameters.forEach(
        (name, shape) -> renamed.put(newKey + name.substring(name.lastIndexOf('.')), shape));
    return new ModuleInfo(newKey, kind, operators, renamed, calls, lookups, refusal);
  }
}
