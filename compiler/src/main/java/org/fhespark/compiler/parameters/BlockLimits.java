package org.fhespark.compiler.parameters;

/** What blocks are held to: by the client that cuts them, and by the choice of parameters. */
public final class BlockLimits {
  /** Rows of a ciphertext panel: the server computes, and a result holds, whole panels. */
  public static final int PANEL_ROWS = 64;

  /**
   * Blocks are cut to about this size: large enough to amortise the mask, small enough for a task.
   */
  public static final long BLOCK_BYTES = 64 << 20;

  /** Leveled blocks are never cut, and beyond this would fit neither arrays nor memory. */
  public static final long LARGEST_BLOCK_BYTES = 1L << 30;

  /** Beyond this a result fits no Java array and no default of spark.driver.maxResultSize. */
  public static final long LARGEST_RESULT_BYTES = 768L << 20;

  private BlockLimits() {}
}
