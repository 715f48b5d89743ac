package org.fhespark.compiler.onnx;

/** Element types of the tensors that enter or leave a model. */
public enum ElementType {
  /** IEEE 754 binary32. */
  FLOAT,
  /** IEEE 754 binary64. */
  DOUBLE,
  /** Signed, 32 bits. */
  INT32,
  /** Signed, 64 bits. */
  INT64
}
