package org.fhespark.compiler.onnx;

import ai.onnx.proto.OnnxMl.NodeProto;
import org.fhespark.InvalidInputException;

/** Nodes that compute as in training: scores would be random, or depend on a record's batch. */
public final class TrainingMode {
  private static final int DROPOUT_INPUT = 2;

  private TrainingMode() {}

  /**
   * Checks a model.
   *
   * @throws InvalidInputException naming a node that is in training mode
   */
  public static void requireNone(OnnxModel model) {
    Constants constants = new Constants(model);
    for (int i = 0; i < model.graph().nodeCount(); i++) {
      NodeProto node = model.graph().node(i);
      boolean trains =
          switch (node.getOpType()) {
            case "BatchNormalization" ->
                node.getAttributeList().stream()
                    .anyMatch(a -> a.getName().equals("training_mode") && a.getI() != 0);
            case "Dropout" ->
                node.getInputCount() > DROPOUT_INPUT
                    && constants
                        .integers(node.getInput(DROPOUT_INPUT))
                        .filter(training -> training.length == 1 && training[0] != 0)
                        .isPresent();
            default -> false;
          };
      if (trains) {
        throw new InvalidInputException(
            model.file()
                + ": node '"
                + node.getName()
                + "' is in training mode; export the model after model.eval()");
      }
    }
  }
}
