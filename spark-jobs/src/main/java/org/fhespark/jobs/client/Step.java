package org.fhespark.jobs.client;

/** What time is spent on. */
public enum Step {
  READ("read records"),
  CLEAR("clear segments"),
  ENCRYPT("quantise and encrypt"),
  EVALUATE("evaluate remote layers"),
  DECRYPT("decrypt and dequantise"),
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
