package org.fhespark.compiler.onnx;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;

/** Sessions of ONNX Runtime that compute what a model's nodes say. */
public final class ExactSession {
  private ExactSession() {}

  /**
   * Opens one of a serialised model; the caller closes it.
   *
   * @throws OrtException if ONNX Runtime refuses the model; {@link #reason} says why
   */
  public static OrtSession open(byte[] model) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      // What fails is in the exception, and said once.
      options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
      // Fused, a quantised layer is computed less exactly than its nodes say.
      options.addConfigEntry("session.disable_quant_qdq", "1");
      return OrtEnvironment.getEnvironment().createSession(model, options);
    }
  }

  /**
   * Closes one, once.
   *
   * @throws IllegalStateException if it is closed already
   */
  public static void close(OrtSession session) {
    try {
      session.close();
    } catch (OrtException e) {
      throw new IllegalStateException("ONNX Runtime session is closed already", e);
    }
  }

  /** The first line of what ONNX Runtime says. */
  public static String reason(OrtException e) {
    return String.valueOf(e.getMessage()).lines().findFirst().orElse("no reason given").strip();
  }
}
