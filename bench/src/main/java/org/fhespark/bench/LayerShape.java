package org.fhespark.bench;

import com.fasterxml.jackson.annotation.JsonIgnore;

/** d_in and d_out of a linear layer. */
public record LayerShape(int inputs, int outputs) {

  /** Parses {@code 768x3072}, d_in first. */
  static LayerShape parse(String text) {
    String[] parts = text.split("x");
    if (parts.length != 2) {
      throw new IllegalArgumentException("'" + text + "' is no shape: write it as 768x3072");
    }
    return new LayerShape(Integer.parseInt(parts[0].trim()), Integer.parseInt(parts[1].trim()));
  }

  /** Number of weights. */
  @JsonIgnore
  int weights() {
    return inputs * outputs;
  }

  @Override
  public String toString() {
    return inputs + " x " + outputs;
  }
}
