package org.fhespark.jobs.client;

import org.fhespark.jobs.tables.CauseLine;

/**
 * The cluster failed a Spark job, for reasons of its own: executors that are lost, a master gone.
 */
public final class FailedJobException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  FailedJobException(Exception error) {
    super(
        "the Spark job failed: "
            + CauseLine.of(error)
            + "; the logs of the driver and of the executors say more",
        error);
  }
}
