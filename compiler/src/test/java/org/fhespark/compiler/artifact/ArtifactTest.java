package org.fhespark.compiler.artifact;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.RecordedModel;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.compiler.storage.Sha256;
import org.fhespark.nativelib.PackedCircuit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class ArtifactTest {
  private static final Configuration CONFIGURATION = new Configuration();

  @TempDir Path folder;
  private Path out;

  private static org.apache.hadoop.fs.Path hadoop(Path path) {
    return new org.apache.hadoop.fs.Path(path.toString());
  }

  private void compile(String model, Path to, String... keys) throws IOException {
    RecordedModel recorded = RecordedModel.load(model);
    new ModelCompiler(CONFIGURATION)
        .compile(
            RecordedModel.path(model),
            List.of(recorded.calibrationBatch()),
            CompileOptions.remote(List.of(keys)).build(),
            hadoop(to));
  }

  @BeforeEach
  void compile() throws IOException {
    out = folder.resolve("out");
    compile("rank3", out, "query", "dense");
  }

  private ClientArtifact client() throws IOException {
    return ClientArtifact.load(hadoop(out.resolve("client")), CONFIGURATION);
  }

  private ServerArtifact server() throws IOException {
    return ServerArtifact.load(hadoop(out.resolve("server")), CONFIGURATION);
  }

  private static String refusalOf(Executable action) {
    String message = assertThrows(InvalidInputException.class, action).getMessage();
    assertEquals(1, message.lines().count(), message);
    return message;
  }

  @Test
  void whatWasWrittenIsRead() throws IOException {
    ClientArtifact client = client();
    ServerArtifact server = server();
    server.requireCircuitsOf(client);
    assertEquals(2, client.specs().remote().size());
    for (RemoteCallSpec remote : client.specs().remote()) {
      try (PackedCircuit circuit = PackedCircuit.open(server.circuit(remote.circuit()))) {
        assertEquals(remote.circuitDigest(), circuit.digest().hex());
        assertEquals(remote.parameters(), circuit.parameters());
        assertEquals(remote.dIn(), circuit.inputs());
        assertEquals(remote.dOut(), circuit.outputs());
      }
    }
    for (SegmentSpec segment : client.specs().segments()) {
      assertArrayEquals(
          Files.readAllBytes(out.resolve("client").resolve(segment.file())),
          client.segmentModel(segment));
    }
    assertEquals(Sha256.hexOf(Files.readAllBytes(out.resolve("client/client.json"))), client.id());
  }

  @Test
  void theManifestIsWhatSha256sumReads() throws IOException, InterruptedException {
    for (String kind : List.of("client", "server")) {
      Process check =
          new ProcessBuilder("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
              .directory(out.resolve(kind).toFile())
              .start();
      assertEquals(0, check.waitFor());
      List<String> listed =
          Files.readAllLines(out.resolve(kind).resolve("SHA256SUMS")).stream()
              .map(line -> line.substring(66))
              .toList();
      try (Stream<Path> files = Files.walk(out.resolve(kind))) {
        assertEquals(
            files
                .filter(Files::isRegularFile)
                .map(file -> out.resolve(kind).relativize(file).toString())
                .filter(name -> !name.equals("SHA256SUMS"))
                .sorted()
                .toList(),
            listed.stream().sorted().toList());
      }
    }
  }

  @Test
  void noChecksumFilesOfHadoopsAreLeft() throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      assertTrue(files.noneMatch(file -> file.toString().endsWith(".crc")));
    }
  }

  @Test
  void anyAlteredFileOfTheClientIsNamed() throws IOException {
    for (String name : List.of("client.json", "segments/001.onnx")) {
      Path file = out.resolve("client").resolve(name);
      byte[] bytes = Files.readAllBytes(file);
      bytes[bytes.length / 2] ^= 1;
      Files.write(file, bytes);
      String message = refusalOf(this::client);
      assertTrue(message.contains(name + ": truncated or altered"), message);
      bytes[bytes.length / 2] ^= 1;
      Files.write(file, bytes);
      client();
    }
  }

  @Test
  void anyTruncatedFileOfTheServerIsNamed() throws IOException {
    for (String name : List.of("server.json", "circuits/000.circuit")) {
      Path file = out.resolve("server").resolve(name);
      byte[] bytes = Files.readAllBytes(file);
      Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 3));
      String message = refusalOf(this::server);
      assertTrue(message.contains(name + ": truncated or altered"), message);
      Files.write(file, bytes);
      server();
    }
  }

  @Test
  void aFloatModuleIsCheckedWhenItIsRead() throws IOException {
    Path file = out.resolve("server/float/000.onnx");
    byte[] bytes = Files.readAllBytes(file);
    assertArrayEquals(bytes, server().floatModule("query"));
    bytes[3] ^= 4;
    Files.write(file, bytes);
    ServerArtifact server = server();
    assertTrue(refusalOf(() -> server.floatModule("query")).contains("truncated or altered"));
  }

  @Test
  void missingFilesAreNamed() throws IOException {
    Files.delete(out.resolve("server/circuits/001.circuit"));
    assertTrue(refusalOf(this::server).contains("circuits/001.circuit: is missing"));
    Files.delete(out.resolve("client/SHA256SUMS"));
    assertTrue(refusalOf(this::client).contains("not the client artefact"));
    assertTrue(
        refusalOf(() -> ClientArtifact.load(hadoop(folder.resolve("none")), CONFIGURATION))
            .contains("none: no such folder"));
    assertTrue(
        refusalOf(() -> ClientArtifact.load(hadoop(out.resolve("server")), CONFIGURATION))
            .contains("not the client artefact"));
  }

  @Test
  void aDamagedManifestIsNamed() throws IOException {
    Path manifest = out.resolve("client/SHA256SUMS");
    String text = Files.readString(manifest);
    Files.writeString(manifest, text.substring(0, 30));
    assertTrue(refusalOf(this::client).contains("SHA256SUMS: truncated or altered"));
    Files.writeString(manifest, text.lines().skip(1).findFirst().orElseThrow() + "\n");
    assertTrue(refusalOf(this::client).contains("SHA256SUMS does not list it"));
  }

  @Test
  void anotherFormatVersionIsNamed() throws IOException {
    rewrite("client", "client.json", "\"formatVersion\" : 4", "\"formatVersion\" : 7");
    assertTrue(
        refusalOf(this::client)
            .contains("client.json: format version 7, this fhe-spark reads version 4"));
    rewrite("server", "server.json", "\"circuits\"", "\"other\"");
    assertTrue(refusalOf(this::server).contains("is not what fhe-spark writes"));
  }

  /** Changes a file together with its line in the manifest. */
  private void rewrite(String kind, String name, String from, String to) throws IOException {
    Path file = out.resolve(kind).resolve(name);
    byte[] before = Files.readAllBytes(file);
    String text = new String(before, StandardCharsets.UTF_8);
    assertTrue(text.contains(from), text);
    byte[] after = text.replace(from, to).getBytes(StandardCharsets.UTF_8);
    Files.write(file, after);
    Path manifest = out.resolve(kind).resolve("SHA256SUMS");
    Files.writeString(
        manifest, Files.readString(manifest).replace(Sha256.hexOf(before), Sha256.hexOf(after)));
  }

  @Test
  void theCircuitOfAnotherModelIsRefused() throws IOException {
    compile("unfolded", folder.resolve("other"), "query", "dense");
    ServerArtifact other =
        ServerArtifact.load(hadoop(folder.resolve("other/server")), CONFIGURATION);
    ClientArtifact client = client();
    String message = refusalOf(() -> other.requireCircuitsOf(client));
    assertTrue(message.contains("000.circuit: circuit of another model"), message);
    compile("no_bias", folder.resolve("third"), "first");
    ServerArtifact third =
        ServerArtifact.load(hadoop(folder.resolve("third/server")), CONFIGURATION);
    assertTrue(
        refusalOf(() -> third.requireCircuitsOf(client)).contains("lists no circuit 'query'"));
  }

  /** As of one layer in two models, between other clear parts: the float modules may differ. */
  @Test
  void theSameCircuitsOfAnotherModelAreRefused() throws IOException {
    String digest = client().specs().modelDigest();
    rewrite("server", "server.json", digest, "0".repeat(digest.length()));
    String message = refusalOf(() -> server().requireCircuitsOf(client()));
    assertTrue(message.contains("server.json: of another model"), message);
    assertTrue(message.contains("use client and server of one compilation"), message);
  }

  @Test
  void specsThatDoNotDescribeTheCircuitAreRefused() throws IOException {
    int bits = client().specs().remote().get(0).parameters().messageBits();
    int dOut = client().specs().remote().get(0).dOut();
    for (String[] change :
        new String[][] {
          {"\"messageBits\" : " + bits, "\"messageBits\" : " + (bits - 1)},
          {"\"dOut\" : " + dOut, "\"dOut\" : " + (dOut + 100)}
        }) {
      rewrite("client", "client.json", change[0], change[1]);
      ClientArtifact altered = client();
      String message = refusalOf(() -> server().requireCircuitsOf(altered));
      assertTrue(message.contains("client.json does not describe this circuit"), message);
      rewrite("client", "client.json", change[1], change[0]);
    }
    server().requireCircuitsOf(client());
  }

  @Test
  void aReplacementThatFailsKeepsWhatWasThere() throws IOException {
    String before = client().id();
    CompiledFolder target = CompiledFolder.at(hadoop(out), CONFIGURATION);
    // Nothing is written, so nothing can be renamed into place.
    String message = refusalOf(() -> target.replace((files, folder) -> {}));
    assertTrue(message.contains("out: cannot be written"), message);
    assertEquals(before, client().id());
    try (Stream<Path> listed = Files.list(folder)) {
      assertEquals(List.of(out), listed.toList());
    }
  }

  @Test
  void aReplacementThatCannotBeWrittenKeepsWhatWasThere() throws IOException {
    String before = client().id();
    CompiledFolder target = CompiledFolder.at(hadoop(out), CONFIGURATION);
    String message =
        refusalOf(
            () ->
                target.replace(
                    (files, folder) -> {
                      files.write(new org.apache.hadoop.fs.Path(folder, "file"), new byte[1]);
                      files.write(new org.apache.hadoop.fs.Path(folder, "file/x"), new byte[1]);
                    }));
    assertTrue(message.contains("out: cannot be written"), message);
    assertEquals(before, client().id());
    try (Stream<Path> listed = Files.list(folder)) {
      assertEquals(List.of(out), listed.toList());
    }
  }

  @Test
  void keysOfAnyKindBecomeFileNames() throws IOException {
    FileStore files = FileStore.of(hadoop(folder), CONFIGURATION);
    Path target = folder.resolve("odd");
    byte[] circuit = server().circuit("query");
    String key = "heads.a b/../c:d";
    ServerArtifact.write(
        files,
        hadoop(target),
        "0",
        java.util.Map.of(key, circuit),
        java.util.Map.of(),
        java.util.Map.of(key, new byte[] {1}));
    assertArrayEquals(circuit, ServerArtifact.load(hadoop(target), CONFIGURATION).circuit(key));
    try (Stream<Path> listed = Files.list(target.resolve("circuits"))) {
      assertEquals(1, listed.count());
    }
  }

  /** Edits client.json, and the manifest with it. */
  private void edit(Consumer<ObjectNode> change) throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    Path specs = out.resolve("client/client.json");
    byte[] before = Files.readAllBytes(specs);
    ObjectNode json = (ObjectNode) mapper.readTree(before);
    change.accept(json);
    byte[] after = mapper.writeValueAsBytes(json);
    Files.write(specs, after);
    Path manifest = out.resolve("client/SHA256SUMS");
    Files.writeString(
        manifest, Files.readString(manifest).replace(Sha256.hexOf(before), Sha256.hexOf(after)));
  }

  @Test
  void specsWithoutAFieldAreRefused() throws IOException {
    ObjectNode whole =
        (ObjectNode) new ObjectMapper().readTree(out.resolve("client/client.json").toFile());
    for (String field :
        List.of("input", "outputs", "parameters", "norms", "quantization", "weightScales")) {
      edit(json -> ((ObjectNode) json.get("remote").get(1)).remove(field));
      assertTrue(refusalOf(this::client).contains("is not what fhe-spark writes there"), field);
      edit(json -> json.setAll(whole));
    }
    client();
  }

  @Test
  void specsThatReadATensorThatNothingMakesAreRefusedByItsName() throws IOException {
    edit(json -> ((ObjectNode) json.get("remote").get(0)).put("input", "nothing"));
    String message = refusalOf(this::client);
    assertTrue(message.contains("tensor 'nothing' is read before anything makes it"), message);
  }
}
