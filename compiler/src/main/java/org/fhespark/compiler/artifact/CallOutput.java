package org.fhespark.compiler.artifact;

/**
 * What one module makes in a remote call.
 *
 * @param module the module's {@code named_modules()} key
 * @param tensor the tensor, {@code [.., columns]}, or {@code [batch, columns, position..]} of a
 *     convolution
 * @param columns its share of the circuit's outputs, in the order of the list
 */
public record CallOutput(String module, String tensor, int columns) {
  public CallOutput {
    if (module == null || tensor == null || columns < 1) {
      throw new IllegalArgumentException("a module's output has a tensor and columns");
    }
  }
}
