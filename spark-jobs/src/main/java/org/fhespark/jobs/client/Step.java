package org.fhespark.jobs.client;

/** What time is spent on. */
public enum Step {
  /** Spark's readers, on the driver. */
  READ("read records"),
  /** ONNX Runtime, and making rows of its tensors. */
  CLEAR("clear segments"),
  /** Activations to blocks, in native code. */
  ENCRYPT("quantise and encrypt"),
  /** Remote calls: Spark jobs or queries to a server; or the same in clear. */
  EVALUATE("evaluate remote layers"),
  /** Results to activations, in native code. */
  DECRYPT("decrypt and dequantise"),
  /** Part files, on the driver. */
  WRITE("write results");

  private final String label;

  Step(String label) {
    this.label = label;
  }

  /** The step in plain words. */
  public String label() {
    return label;
  }
}
