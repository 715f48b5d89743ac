package org.fhespark.jobs.cli;

import java.security.SecureRandom;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.fhespark.nativelib.PublicKey;
import org.fhespark.nativelib.WeightAttack;
import org.fhespark.udf.BlockBatch;
import org.fhespark.udf.EncryptedBlock;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Shows what a malicious client learns of a linear module's weights. */
@Command(
    name = "attack",
    description = {
      "Attacks the weights of a linear module as a malicious client could, and says how many it"
          + " recovered.",
      "The attack reads client.json alone; the circuit serves to evaluate its blocks, and to count"
          + " which weights are right."
    },
    mixinStandardHelpOptions = true)
final class AttackCommand implements Callable<Integer> {
  private static final int KEY_ID_BYTES = 16;

  @Option(
      names = "--client",
      required = true,
      paramLabel = "DIR",
      description = "The client artefact.")
  private Path client;

  @Option(
      names = "--server",
      required = true,
      paramLabel = "DIR",
      description = "The server artefact.")
  private Path server;

  @Option(
      names = "--remote",
      required = true,
      paramLabel = "MODULE",
      description =
          "Key of a remote linear module; modules that share its circuit are attacked too.")
  private String module;

  @Option(
      names = "--records",
      paramLabel = "R",
      description =
          "Records of its choice that the client may score (default: as many as it needs).")
  private Integer records;

  @Override
  public Integer call() {
    HybridModel model = HybridModel.load(client, server, HadoopSettings.submitted());
    RemoteCallSpec call = call(model);
    try (PackedCircuit circuit = PackedCircuit.open(model.circuit(call.circuit()))) {
      attack(call, circuit);
    }
    return 0;
  }

  private RemoteCallSpec call(HybridModel model) {
    List<RemoteCallSpec> calls = model.specs().remote();
    RemoteCallSpec call =
        calls.stream()
            .filter(each -> each.outputs().stream().anyMatch(o -> o.module().equals(module)))
            .findFirst()
            .orElseThrow(
                () ->
                    new InvalidInputException(
                        "--remote "
                            + module
                            + ": no remote module of "
                            + client
                            + " has this key; there are "
                            + String.join(
                                ", ", calls.stream().map(RemoteCallSpec::circuit).toList())));
    if (!call.isPacked()) {
      throw new InvalidInputException(
          "--remote "
              + module
              + ": this module has non-linearities, which leave no linear equations to attack; name"
              + " a linear module");
    }
    if (records != null && (records < 1 || records > call.parameters().maxRecords())) {
      throw new InvalidInputException(
          "--records "
              + records
              + ": a block of this module holds 1 to "
              + call.parameters().maxRecords());
    }
    return call;
  }

  private void attack(RemoteCallSpec call, PackedCircuit circuit) {
    PackedParameters parameters = call.parameters();
    WeightAttack attack =
        new WeightAttack(
            CircuitDigest.parse(call.circuitDigest()), parameters, call.dIn(), call.dOut());
    System.out.printf(
        "circuit %s: %d x %d weights, q = 2^%d, p = %d, results of %d + %d bytes, %s%n",
        call.circuit(),
        call.dOut(),
        call.dIn(),
        parameters.log2Modulus(),
        parameters.messageBits(),
        parameters.outputLimbs(),
        parameters.outputBodyLimbs(),
        parameters.protectsWeights() ? "re-randomised" : "not re-randomised");
    byte[] keyId = new byte[KEY_ID_BYTES];
    new SecureRandom().nextBytes(keyId);
    byte[] weights = weights(circuit);
    try (PublicKey key = PublicKey.open(attack.publicKey(keyId))) {
      byte[] one = attack.block(keyId, 1);
      Optional<byte[]> solved = attack.weightsOfMasks(one, evaluate(circuit, key, one));
      System.out.println(
          "masks of one record's block: "
              + solved
                  .map(found -> recovered(found, weights, call))
                  .orElse("recovered none: " + noEquations(attack)));
      int needed = attack.recordsNeeded();
      int asked = records != null ? records : Math.min(needed, parameters.maxRecords());
      byte[] block = attack.block(keyId, asked);
      byte[] found = attack.weightsOfBodies(evaluate(circuit, key, block));
      System.out.printf(
          "bodies of %d chosen records, of %d that are needed at %d weights of each output a record:"
              + " %s%n",
          asked, needed, attack.weightsPerRecord(), recovered(found, weights, call));
    }
  }

  private static String noEquations(WeightAttack attack) {
    PackedParameters parameters = attack.parameters();
    if (parameters.protectsWeights()) {
      return "the equations have no solution, for results are re-randomised";
    }
    return parameters.outputLimbs() < parameters.limbs()
        ? "results' masks are rounded, which leaves no exact equations"
        : "the equations do not determine the weights";
  }

  private static String recovered(byte[] found, byte[] weights, RemoteCallSpec call) {
    int features = found.length / call.dOut();
    int right = 0;
    for (int output = 0; output < call.dOut(); output++) {
      for (int feature = 0; feature < features; feature++) {
        if (found[output * features + feature] == weights[output * call.dIn() + feature]) {
          right++;
        }
      }
    }
    return "recovered " + right + " of " + weights.length + " weights";
  }

  private static byte[] evaluate(PackedCircuit circuit, PublicKey key, byte[] block) {
    int threads = Runtime.getRuntime().availableProcessors();
    try (EncryptedBlock sent = EncryptedBlock.copyOf(block);
        EncryptedBlock result =
            BlockBatch.evaluate(
                    (inputArray, inputSchema, outputArray, outputSchema, cores, shouldStop) ->
                        circuit.evaluate(
                            key,
                            inputArray,
                            inputSchema,
                            outputArray,
                            outputSchema,
                            cores,
                            shouldStop),
                    List.of(sent),
                    threads,
                    () -> false)
                .get(0)) {
      return result.toByteArray();
    }
  }

  /** The circuit's, {@code [d_out][d_in]}: what it makes of unit records. */
  private static byte[] weights(PackedCircuit circuit) {
    int inputs = circuit.inputs();
    int outputs = circuit.outputs();
    byte[] weights = new byte[outputs * inputs];
    for (int feature = 0; feature < inputs; feature++) {
      int[] unit = new int[inputs];
      unit[feature] = 1;
      long[] column = circuit.accumulate(unit);
      for (int output = 0; output < outputs; output++) {
        weights[output * inputs + feature] = (byte) column[output];
      }
    }
    return weights;
  }
}
