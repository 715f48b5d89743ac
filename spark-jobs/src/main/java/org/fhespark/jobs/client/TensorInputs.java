package org.fhespark.jobs.client;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.onnx.TensorSpec;

/** Checks tensors that a caller gives to a model. */
final class TensorInputs {
  private TensorInputs() {}

  /**
   * A batch of these tensors.
   *
   * @param specs the model's inputs
   * @param number of the batch, for messages
   * @param firstRecord number of its first record
   * @throws InvalidInputException if a tensor is missing, or its type or shape is not the model's
   */
  static Batch batch(
      List<TensorSpec> specs, Map<String, ModelTensor> inputs, int number, long firstRecord) {
    Map<String, Tensor> tensors = new HashMap<>();
    String first = null;
    long records = 0;
    for (TensorSpec spec : specs) {
      ModelTensor tensor = inputs.get(spec.name());
      String where = "forward: batch " + number + ": input '" + spec.name() + "'";
      if (tensor == null) {
        throw new InvalidInputException(
            where + " is missing; give a tensor for each input of the model");
      }
      if (!fits(spec, tensor)) {
        throw new InvalidInputException(
            where
                + " is "
                + tensor.type()
                + " of shape "
                + Arrays.toString(tensor.shape())
                + ", the model takes "
                + spec.type()
                + " of shape "
                + spec.shape()
                + " after the axis of records (-1: any length); convert or reshape it");
      }
      if (first == null) {
        first = spec.name();
        records = tensor.shape()[0];
      }
      if (tensor.shape()[0] != records || records == 0) {
        throw new InvalidInputException(
            where
                + " holds "
                + tensor.shape()[0]
                + " records, '"
                + first
                + "' "
                + records
                + "; give all inputs of a batch the same, at least one");
      }
      tensors.put(spec.name(), tensor.toTensor());
    }
    return new Batch(
        LongStream.range(firstRecord, firstRecord + records).toArray(), List.of(), tensors);
  }

  private static boolean fits(TensorSpec spec, ModelTensor tensor) {
    List<Long> wanted = spec.shape();
    if (tensor.type() != spec.type() || tensor.shape().length != wanted.size() + 1) {
      return false;
    }
    for (int axis = 0; axis < wanted.size(); axis++) {
      if (wanted.get(axis) >= 0 && wanted.get(axis) != tensor.shape()[axis + 1]) {
        return false;
      }
    }
    return true;
  }
}
