package org.fhespark.compiler.artifact;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.storage.FileStore;
import org.fhespark.nativelib.CircuitDigest;
import org.fhespark.nativelib.LeveledCircuit;
import org.fhespark.nativelib.LookupCircuit;
import org.fhespark.nativelib.LookupRanges;
import org.fhespark.nativelib.PackedCircuit;

/** What the untrusted server gets of a compiled model: the circuits of the remote modules. */
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
   * @param circuits circuit files by name
   * @param ranges of the look-ups of those that have some, by name
   * @param floatModules the modules in float, ONNX models, by their keys
   * @throws IOException if a file cannot be written, or is there already
   */
  public static void write(
      FileStore files,
      Path folder,
      String modelDigest,
      Map<String, byte[]> circuits,
      Map<String, LookupRanges> ranges,
      Map<String, byte[]> floatModules)
      throws IOException {
    Map<String, byte[]> contents = new LinkedHashMap<>();
    List<ServerSpecs.Circuit> listedCircuits = new ArrayList<>();
    circuits.forEach(
        (name, circuit) -> {
          String file = "circuits/%03d.circuit".formatted(listedCircuits.size());
          String digest = CircuitDigest.of(circuit).hex();
          listedCircuits.add(new ServerSpecs.Circuit(name, file, digest, ranges.get(name)));
          contents.put(file, circuit);
        });
    List<ServerSpecs.FloatModule> listedModules = new ArrayList<>();
    floatModules.forEach(
        (module, onnx) -> {
          String file = "float/%03d.onnx".formatted(listedModules.size());
          listedModules.add(new ServerSpecs.FloatModule(module, file));
          contents.put(file, onnx);
        });
    contents.put(
        SPECS,
        ArtifactJson.write(
            new ServerSpecs(
                ArtifactJson.FORMAT_VERSION, modelDigest, listedCircuits, listedModules)));
    ArtifactFolder.write(files, folder, contents);
  }

  /**
   * Reads an artefact; checks server.json and every circuit against the manifest.
   *
   * @throws InvalidInputException if a file is missing, truncated, altered or of another version
   * @throws IOException if the file system fails
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
      circuits.put(circuit.name(), bytes);
    }
    return new ServerArtifact(verified, specs, circuits);
  }

  /** What its {@code server.json} says. */
  public ServerSpecs specs() {
    return specs;
  }

  /**
   * The file of a circuit.
   *
   * @throws InvalidInputException if there is none
   */
  public byte[] circuit(String name) {
    entry(name);
    return circuits.get(name).clone();
  }

  /**
   * Which arguments the tables of a circuit are made for; none that is known if it has no look-ups.
   *
   * @throws InvalidInputException if there is no such circuit
   */
  public LookupRanges lookupRanges(String name) {
    LookupRanges ranges = entry(name).ranges();
    return ranges == null ? LookupRanges.NONE : ranges;
  }

  /**
   * The ONNX model of a module in float, read and checked now.
   *
   * @throws InvalidInputException if there is none, or it is truncated or altered
   * @throws IOException if the file system fails
   */
  public byte[] floatModule(String module) throws IOException {
    for (ServerSpecs.FloatModule listed : specs.floatModules()) {
      if (listed.module().equals(module)) {
        return folder.read(listed.file());
      }
    }
    throw missing("float form of module '" + module + "'");
  }

  /**
   * Checks that this server is of the model that a client was compiled from, has the circuits that
   * the client was compiled with, and that they are what the client's specs say of them. Models may
   * share circuits and differ in what the float modules hold.
   *
   * @throws InvalidInputException if the model or a circuit is another, or a circuit is missing
   */
  public void requireCircuitsOf(ClientArtifact client) {
    for (RemoteCallSpec remote : client.specs().remote()) {
      ServerSpecs.Circuit circuit = entry(remote.circuit());
      if (!circuit.digest().equals(remote.circuitDigest())) {
        throw new InvalidInputException(
            folder.path(circuit.file())
                + ": circuit of another model: the client expects "
                + shortened(remote.circuitDigest())
                + " for '"
                + remote.circuit()
                + "', this is "
                + shortened(circuit.digest())
                + "; use client and server of one compilation");
      }
      requireDescribed(remote, client);
    }
    if (!specs.modelDigest().equals(client.specs().modelDigest())) {
      throw new InvalidInputException(
          folder.path(SPECS)
              + ": of another model: the client's has SHA-256 "
              + shortened(client.specs().modelDigest())
              + ", this one's "
              + shortened(specs.modelDigest())
              + "; use client and server of one compilation");
    }
  }

  private void requireDescribed(RemoteCallSpec remote, ClientArtifact client) {
    long columns = remote.outputs().stream().mapToLong(CallOutput::columns).sum();
    if (remote.isLeveled()) {
      try (LeveledCircuit circuit = LeveledCircuit.open(circuits.get(remote.circuit()))) {
        requireDescribed(
            remote,
            client,
            circuit.parameters().equals(remote.leveled().parameters())
                && circuit.inputs() == remote.dIn()
                && circuit.outputs() == remote.dOut()
                && columns == remote.dOut());
      }
      return;
    }
    if (remote.hasLookups()) {
      try (LookupCircuit circuit = LookupCircuit.open(circuits.get(remote.circuit()))) {
        requireDescribed(
            remote,
            client,
            circuit.packedParameters().equals(remote.parameters())
                && circuit.parameters().equals(remote.lookups().parameters())
                && circuit.packedOutputs() == remote.lookups().packedOutputs()
                && circuit.lookups() == remote.lookups().lookups()
                && circuit.inputs() == remote.dIn()
                && circuit.outputs() == remote.dOut()
                && columns == remote.dOut());
      }
      return;
    }
    try (PackedCircuit circuit = PackedCircuit.open(circuits.get(remote.circuit()))) {
      requireDescribed(
          remote,
          client,
          circuit.parameters().equals(remote.parameters())
              && circuit.inputs() == remote.dIn()
              && circuit.outputs() == remote.dOut()
              && columns == remote.dOut());
    }
  }

  private void requireDescribed(RemoteCallSpec remote, ClientArtifact client, boolean isDescribed) {
    if (!isDescribed) {
      throw new InvalidInputException(
          new Path(client.folder(), ClientArtifact.SPECS)
              + ": client.json does not describe this circuit: '"
              + remote.circuit()
              + "' has other parameters or another shape in "
              + folder.path(entry(remote.circuit()).file())
              + "; compile the model again");
    }
  }

  private static String shortened(String digest) {
    return digest.substring(0, Math.min(12, digest.length())) + "...";
  }

  private ServerSpecs.Circuit entry(String name) {
    return specs.circuits().stream()
        .filter(circuit -> circuit.name().equals(name))
        .findFirst()
        .orElseThrow(() -> missing("circuit '" + name + "'"));
  }

  private InvalidInputException missing(String what) {
    return new InvalidInputException(
        folder.path(SPECS) + ": lists no " + what + "; use client and server of one compilation");
  }
}
