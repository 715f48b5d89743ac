package org.fhespark.compiler.quantize;

/** Where the scale of an activation comes from. */
public enum QuantizationMode {
  /** Each record has its own scale, from its largest magnitude. */
  DYNAMIC,
  /** All records share one scale, from the largest magnitude in the calibration data. */
  STATIC
}
