package org.fhespark.jobs.client;

import java.util.Locale;

/** How the remote modules are evaluated; the clear segments run the same way in every mode. */
public enum Mode {
  /** In float, on the driver: the reference. Needs the server artefact here. */
  TORCH,
  /**
   * With quantised weights and activations, in clear, on the driver. Needs the server artefact
   * here.
   */
  DISABLE,
  /** Under FHE on the executors of this Spark session. */
  EXECUTE;

  /** The name as it is written on the command line. */
  public String lowerCase() {
    return name().toLowerCase(Locale.ROOT);
  }
}
