package org.fhespark.compiler;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.fhespark.compiler.parameters.BlockWork;
import org.fhespark.compiler.parameters.ParameterChoice;
import org.fhespark.compiler.parameters.ParameterRequest;
import org.fhespark.compiler.parameters.ParameterSearch;
import org.fhespark.compiler.quantize.ActivationStatistics;
import org.fhespark.compiler.quantize.QuantizedWeights;
import org.fhespark.compiler.split.RemoteCall;
import org.fhespark.compiler.split.RemoteModule;
import org.fhespark.nativelib.WeightNorms;

/**
 * Remote modules that read a tensor in common, directly or through a third. They get the same
 * parameters and activation bits, so that one encryption can serve them all.
 *
 * @param modules the modules
 * @param inputs all tensors that they read
 */
record EncryptionGroup(List<RemoteModule> modules, Set<String> inputs) {

  /** Groups modules; every module is in one group. */
  static List<EncryptionGroup> of(List<RemoteModule> modules, List<RemoteCall> calls) {
    List<EncryptionGroup> groups = new ArrayList<>();
    for (RemoteModule module : modules) {
      List<RemoteModule> members = new ArrayList<>(List.of(module));
      Set<String> inputs =
          calls.stream()
              .filter(call -> call.module().equals(module.key()))
              .map(call -> call.call().input())
              .collect(Collectors.toCollection(LinkedHashSet::new));
      List<EncryptionGroup> apart = new ArrayList<>();
      for (EncryptionGroup group : groups) {
        if (group.inputs.stream().anyMatch(inputs::contains)) {
          members.addAll(0, group.modules);
          inputs.addAll(group.inputs);
        } else {
          apart.add(group);
        }
      }
      apart.add(new EncryptionGroup(members, inputs));
      groups = apart;
    }
    return groups;
  }

  /** Parameters that carry every module of the group. */
  ParameterChoice chooseParameters(
      Map<String, QuantizedWeights> weights,
      Map<String, ActivationStatistics> statistics,
      CompileOptions options) {
    // The client counts the norms of a layer of zeros as 1.
    long maxL1 = 1;
    long maxL2Squared = 1;
    int maxAbs = 1;
    long dOut = 0;
    for (RemoteModule module : modules) {
      WeightNorms norms = weights.get(module.key()).norms();
      maxL1 = Math.max(maxL1, norms.maxL1());
      maxL2Squared = Math.max(maxL2Squared, norms.maxL2Squared());
      maxAbs = Math.max(maxAbs, norms.maxAbs());
      dOut += module.layer().dOut();
    }
    WeightNorms norms = new WeightNorms(maxL1, maxL2Squared, maxAbs);
    return ParameterSearch.search(
        new ParameterRequest(
            modules.stream().map(m -> "'" + m.key() + "'").collect(Collectors.joining(", ")),
            new BlockWork.Layer(modules.size(), modules.get(0).layer().dIn(), dOut),
            norms,
            bits ->
                inputs.stream()
                    .mapToDouble(
                        input ->
                            statistics
                                .get(input)
                                .accumulatorBound(
                                    norms,
                                    bits,
                                    options.quantization(),
                                    ParameterSearch.FITTING_RECORDS))
                    .max()
                    .orElseThrow(),
            inputs.stream()
                .mapToLong(input -> statistics.get(input).nonZeroRecords())
                .min()
                .orElseThrow(),
            options.activationBits(),
            options.log2PError(),
            options.expectedBatch(),
            options.costs()));
  }
}
