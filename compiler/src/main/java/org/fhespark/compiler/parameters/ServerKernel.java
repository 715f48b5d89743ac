package org.fhespark.compiler.parameters;

import com.fasterxml.jackson.annotation.JsonValue;

/** The kernels of the server, by the names that executors know them by. */
public enum ServerKernel {
  /** Tiles of int8 on AMX. */
  AMX("amx"),
  /** Dot products of bytes on AVX-512 VNNI. */
  AVX512_VNNI("avx512-vnni"),
  /** Products of bytes on AVX2. */
  AVX2("avx2"),
  /** Any processor. */
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
