package org.fhespark.compiler.report;

import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.TestGraph;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;

/** A model whose names would be markup, if they were not escaped. */
final class HostileModel {
  static final String FILE = "<img src=x onerror=alert(1)>\"'&.onnx";
  static final String INPUT = "\"><script>alert(1)</script><!-- ' & {{ report }}";
  static final String TENSOR = "</text></svg></title><script>alert(1)</script>" + "long".repeat(60);
  static final String OUTPUT = "]]></style><svg onload=alert(1)>";

  /** Slashes would end a module's name in an ONNX file. */
  static final String FIRST = "<script>alert(1)<script>\"'&" + "名前".repeat(60);

  static final String SECOND = "' onmouseover=alert(1) x='";

  private HostileModel() {}

  /** Compiles it; the folder that holds report.html. */
  static Path compile(Path folder) throws IOException {
    Files.createDirectories(folder);
    Random random = new Random(1);
    Path file = folder.resolve(FILE);
    org.apache.hadoop.fs.Path model =
        new TestGraph()
            .input(INPUT, -1, 8)
            .output(OUTPUT, -1, 4)
            .floats(FIRST + ".weight", floats(random, 8 * 6), 8, 6)
            .floats(SECOND + ".weight", floats(random, 6 * 4), 6, 4)
            .node("/" + FIRST + "/MatMul", List.of(INPUT, FIRST + ".weight"), TENSOR)
            .node("/Relu", List.of(TENSOR), TENSOR + ".relu")
            .node("/" + SECOND + "/MatMul", List.of(TENSOR + ".relu", SECOND + ".weight"), OUTPUT)
            .write(file);
    Path out = folder.resolve("out");
    new ModelCompiler(new Configuration())
        .compile(
            model,
            List.of(
                new CalibrationBatch(
                    Map.of(
                        INPUT, BatchTensor.of(FloatBuffer.wrap(floats(random, 64 * 8)), 64, 8)))),
            CompileOptions.remote(List.of(FIRST, SECOND)).build(),
            new org.apache.hadoop.fs.Path(out.toString()));
    return out;
  }

  private static float[] floats(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
