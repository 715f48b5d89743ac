package org.fhespark.jobs.client;

import java.util.Locale;

/** How the remote modules are evaluated; the clear segments run the same way in every mode. */
public enum Mode {
  /** In float, on the driver: the reference. Needs the server artefact here. */
  TORCH,
  /**
   * As {@link #TORCH}, and statistics of what the remote modules read are gathered, from which the
   * model can be compiled again.
   */
  CALIBRATE,
  /**
   * With quantised weights and activations, in clear, on the driver. Needs the server artefact
   * here.
   */
  DISABLE,
  /**
   * As {@link #DISABLE}, with noise drawn as the parameters of the circuits make it: wrong integers
   * come as often as under FHE. Needs the server artefact here, and no key.
   */
  SIMULATE,
  /** Under FHE on the executors of this Spark session. */
  EXECUTE,
  /** Under FHE on somebody else's Spark, through Spark Connect. Needs no server artefact. */
  REMOTE;

  /** Whether remote modules run under FHE, so that a key is needed. */
  public boolean isEncrypted() {
    return this == EXECUTE || this == REMOTE;
  }

  /** The name as it is written on the command line. */
  public String lowerCase() {
    return name().toLowerCase(Locale.ROOT);
  }
}
