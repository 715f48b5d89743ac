package org.fhespark.jobs.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.jobs.client.HybridModel;
import org.fhespark.nativelib.ClientKey;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Makes a client's secret key. */
@Command(
    name = "keygen",
    description = "Makes the client's secret key, KEYS/client.key, readable by its owner only.",
    mixinStandardHelpOptions = true)
final class KeygenCommand implements Callable<Integer> {
  /** Name of the key file in a directory of keys. */
  static final String CLIENT_KEY = "client.key";

  @Option(
      names = "--client",
      required = true,
      paramLabel = "DIR",
      description = "The client artefact the key is for.")
  private org.apache.hadoop.fs.Path client;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "KEYS",
      description = "A local directory; an existing key is never overwritten.")
  private Path out;

  @Override
  public Integer call() {
    HybridModel model = HybridModel.load(client, new Configuration());
    Path file = out.resolve(CLIENT_KEY);
    try (ClientKey key = model.newKey()) {
      key.save(file);
      System.out.println("wrote " + file + ", key " + key.id());
    }
    return 0;
  }
}
