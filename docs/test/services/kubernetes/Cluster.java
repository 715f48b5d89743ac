import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import io.fabric8.mockwebserver.Context;
import io.fabric8.mockwebserver.MockWebServer;
import java.net.InetAddress;
import java.nio.file.Path;
import java.util.HashMap;

/**
 * A Kubernetes of one node for Spark's executors: an {@link Api}, and a {@link Kubelet} that starts
 * their processes on loopback. {@code Cluster SPARK_HOME FOLDER} prints its port, and ends with its standard input.
 */
final class Cluster {
  private Cluster() {}

  public static void main(String[] arguments) throws Exception {
    KubernetesMockServer api =
        new KubernetesMockServer(
            new Context(), new MockWebServer(), new HashMap<>(), new Api(), false);
    api.init(InetAddress.getLoopbackAddress(), 0);
    Image image = new Image(Path.of(arguments[0]));
    try (KubernetesClient client = api.createClient();
        Kubelet kubelet = new Kubelet(client, image, Path.of(arguments[1]))) {
      System.out.println(api.getPort());
      while (System.in.read() >= 0) {
        // Whoever started this closes its input to end it, as the kernel does when they are killed.
      }
    } finally {
      api.destroy();
    }
  }
}
