package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import java.util.Objects;
import org.fhespark.nativelib.LookupRanges;

/**
 * What server.json holds.
 *
 * @param formatVersion {@link ArtifactJson#FORMAT_VERSION}
 * @param modelDigest SHA-256 of the ONNX model, in hexadecimal
 * @param circuits the circuits of the remote modules
 * @param floatModules each remote module in float
 */
public record ServerSpecs(
    int formatVersion, String modelDigest, List<Circuit> circuits, List<FloatModule> floatModules) {
  public ServerSpecs {
    if (modelDigest == null) {
      throw new IllegalArgumentException("no model digest");
    }
    circuits = List.copyOf(circuits);
    floatModules = List.copyOf(floatModules);
  }

  /**
   * A circuit.
   *
   * @param name its name, see {@link RemoteCallSpec#circuit}
   * @param file the circuit, relative to the artefact
   * @param digest SHA-256 of the circuit file, in hexadecimal
   * @param ranges which arguments its tables are made for; null if it has no look-ups. Evaluation
   *     in clear counts the others; executors do not get them
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  public record Circuit(String name, String file, String digest, LookupRanges ranges) {
    public Circuit {
      Objects.requireNonNull(name);
      Objects.requireNonNull(digest);
      requireFile(file);
    }
  }

  /**
   * A remote module in float.
   *
   * @param module its {@code named_modules()} key
   * @param file an ONNX model with one input and one output, relative to the artefact
   */
  public record FloatModule(String module, String file) {
    public FloatModule {
      Objects.requireNonNull(module);
      requireFile(file);
    }
  }

  private static void requireFile(String file) {
    if (file == null || file.isEmpty()) {
      throw new IllegalArgumentException("a file has a name");
    }
  }
}
