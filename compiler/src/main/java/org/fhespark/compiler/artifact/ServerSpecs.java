package org.fhespark.compiler.artifact;

import java.util.List;

/**
 * What server.json holds.
 *
 * @param formatVersion {@link ArtifactJson#FORMAT_VERSION}
 * @param modelDigest SHA-256 of the ONNX model, in hexadecimal
 * @param circuits a circuit for each remote module
 */
public record ServerSpecs(int formatVersion, String modelDigest, List<Circuit> circuits) {
  public ServerSpecs {
    circuits = List.copyOf(circuits);
  }

  /**
   * A circuit.
   *
   * @param module the module's key
   * @param file the circuit, relative to the artefact
   * @param floatFile the module in float, an ONNX model with one input and one output
   * @param digest SHA-256 of the circuit file, in hexadecimal
   */
  public record Circuit(String module, String file, String floatFile, String digest) {}
}
