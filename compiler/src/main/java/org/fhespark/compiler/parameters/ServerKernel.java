package org.fhespark.compiler.parameters;

import com.fasterxml.jackson.annotation.JsonValue;

/** The kernels of the server, by the names that executors know them by. */
public enum ServerKernel {
  AMX("amx"),
  AVX512_VNNI("avx512-vnni"),
  AVX2("avx2"),
  PORTABLE("portable");

  private final String label;

  ServerKernel(String label) {
    this.label = label;
  }

  /** As in {@code FHE_SPARK_KERNEL}, command lines and reports. */
  @Override
  @JsonValue
  public String toString() {
    return label;
  }
}
