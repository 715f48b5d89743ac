package org.fhespark.compiler;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.ClientArtifact;
import org.fhespark.compiler.artifact.CompiledFolder;
import org.fhespark.compiler.artifact.LeveledSpec;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.artifact.ServerArtifact;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.fhespark.nativelib.LeveledCircuit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Modules with non-linearities on encrypted numbers, from the model to the artefact. */
class LeveledModelsTest {
  private static final Configuration CONFIGURATION = new Configuration();
  private static final int INPUTS = 12;
  private static final int HIDDEN = 16;
  private static final int OUTPUTS = 4;

  @TempDir private java.nio.file.Path folder;

  private final float[] first = floats(1, INPUTS * HIDDEN, 0.3);
  private final float[] second = floats(2, HIDDEN * OUTPUTS, 0.3);
  private Path chain;
  private Path residual;

  private static float[] floats(long seed, int count, double deviation) {
    Random random = new Random(seed);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
    return values;
  }

  @BeforeEach
  void writeModels() throws IOException {
    chain =
        new TestGraph()
            .input("x", -1, INPUTS)
            .output("y", -1, OUTPUTS)
            .floats("first", first, INPUTS, HIDDEN)
            .floats("second", second, HIDDEN, OUTPUTS)
            .node("/mlp/MatMul", List.of("x", "first"), "h")
            .node("/mlp/Relu", List.of("h"), "r")
            .node("/mlp/MatMul_1", List.of("r", "second"), "y")
            .write(folder.resolve("chain.onnx"));
    residual =
        new TestGraph()
            .input("x", -1, INPUTS)
            .output("y", -1, INPUTS)
            .floats("first", first, INPUTS, HIDDEN)
            .floats("back", floats(3, HIDDEN * INPUTS, 0.3), HIDDEN, INPUTS)
            .node("/mlp/MatMul", List.of("x", "first"), "h")
            .node("/mlp/Relu", List.of("h"), "r")
            .node("/mlp/MatMul_1", List.of("r", "back"), "s")
            .node("/mlp/Add", List.of("s", "x"), "y")
            .write(folder.resolve("residual.onnx"));
  }

  private static float[] rows(long seed, int count) {
    return floats(seed, count * INPUTS, 1);
  }

  private CompileReport compile(Path model, int rows, CompileOptions.Builder options) {
    CalibrationBatch batch =
        new CalibrationBatch(
            Map.of("x", BatchTensor.of(FloatBuffer.wrap(rows(4, rows)), rows, INPUTS)));
    return new ModelCompiler(CONFIGURATION).compile(model, List.of(batch), options.build(), out());
  }

  private Path out() {
    return new Path(folder.resolve("out").toString());
  }

  private static CompileOptions.Builder options() {
    return CompileOptions.remote(List.of("."));
  }

  private static CompileOptions.Builder simd() {
    return options().engine(Engine.SIMD);
  }

  private RemoteCallSpec call() throws IOException {
    return client().specs().remote().get(0);
  }

  private ClientArtifact client() throws IOException {
    return ClientArtifact.load(new Path(out(), CompiledFolder.CLIENT), CONFIGURATION);
  }

  /** What the float model gives of a row. */
  private double[] exact(float[] rows, int row) {
    double[] outputs = new double[OUTPUTS];
    for (int h = 0; h < HIDDEN; h++) {
      double sum = 0;
      for (int j = 0; j < INPUTS; j++) {
        sum += rows[row * INPUTS + j] * first[j * HIDDEN + h];
      }
      for (int i = 0; i < OUTPUTS; i++) {
        outputs[i] += Math.max(0, sum) * second[h * OUTPUTS + i];
      }
    }
    return outputs;
  }

  @Test
  void theArtefactComputesWhatTheFloatModelDoes() throws IOException {
    CompileReport report = compile(chain, 600, simd());
    RemoteCallSpec call = call();
    LeveledSpec spec = call.leveled();
    int count = 200;
    float[] rows = rows(5, count);
    double[] normalised = new double[rows.length];
    for (int i = 0; i < rows.length; i++) {
      normalised[i] = (rows[i] - spec.center()[i % INPUTS]) / spec.spread()[i % INPUTS];
    }
    ServerArtifact server =
        ServerArtifact.load(new Path(out(), CompiledFolder.SERVER), CONFIGURATION);
    server.requireCircuitsOf(client());
    for (boolean isSimulated : new boolean[] {false, true}) {
      double[] found;
      try (LeveledCircuit circuit = LeveledCircuit.open(server.circuit(call.circuit()))) {
        assertEquals(spec.parameters(), circuit.parameters());
        found = circuit.evaluateInClear(normalised, isSimulated);
      }
      double difference = 0;
      double spread = 0;
      for (int t = 0; t < count; t++) {
        double[] exact = exact(rows, t);
        for (int i = 0; i < OUTPUTS; i++) {
          double value = found[t * OUTPUTS + i] * spec.outputRanges()[i];
          difference += Math.pow(value - exact[i], 2);
          spread += exact[i] * exact[i];
        }
      }
      double error = Math.sqrt(difference / spread);
      assertTrue(error < 1.5 * CompileOptions.DEFAULT_SIMD_ERROR, "errs by " + error);
    }
    assertTrue(report.leveled().get(0).error() <= CompileOptions.DEFAULT_SIMD_ERROR);
  }

  @Test
  void clientSpecsNameTheRingAndNothingOfIntegers() throws IOException {
    compile(chain, 600, simd());
    RemoteCallSpec call = call();
    assertTrue(call.isLeveled());
    assertFalse(call.hasLookups());
    assertNull(call.parameters());
    assertEquals(INPUTS, call.dIn());
    assertEquals(OUTPUTS, call.dOut());
    assertEquals(INPUTS, call.leveled().spread().length);
    assertTrue(call.log2FailureProbability() < -40, "" + call.log2FailureProbability());
    assertEquals(1, client().specs().evaluationKeys().size());
    assertEquals(call.leveled().parameters(), client().specs().evaluationKeys().get(0).leveled());
    assertEquals(List.of(), client().specs().secretKeyShapes());
    assertEquals(List.of(), client().specs().lweDimensions());
  }

  private static EngineChoice engine(CompileReport report) {
    return report.leveled().isEmpty()
        ? report.lookups().get(0).engine()
        : report.leveled().get(0).engine();
  }

  @Test
  void ofEnginesTheFasterForTheBatchIsTaken() {
    EngineChoice many = compile(chain, 600, options()).leveled().get(0).engine();
    assertEquals(Engine.AUTO, many.asked());
    assertEquals(Engine.SIMD, many.chosen());
    assertEquals(4096, many.rows());
    assertTrue(many.simdMilliseconds() < many.pbsMilliseconds() / 100, "" + many);
    assertTrue(many.why().contains("rows take"), many.why());
    EngineChoice asked =
        compile(chain, 600, options().engine(Engine.PBS)).lookups().get(0).engine();
    assertEquals(Engine.PBS, asked.chosen());
    EngineChoice one = engine(compile(chain, 600, options().expectedBatch(1)));
    assertEquals(
        one.simdMilliseconds() < one.pbsMilliseconds() ? Engine.SIMD : Engine.PBS, one.chosen());
  }

  @Test
  void whatIsNoChainStaysWithLookupsUnlessSimdIsAskedFor() {
    EngineChoice choice = compile(residual, 600, options()).lookups().get(0).engine();
    assertEquals(Engine.PBS, choice.chosen());
    assertTrue(choice.why().contains("also reads values from before"), choice.why());
    assertTrue(choice.pbsMilliseconds() > choice.rows(), "" + choice);
    String message =
        assertThrows(InvalidInputException.class, () -> compile(residual, 600, simd()))
            .getMessage();
    assertTrue(message.startsWith("module '.' cannot be computed by --engine simd: "), message);
    assertTrue(message.contains("--engine pbs"), message);
  }

  @Test
  void fewRowsOfCalibrationAreNoGroundForSimd() {
    EngineChoice choice = compile(chain, 64, options()).lookups().get(0).engine();
    assertTrue(
        choice
            .why()
            .matches(
                "simd was not considered: its ranges would rest on 64 rows of calibration; 4,096"
                    + " rows take [\\d.,]+ s with it"),
        choice.why());
    CompileReport report = compile(chain, 64, simd().simdError(0.2));
    assertTrue(report.unchecked().get(0).contains("drawn towards them"), "" + report.unchecked());
  }

  @Test
  void anErrorThatCannotBeReachedIsRefusedWithAWayOut() {
    String message =
        assertThrows(InvalidInputException.class, () -> compile(chain, 600, simd().simdError(1e-6)))
            .getMessage();
    assertTrue(message.contains("allow a larger error (--simd-error)"), message);
    assertEquals(1, message.lines().count());
  }

  @Test
  void sumsAndProtectedWeightsAreRefused() {
    String sums =
        assertThrows(InvalidInputException.class, () -> compile(chain, 600, simd().sums(2)))
            .getMessage();
    assertTrue(sums.contains("the results of --engine simd cannot be added"), sums);
    String weights =
        assertThrows(
                InvalidInputException.class, () -> compile(chain, 600, simd().protectWeights(true)))
            .getMessage();
    assertTrue(weights.contains("the results of --engine simd are not re-randomised"), weights);
    EngineChoice choice =
        compile(chain, 600, options().protectWeights(true)).lookups().get(0).engine();
    assertTrue(choice.why().contains("--protect-weights"), choice.why());
  }

  @Test
  void thePageHasWhatTheReportSays() throws IOException {
    compile(chain, 600, options());
    String page = Files.readString(folder.resolve("out/report.html"));
    JsonNode module =
        new ObjectMapper().readTree(folder.resolve("out/report.json").toFile()).at("/leveled/0");
    for (JsonNode part : List.of(module, module.get("parameters"))) {
      for (var field : part.properties()) {
        if (field.getValue().isValueNode()) {
          assertTrue(page.contains("<data data-field=\"" + field.getKey() + "\""), field.getKey());
        }
      }
    }
    assertTrue(page.contains("ePrint 2024/463"));
    assertTrue(page.contains("<polyline class=\"fitted\""));
    assertTrue(page.contains("<rect class=\"seen\""));
    assertTrue(page.contains("data-field=\"pbsMilliseconds\""));
  }
}
