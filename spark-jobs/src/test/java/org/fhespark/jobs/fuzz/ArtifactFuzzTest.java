package org.fhespark.jobs.fuzz;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.compiler.storage.Sha256;
import org.fhespark.jobs.client.Digits;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.ModuleClient;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** client.json, server.json and manifests with other values; digests are made right again. */
class ArtifactFuzzTest {
  private static final String MANIFEST = "SHA256SUMS";

  @TempDir static Path folder;
  private static Path[] compiled;

  /** A packed module, and a circuit with look-ups. */
  @BeforeAll
  static void compile() throws IOException {
    try (var spark = Digits.session()) {
      List<Path> copies = new ArrayList<>();
      for (Path from : List.of(Digits.compiled(spark), Digits.compiledWhole(spark))) {
        copies.add(copy(from, folder.resolve("model-" + copies.size())));
      }
      compiled = copies.toArray(Path[]::new);
    }
  }

  private static Path copy(Path from, Path to) throws IOException {
    try (Stream<Path> files = Files.walk(from)) {
      for (Path file : files.toList()) {
        Files.copy(file, to.resolve(from.relativize(file).toString()));
      }
    }
    return to;
  }

  @Test
  void damagedOnesAreReadOrRefused() throws Exception {
    Fuzzing.run("Artifact", ArtifactFuzzTest::read);
  }

  private static void read(byte[] input) throws Exception {
    Decisions decisions = new Decisions(input);
    Path model = compiled[decisions.below(compiled.length)];
    boolean isClient = decisions.below(3) > 0;
    Path artifact = model.resolve(isClient ? "client" : "server");
    Path specs = artifact.resolve(isClient ? "client.json" : "server.json");
    Path manifest = artifact.resolve(MANIFEST);
    byte[] json = Files.readAllBytes(specs);
    byte[] listed = Files.readAllBytes(manifest);
    try {
      if (decisions.below(8) == 7) {
        Files.write(manifest, decisions.damage(listed));
      } else {
        byte[] edited = JsonEdits.edit(json, decisions);
        Files.write(specs, edited);
        String lines = new String(listed, StandardCharsets.UTF_8);
        lines = lines.replace(Sha256.hexOf(json), Sha256.hexOf(edited));
        Files.write(manifest, lines.getBytes(StandardCharsets.UTF_8));
      }
      Fuzzing.read(() -> load(model));
    } finally {
      Files.write(specs, json);
      Files.write(manifest, listed);
    }
  }

  /** As keygen does, and score before it encrypts. */
  private static void load(Path model) {
    HybridModel loaded = Digits.load(model);
    loaded.newKey().close();
    for (RemoteCallSpec call : loaded.specs().remote()) {
      ModuleClient.withoutKey(call.moduleSpec()).close();
    }
  }
}
