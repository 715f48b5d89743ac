package org.fhespark.jobs.client;

import java.util.Arrays;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.nativelib.ModuleClient;
import org.fhespark.nativelib.PackedParameters;

/**
 * One call of a remote module in the schedule.
 *
 * @param module its {@code named_modules()} key
 * @param stage its stage
 * @param input name of the tensor it reads, {@code [batch, …, d_in]}
 * @param output name of the tensor it makes, {@code [batch, …, d_out]}
 * @param client quantisation, and with a key encryption
 */
record RemoteLayer(String module, int stage, String input, String output, ModuleClient client) {
  /**
   * Blocks are cut to about this size: large enough to amortise the mask, small enough for a task.
   */
  private static final int BLOCK_BYTES = 24 << 20;

  /** Results are held to about this size, which the mask rows may exceed by themselves. */
  private static final long RESULT_BYTES = 128L << 20;

  /** Beyond this a result fits no Java array and no default of spark.driver.maxResultSize. */
  private static final long LARGEST_RESULT_BYTES = 768L << 20;

  /** Rows of a ciphertext panel. */
  private static final int PANEL_ROWS = 64;

  /** The tensor it reads. */
  Tensor inputOf(Batch batch) {
    Tensor tensor = batch.tensors().get(input);
    if (tensor.type() != ElementType.FLOAT || tensor.width() != client.spec().inputs()) {
      throw new InvalidInputException(
          "module "
              + module
              + ": its input "
              + input
              + " has shape "
              + Arrays.toString(tensor.shape())
              + ", the last axis must be "
              + client.spec().inputs()
              + ": this client artefact does not fit its segments");
    }
    return tensor;
  }

  /** Makes room for its output in the batch. */
  Tensor allocateOutput(Batch batch) {
    long[] shape = inputOf(batch).shape().clone();
    shape[shape.length - 1] = client.spec().outputs();
    Tensor tensor = Tensor.allocate(ElementType.FLOAT, shape);
    batch.tensors().put(output, tensor);
    return tensor;
  }

  /**
   * Most rows of one block.
   *
   * @throws InvalidInputException if the result of a single panel of rows is too large to send
   */
  int blockRows() {
    PackedParameters parameters = client.spec().parameters();
    if (bytesDown(PANEL_ROWS) > LARGEST_RESULT_BYTES) {
      throw new InvalidInputException(
          "module "
              + module
              + ": the encrypted result of one record takes "
              + bytesDown(1)
              + " bytes, more than a task can return; keep this module in clear");
    }
    long upward = BLOCK_BYTES / bytesUp(1);
    long downward = (RESULT_BYTES - bytesDown(0)) / (bytesDown(1) - bytesDown(0));
    long rows = Math.min(upward, downward) / PANEL_ROWS * PANEL_ROWS;
    return (int) Math.min(parameters.maxRecords(), Math.max(PANEL_ROWS, rows));
  }

  /** Bytes of an encrypted input of so many rows. */
  long bytesUp(long rows) {
    return rows * client.spec().inputs() * client.spec().parameters().bodyLimbs();
  }

  /** Bytes of an encrypted result of so many rows in one block. */
  long bytesDown(long rows) {
    PackedParameters parameters = client.spec().parameters();
    long mask = (long) parameters.lweDimension() * parameters.outputLimbs();
    return (mask + rows * parameters.outputBodyLimbs()) * client.spec().outputs();
  }

  /** Names module and records of a quantisation error. */
  InvalidInputException explain(InvalidInputException error, Batch batch, int firstRow) {
    return new InvalidInputException(
        "module "
            + module
            + ", tensor "
            + input
            + ", rows from "
            + firstRow
            + " of the records from "
            + batch.firstRecord()
            + ": "
            + error.getMessage(),
        error);
  }
}
