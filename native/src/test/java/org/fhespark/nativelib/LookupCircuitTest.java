package org.fhespark.nativelib;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.fhespark.InvalidInputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What needs no encrypted evaluation; that comes through Arrow, and is tested where Arrow is. */
class LookupCircuitTest {
  private static final PackedParameters PACKED = new PackedParameters(4, 512, 5, 5, 5, 5, 16, 1);
  private static final BootstrapParameters PARAMETERS =
      new BootstrapParameters(900, 4, 512, new Decomposition(23, 1), new Decomposition(4, 3), 2);

  /** The identity on -1/4 to 1/4. */
  private static long[] table() {
    long[] table = new long[PARAMETERS.polynomialSize()];
    for (int i = 0; i < table.length; i++) {
      table[i] = (i - table.length / 2) * ((1L << 62) / (table.length / 2));
    }
    return table;
  }

  private static final List<LookupStep> STEPS =
      List.of(
          new LookupStep.Lookup(0, 2, 4, 1L << 62, 0),
          new LookupStep.Linear(
              new int[] {2, 3}, new int[] {2, 3, 0}, new int[] {1, -1, 2}, new long[] {5, -7}));

  private static byte[] file(List<LookupStep> steps, int... outputs) {
    return LookupCircuit.encode(
        PACKED,
        PARAMETERS,
        "mlp",
        3,
        2,
        new byte[] {1, 2, 3, 4, 5, 6},
        List.of(table()),
        steps,
        outputs);
  }

  private static void assertRefused(String part, Executable call) {
    InvalidInputException error = assertThrows(InvalidInputException.class, call);
    assertTrue(error.getMessage().contains(part), error.getMessage());
  }

  @Test
  void aCircuitSaysWhatItIsAndComputesPhasesInClear() {
    try (LookupCircuit circuit = LookupCircuit.open(file(STEPS, 4, 5))) {
      assertEquals(PACKED, circuit.packedParameters());
      assertEquals(PARAMETERS, circuit.parameters());
      assertEquals(
          List.of(3, 2, 2, 2),
          List.of(circuit.inputs(), circuit.packedOutputs(), circuit.outputs(), circuit.lookups()));
      // Accumulators 512 and 1280: phases 4 · 2/256 and 4 · 5/256, entries of the table.
      long[] phases = circuit.phases(new int[] {512, 0, 0, 0, 256, 0});
      long unit = 1L << 56;
      assertArrayEquals(
          new long[] {
            4 * 2 * unit - 4 * 8 * unit + 5,
            2 * 2 * unit - 7,
            4 * 2 * unit - 4 * 5 * unit + 5,
            2 * 2 * unit - 7
          },
          phases);
    }
  }

  private static long outside(LookupCircuit circuit, double reach, int... wholeTurns) {
    // Arguments 1/4 + 4 · 512/2^16 and 1/4 + 4 · 2048/2^16, then 0.28 again and 0.33; 1.47 and
    // 5.13.
    int[] activations = {512, 0, 0, 0, 256, 0, 20_000, 0, 0};
    LookupRanges ranges = new LookupRanges(new double[] {reach, reach}, wholeTurns);
    LookupCircuit.ClearResults results = circuit.evaluateInClear(activations, false, ranges);
    assertArrayEquals(circuit.phases(activations), results.phases());
    return results.outside();
  }

  @Test
  void argumentsOutOfTheirRangeAreCountedHoweverOftenTheyGoAroundTheTorus() {
    try (LookupCircuit circuit = LookupCircuit.open(file(STEPS, 4, 5))) {
      assertEquals(0, outside(circuit, 6, 0, 0));
      assertEquals(1, outside(circuit, 5, 0, 0));
      assertEquals(2, outside(circuit, 0.4, 0, 0));
      assertEquals(4, outside(circuit, 0.3, 0, 0));
      assertEquals(6, outside(circuit, 0.2, 0, 0));
      // What the constants left out: the last record's arguments are -0.53 and 0.13.
      assertEquals(4, outside(circuit, 0.6, -2, -5));
      int[] activations = new int[3];
      LookupRanges three = new LookupRanges(new double[3], new int[3]);
      assertRefused("ranges of 3", () -> circuit.evaluateInClear(activations, false, three));
      LookupRanges uneven = new LookupRanges(new double[2], new int[1]);
      assertRefused("whole turns of 1", () -> circuit.evaluateInClear(activations, true, uneven));
    }
  }

  @Test
  void simulatedPhasesLieAroundTheClearOnesAsFarAsTheNoiseIsPredicted() {
    try (LookupCircuit circuit = LookupCircuit.open(file(STEPS, 4, 5))) {
      LookupNoise noise = circuit.noise();
      assertEquals(2, noise.steps().size());
      assertTrue(noise.packed() < noise.steps().get(0) && noise.outputs() > 0);
      int[] activations = new int[3 * 500];
      long[] exact = circuit.phases(activations);
      long[] simulated = circuit.simulate(activations);
      double squares = 0;
      for (int i = 1; i < exact.length; i += 2) {
        squares += Math.pow((simulated[i] - exact[i]) * 0x1p-64, 2);
      }
      double ratio = Math.sqrt(squares / 500) / noise.outputs();
      // Output 5 has no look-up: all its noise is of the way out.
      assertTrue(ratio > 0.5 && ratio < 1.2, () -> "ratio " + ratio);
      assertRefused("whole records", () -> circuit.phases(new int[4]));
    }
  }

  @Test
  void circuitsThatDoNotFitAreRefusedByStep() {
    assertRefused("step 1: it reads value 4", () -> file(List.of(STEPS.get(0), readsTooFar()), 0));
    assertRefused("value 6 of 6 is an output", () -> file(STEPS, 6));
    byte[] file = file(STEPS, 4);
    file[100] ^= 1;
    assertRefused("damaged", () -> LookupCircuit.open(file));
    assertRefused("truncated", () -> LookupCircuit.open(Arrays.copyOf(file, 7)));
  }

  private static LookupStep readsTooFar() {
    return new LookupStep.Linear(new int[] {1}, new int[] {4}, new int[] {1}, new long[1]);
  }

  @Test
  void amplificationsAreSumsOfSquares() {
    Amplification.OfCircuit found =
        Amplification.ofCircuit(3, new byte[] {1, 2, 3, 4, 5, 6}, STEPS, new int[] {4});
    assertEquals(new Amplification(77, 0), found.packed());
    assertEquals(new Amplification(16 * 77, 0), found.steps().get(0));
    assertEquals(new Amplification(4 * 14, 2), found.steps().get(1));
    assertEquals(new Amplification(0, 2), found.outputs());
  }

  @Test
  void theSearchReachesItsTargetsOrSaysWhichItCannot() {
    BootstrapSearch.Target lookups =
        new BootstrapSearch.Target(new Amplification(1e6, 0), Math.pow(4e-3, 2));
    BootstrapSearch.Target outputs =
        new BootstrapSearch.Target(new Amplification(0, 1e5), Math.pow(4e-3, 2));
    BootstrapSearch.Choice choice =
        BootstrapSearch.search(
            new BootstrapSearch.Request(List.of(lookups), outputs, 20, 64, 32, 10, 32));
    assertEquals(1, choice.lookupDeviations().size());
    assertTrue(choice.lookupDeviations().get(0) <= 4e-3 && choice.outputDeviation() <= 4e-3);
    assertTrue(choice.millisecondsPerLookup() > 0 && choice.candidates() > 1000);
    assertEquals(choice.parameters().valueDimension(), choice.packed().lweDimension());
    BootstrapSearch.Target impossible =
        new BootstrapSearch.Target(new Amplification(0, 1), Math.pow(1e-7, 2));
    assertRefused(
        "look-up step 1",
        () ->
            BootstrapSearch.search(
                new BootstrapSearch.Request(
                    List.of(lookups, impossible), outputs, 20, 64, 32, 10, 32)));
  }

  @Test
  void anEvaluationKeyIsOfItsClientAndDamageIsTold() {
    byte[] id = new byte[32];
    List<SecretKeyShape> shapes = List.of(PACKED.secretKeyShape());
    int[] dimensions = {PARAMETERS.lweDimension()};
    try (ClientKey key = ClientKey.generate(id, shapes, dimensions)) {
      List<Double> progress = new ArrayList<>();
      byte[] file = key.evaluationKey(PARAMETERS, shapes.get(0), 2, progress::add);
      assertEquals(PARAMETERS.evaluationKeyBytes(), file.length);
      assertTrue(progress.size() > 10);
      assertEquals(1.0, progress.get(progress.size() - 1));
      assertEquals(progress.stream().sorted().toList(), progress);
      ByteBuffer mapped = ByteBuffer.allocateDirect(file.length).put(file);
      EvaluationKey.Description found = EvaluationKey.describe(mapped);
      assertEquals(
          new EvaluationKey.Description(key.id(), PARAMETERS, CircuitDigest.of(file)), found);
      try (EvaluationKey keys = EvaluationKey.expand(file, found, 2);
          EvaluationKey same = EvaluationKey.expand(mapped, found, 2)) {
        assertEquals(key.id(), keys.keyId());
        assertEquals(PARAMETERS, keys.parameters());
        assertEquals(CircuitDigest.of(file), keys.digest());
        assertEquals(keys.digest(), same.digest());
        assertTrue(keys.memoryBytes() > file.length);
      }
      file[file.length / 2] ^= 1;
      assertRefused("another than was sent", () -> EvaluationKey.expand(file, found, 2));
      assertRefused("evaluation key is damaged", () -> expand(file, key.id()));
      byte[] half = Arrays.copyOf(file, file.length / 2);
      assertRefused("truncated or damaged", () -> expand(half, key.id()));
      assertRefused("not an evaluation key", () -> expand(file(STEPS, 4), key.id()));
      file[file.length / 2] ^= 1;
      assertRefused(
          "of client key " + key.id().substring(0, 16), () -> expand(file, "0".repeat(32)));
    }
  }

  private static void expand(byte[] file, String keyId) {
    EvaluationKey.expand(
        file, new EvaluationKey.Description(keyId, PARAMETERS, CircuitDigest.of(file)), 2);
  }

  @Test
  void whatProgressThrowsEndsTheMakingOfAKey() {
    try (ClientKey key =
        ClientKey.generate(
            new byte[32],
            List.of(PACKED.secretKeyShape()),
            new int[] {PARAMETERS.lweDimension()})) {
      IllegalStateException error =
          assertThrows(
              IllegalStateException.class,
              () ->
                  key.evaluationKey(
                      PARAMETERS,
                      PACKED.secretKeyShape(),
                      1,
                      share -> {
                        throw new IllegalStateException("enough");
                      }));
      assertEquals("enough", error.getMessage());
    }
  }

  @Test
  void aKeyWithoutSecretsForLookupsCannotMakeOne() {
    try (ClientKey key = ClientKey.generate(new byte[32], List.of(PACKED.secretKeyShape()))) {
      assertRefused(
          "no secret key of LWE dimension 900",
          () -> key.evaluationKey(PARAMETERS, PACKED.secretKeyShape(), 1, share -> {}));
    }
  }

  @Test
  void phasesBecomeFloatsByScaleAndBias() {
    LookupResultsSpec spec =
        new LookupResultsSpec(
            CircuitDigest.of(file(STEPS, 4, 5)),
            PARAMETERS,
            new double[] {8, 100},
            new float[] {0.5f, 0});
    try (LookupClient client = LookupClient.withoutKey(spec)) {
      ByteBuffer outputs = TestLayer.floats(new float[4]);
      long[] phases = {1L << 61, -1L << 62, 0, 1L << 62};
      assertEquals(0, client.dequantize(phases, OutputRows.ofTable(outputs, 2, 2)));
      float[] found = new float[4];
      outputs.asFloatBuffer().get(found);
      assertArrayEquals(new float[] {1.5f, -25, 0.5f, 25}, found);
      long[] ends = {Long.MIN_VALUE, 3L << 61, 0, (3L << 61) + 1};
      assertEquals(2, client.dequantize(ends, OutputRows.ofTable(outputs, 2, 2)));
      assertRefused(
          "places for", () -> client.dequantize(phases, OutputRows.ofTable(outputs, 1, 2)));
      assertRefused("without a client key", () -> client.decryptPhases(new byte[9], 1));
    }
  }
}
