package org.fhespark.jobs.fuzz;

import ai.onnx.proto.OnnxMl.ModelProto;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.onnx.OnnxModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * ONNX models that are small test models but for some fields or bytes, as they are read in. What
 * comes after also computes constants with ONNX Runtime, which hostile models can make corrupt its
 * memory: that would end the tests.
 */
class OnnxFuzzTest {
  private static final Path MODELS = Path.of("../compiler/src/test/resources/models");

  private static final List<String> NAMES =
      List.of(
          "conv",
          "rank3",
          "nested_sequential",
          "shared_block",
          "auto_encoder",
          "residual",
          "linear_batch_norm",
          "conv_containers",
          "functional",
          "tied_head");

  @TempDir static Path folder;

  @Test
  void damagedOnesAreReadOrRefused() throws Exception {
    Fuzzing.run("Onnx", OnnxFuzzTest::read);
  }

  private static void read(byte[] input) throws Exception {
    Decisions decisions = new Decisions(input);
    byte[] model = Files.readAllBytes(MODELS.resolve(decisions.of(NAMES) + ".onnx"));
    byte[] edited =
        decisions.below(8) == 7
            ? decisions.damage(model)
            : MessageEdits.edit(ModelProto.parseFrom(model), decisions).toByteArray();
    Fuzzing.read(() -> load(edited));
  }

  private static void load(byte[] model) throws IOException {
    Path file = Files.write(folder.resolve("model.onnx"), model);
    org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(file.toString());
    OnnxModel.load(path, new Configuration());
  }
}
