package org.fhespark.bench;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Other libraries that multiply encrypted activations by clear weights, in a Python process beside
 * this one: it computes only while asked, so both are timed within the same minutes.
 */
final class Peers implements AutoCloseable {
  /** What TenSEAL computes of a layer's outputs; each costs the same. */
  private static final int TENSEAL_OUTPUTS = 8;

  private static final ObjectMapper JSON = new ObjectMapper();

  private final Process process;
  private final BufferedWriter requests;
  private final BufferedReader replies;
  private final Map<Request, PeerMeasurement> known = new HashMap<>();

  private record Request(String peer, int inputs, int outputs, int records) {}

  /**
   * Starts the process.
   *
   * @param python an interpreter that has the libraries of bench/peers/requirements.txt
   * @param script bench/peers/serve.py
   */
  Peers(Path python, Path script) throws IOException {
    process =
        new ProcessBuilder(python.toString(), script.toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    requests = process.outputWriter();
    replies = process.inputReader();
  }

  /** concrete-ml-extensions: one record, one row. */
  PeerMeasurement concrete(LayerShape shape) throws IOException {
    return ask(new Request("concrete-ml-extensions", shape.inputs(), shape.outputs(), 1));
  }

  /** TenSEAL: a record a slot, a few of the layer's outputs. */
  PeerMeasurement tenseal(LayerShape shape, int records) throws IOException {
    return ask(new Request("tenseal", shape.inputs(), TENSEAL_OUTPUTS, records));
  }

  private PeerMeasurement ask(Request request) throws IOException {
    PeerMeasurement measured = known.get(request);
    if (measured == null) {
      requests.write(JSON.writeValueAsString(request));
      requests.newLine();
      requests.flush();
      String reply = replies.readLine();
      if (reply == null) {
        throw new IOException("the peers' process ended without a reply to " + request);
      }
      measured = JSON.readValue(reply, PeerMeasurement.class);
      known.put(request, measured);
    }
    return measured;
  }

  @Override
  public void close() throws IOException {
    // The end of its input ends it.
    requests.close();
    replies.close();
  }
}
