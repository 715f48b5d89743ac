package org.fhespark.compiler.artifact;

import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.PackedCircuit;

/** What the untrusted server gets of a compiled model: a circuit for each remote module. */
public final class ServerArtifact {
  private static final String SPECS = "server.json";

  private final ArtifactFolder folder;
  private final ServerSpecs specs;
  private final Map<String, byte[]> circuits;

  private ServerArtifact(ArtifactFolder folder, ServerSpecs specs, Map<String, byte[]> circuits) {
    this.folder = folder;
    this.specs = specs;
    this.circuits = circuits;
  }

  /**
   * Writes an artefact into a new folder.
   *
   * @param modelDigest SHA-256 of the ONNX model, in hexadecimal
   * @param circuits circuit files by module key
   * @param floatModules the modules in float, ONNX models, by the same keys
   */
  public static void write(
      FileStore files,
      Path folder,
      String modelDigest,
      Map<String, byte[]> circuits,
      Map<String, byte[]> floatModules)
      throws IOException {
    Map<String, byte[]> contents = new LinkedHashMap<>();
    List<ServerSpecs.Circuit> listed = new ArrayList<>();
    circuits.forEach(
        (module, circuit) -> {
          String name = URLEncoder.encode(module, StandardCharsets.UTF_8);
          ServerSpecs.Circuit entry =
              new ServerSpecs.Circuit(
                  module,
                  "circuits/" + name + ".circuit",
                  "float/" + name + ".onnx",
                  CircuitDigest.of(circuit).hex());
          listed.add(entry);
          contents.put(entry.file(), circuit);
          contents.put(entry.floatFile(), floatModules.get(module));
        });
    contents.put(
        SPECS,
        ArtifactJson.write(new ServerSpecs(ArtifactJson.FORMAT_VERSION, modelDigest, listed)));
    ArtifactFolder.write(files, folder, contents);
  }

  /**
   * Reads an artefact; checks server.json and every circuit against the manifest.
   *
   * @throws InvalidInputException if a file is missing, truncated, altered or of another version
   */
  public static ServerArtifact load(Path folder, Configuration configuration) throws IOException {
    ArtifactFolder verified = ArtifactFolder.open(folder, "server", configuration);
    ServerSpecs specs =
        ArtifactJson.read(verified.path(SPECS).toString(), verified.read(SPECS), ServerSpecs.class);
    Map<String, byte[]> circuits = new LinkedHashMap<>();
    for (ServerSpecs.Circuit circuit : specs.circuits()) {
      byte[] bytes = verified.read(circuit.file());
      if (!CircuitDigest.of(bytes).hex().equals(circuit.digest())) {
        throw new InvalidInputException(
            verified.path(circuit.file())
                + ": is not the circuit that "
                + SPECS
                + " lists; copy the artefact again");
      }
      circuits.put(circuit.module(), bytes);
    }
    return new ServerArtifact(verified, specs, circuits);
  }

  public ServerSpecs specs() {
    return specs;
  }

  /**
   * The circuit file of a module.
   *
   * @throws InvalidInputException if there is none
   */
  public byte[] circuit(String module) {
    entry(module);
    return circuits.get(module).clone();
  }

  /**
   * The ONNX model of a module in float, read and checked now.
   *
   * @throws InvalidInputException if there is none, or it is truncated or altered
   */
  public byte[] floatModule(String module) throws IOException {
    return folder.read(entry(module).floatFile());
  }

  /**
   * Checks that this server has the circuits that a client was compiled with, and that they are
   * what the client's specs say of them.
   *
   * @throws InvalidInputException if one is missing or differs
   */
  public void requireCircuitsOf(ClientArtifact client) {
    for (RemoteModuleSpec remote : client.specs().remote()) {
      ServerSpecs.Circuit circuit = entry(remote.module());
      if (!circuit.digest().equals(remote.circuitDigest())) {
        throw new InvalidInputException(
            folder.path(circuit.file())
                + ": circuit of another model: the client expects "
                + shortened(remote.circuitDigest())
                + " for module '"
                + remote.module()
                + "', this is "
                + shortened(circuit.digest())
                + "; use client and server of one compilation");
      }
      requireDescribed(remote, client);
    }
  }

  private void requireDescribed(RemoteModuleSpec remote, ClientArtifact client) {
    try (PackedCircuit circuit = PackedCircuit.open(circuits.get(remote.module()))) {
      if (!circuit.parameters().equals(remote.parameters())
          || circuit.inputs() != remote.dIn()
          || circuit.outputs() != remote.dOut()) {
        throw new InvalidInputException(
            new Path(client.folder(), ClientArtifact.SPECS)
                + ": client.json does not describe this circuit: module '"
                + remote.module()
                + "' has other parameters or another shape in "
                + folder.path(entry(remote.module()).file())
                + "; compile the model again");
      }
    }
  }

  private static String shortened(String digest) {
    return digest.substring(0, Math.min(12, digest.length())) + "...";
  }

  private ServerSpecs.Circuit entry(String module) {
    return specs.circuits().stream()
        .filter(circuit -> circuit.module().equals(module))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    folder.path(SPECS)
                        + ": lists no circuit for module '"
                        + module
                        + "'; use client and server of one compilation"));
  }
}
