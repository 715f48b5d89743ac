package org.fhespark.jobs.client;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import org.fhespark.InvalidInputException;
import org.fhespark.connect.UnavailableException;

/**
 * A Spark Connect server that evaluates blocks: mode REMOTE.
 *
 * @param url {@code sc://host:port}; TLS unless the host is {@code localhost}
 * @param token that the server asks for
 * @param patience how long a server that was there may be away, as when it is restarted
 */
public record RemoteServer(String url, String token, Duration patience) {
  private static final String SCHEME = "sc";
  private static final int DEFAULT_PORT = 15002;
  private static final int ANSWER_MS = 10_000;

  /**
   * @throws InvalidInputException if the URL is of another form
   */
  public RemoteServer {
    URI parsed = parse(url);
    if (!SCHEME.equals(parsed.getScheme()) || parsed.getHost() == null) {
      throw new InvalidInputException(
          "\"" + url + "\" is no address of a Spark Connect server: write sc://HOST:PORT");
    }
  }

  /** With a patience of five minutes. */
  public RemoteServer(String url, String token) {
    this(url, token, Duration.ofMinutes(5));
  }

  /** Whether a text is meant to be the address of such a server. */
  public static boolean isAddress(String text) {
    return text.startsWith(SCHEME + ":");
  }

  /**
   * The token in the first line of a file.
   *
   * @throws InvalidInputException if there is none
   */
  public static String readToken(Path file) {
    try {
      String token = Files.readString(file).lines().findFirst().orElse("").strip();
      if (token.isEmpty()) {
        throw new InvalidInputException(file + ": is empty; its first line is to be the token");
      }
      return token;
    } catch (NoSuchFileException error) {
      throw new InvalidInputException(file + ": no such file; give the token's", error);
    } catch (IOException error) {
      throw new InvalidInputException(file + ": cannot be read: " + error.getMessage(), error);
    }
  }

  private static URI parse(String url) {
    try {
      return URI.create(url);
    } catch (IllegalArgumentException error) {
      return URI.create("");
    }
  }

  /**
   * Sees whether anybody listens there: gRPC itself would try for long.
   *
   * @throws UnavailableException if nobody does
   */
  void requireListening() {
    URI parsed = parse(url);
    int port = parsed.getPort() < 0 ? DEFAULT_PORT : parsed.getPort();
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress(parsed.getHost(), port), ANSWER_MS);
    } catch (IOException error) {
      throw new UnavailableException(error.getMessage(), error);
    }
  }

  /** Without the token. */
  @Override
  public String toString() {
    return url;
  }
}
