package org.fhespark.examples.minilm;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.HexFormat;
import java.util.List;
import org.fhespark.jobs.client.RemoteServer;

/** `fhe-spark serve` in a process of its own, on a free port of this machine. */
final class ServedModel implements AutoCloseable {
  private static final String SERVING = "serving at ";

  private final Process process;
  private final RemoteServer address;

  private ServedModel(Process process, RemoteServer address) {
    this.process = process;
    this.address = address;
  }

  /**
   * Starts it and waits until it serves.
   *
   * @param command the path of bin/fhe-spark
   * @param server the server artefact
   * @param token a file that is written
   */
  static ServedModel start(Path command, Path server, Path token, int cores) throws IOException {
    byte[] random = new byte[24];
    new SecureRandom().nextBytes(random);
    String text = HexFormat.of().formatHex(random);
    Files.deleteIfExists(token);
    Files.createFile(
        token, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    Files.writeString(token, text + "\n");
    Process process =
        new ProcessBuilder(
                command.toString(),
                "serve",
                "--server",
                "minilm=" + server,
                "--token-file",
                token.toString(),
                "--port",
                "0",
                "--master",
                "local[" + cores + "]",
                "--conf",
                "spark.ui.enabled=false")
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try {
      int port = awaitPort(process);
      return new ServedModel(process, new RemoteServer("sc://localhost:" + port, text));
    } catch (Throwable error) {
      process.destroyForcibly();
      throw error;
    }
  }

  private static int awaitPort(Process process) throws IOException {
    BufferedReader said =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    String line = said.readLine();
    while (line != null && !line.startsWith(SERVING)) {
      line = said.readLine();
    }
    if (line == null) {
      throw new IllegalStateException("fhe-spark serve has ended");
    }
    return Integer.parseInt(line.substring(line.lastIndexOf(':') + 1));
  }

  RemoteServer address() {
    return address;
  }

  @Override
  public void close() {
    List<ProcessHandle> children = process.descendants().toList();
    process.destroy();
    children.forEach(ProcessHandle::destroy);
  }
}
