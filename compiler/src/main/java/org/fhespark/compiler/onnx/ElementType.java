package org.fhespark.compiler.onnx;

/** Element types of the tensors that enter or leave a model. */
public enum ElementType {
  FLOAT,
  DOUBLE,
  INT32,
  INT64
}
