package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import org.fhespark.compiler.affine.AffineCall;
import org.fhespark.compiler.affine.RowSource;
import org.fhespark.compiler.split.RemoteCall;
import org.fhespark.compiler.split.RemoteModule;

/**
 * Remote modules that read the same rows whenever they are called: one circuit computes them all,
 * so that a row is encrypted and sent once.
 *
 * @param modules the modules, in the order of the circuit's outputs
 * @param calls the calls of each of them, in order; all have as many
 * @param activationBits that were asked for
 * @param limbs of the modulus that were asked for
 */
record CircuitStack(
    List<RemoteModule> modules,
    List<List<RemoteCall>> calls,
    OptionalInt activationBits,
    OptionalInt limbs) {
  /**
   * The result of one record of so many outputs can be sent, whatever the parameters: those of more
   * might not, where each module's alone can.
   */
  private static final long MOST_OUTPUTS = 40_000;

  CircuitStack {
    modules = List.copyOf(modules);
    calls = List.copyOf(calls);
  }

  /** What modules of a stack have in common. */
  private record Key(List<Read> reads, OptionalInt activationBits, OptionalInt limbs) {
    record Read(int stage, RowSource rows) {}
  }

  /** Stacks modules; every module is in one stack. */
  static List<CircuitStack> of(
      List<RemoteModule> modules, List<RemoteCall> calls, CompileOptions options) {
    Map<Key, List<RemoteModule>> byKey = new LinkedHashMap<>();
    Map<String, List<RemoteCall>> byModule =
        calls.stream().collect(Collectors.groupingBy(RemoteCall::module));
    for (RemoteModule module : modules) {
      List<Key.Read> reads =
          byModule.get(module.key()).stream()
              .map(call -> new Key.Read(call.stage(), call.call().rows()))
              .toList();
      byKey
          .computeIfAbsent(
              new Key(reads, options.activationBits(module.key()), options.limbs(module.key())),
              unused -> new ArrayList<>())
          .add(module);
    }
    List<CircuitStack> stacks = new ArrayList<>();
    byKey.forEach(
        (key, members) -> {
          for (List<RemoteModule> part : parts(members)) {
            stacks.add(
                new CircuitStack(
                    part,
                    part.stream().map(module -> byModule.get(module.key())).toList(),
                    key.activationBits,
                    key.limbs));
          }
        });
    return stacks;
  }

  /** Modules in as few parts as limits allow. */
  private static List<List<RemoteModule>> parts(List<RemoteModule> members) {
    List<List<RemoteModule>> parts = new ArrayList<>();
    List<RemoteModule> part = new ArrayList<>();
    long outputs = 0;
    for (RemoteModule module : members) {
      long own = module.layer().dOut();
      boolean tooMany =
          outputs + own > MOST_OUTPUTS
              || (outputs + own) * module.layer().dIn() > Integer.MAX_VALUE / 2;
      if (tooMany && !part.isEmpty()) {
        parts.add(part);
        part = new ArrayList<>();
        outputs = 0;
      }
      part.add(module);
      outputs += own;
    }
    parts.add(part);
    return parts;
  }

  /** The circuit's name: the keys of its modules, joined by {@code +}. */
  String name() {
    return modules.stream().map(RemoteModule::key).collect(Collectors.joining("+"));
  }

  /** The keys of its modules, for messages. */
  String quotedKeys() {
    return modules.stream().map(m -> "'" + m.key() + "'").collect(Collectors.joining(", "));
  }

  int dIn() {
    return modules.get(0).layer().dIn();
  }

  int dOut() {
    return modules.stream().mapToInt(module -> module.layer().dOut()).sum();
  }

  /** How often it is evaluated. */
  int callCount() {
    return calls.get(0).size();
  }

  /** The modules' calls that one evaluation serves. */
  List<RemoteCall> call(int index) {
    return calls.stream().map(ofModule -> ofModule.get(index)).toList();
  }

  /** The tensors that it reads. */
  List<String> inputs() {
    return readers().stream().map(AffineCall::input).distinct().toList();
  }

  /** Calls that read all rows that it ever reads. */
  List<AffineCall> readers() {
    return calls.get(0).stream().map(RemoteCall::call).toList();
  }
}
