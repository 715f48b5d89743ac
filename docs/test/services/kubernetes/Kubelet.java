import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerStatusBuilder;
import io.fabric8.kubernetes.api.model.EnvVar;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodStatus;
import io.fabric8.kubernetes.api.model.PodStatusBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Starts the process of each pod that appears, says in the pod's status what became of it, and ends it with the pod. */
final class Kubelet implements ResourceEventHandler<Pod>, AutoCloseable {
  private static final String ADDRESS = "127.0.0.1";

  private final KubernetesClient client;
  private final Image image;
  private final Path folder;
  private final Map<String, Process> processes = new ConcurrentHashMap<>();
  private final ExecutorService threads = Executors.newCachedThreadPool();
  private final SharedIndexInformer<Pod> pods;

  /**
   * @param folder gets a folder for each pod, with its volumes, its log and the pod itself
   */
  Kubelet(KubernetesClient client, Image image, Path folder) {
    this.client = client;
    this.image = image;
    this.folder = folder;
    pods = client.pods().inAnyNamespace().inform(this);
  }

  @Override
  public void onAdd(Pod pod) {
    threads.execute(() -> run(pod));
  }

  private void run(Pod pod) {
    try {
      Process process = start(pod);
      processes.put(pod.getMetadata().getName(), process);
      report(pod, running());
      report(pod, ended(process.waitFor()));
    } catch (IOException | RuntimeException e) {
      e.printStackTrace();
      report(pod, ended(1));
    } catch (InterruptedException e) {
      // This ends, and so do the processes.
    }
  }

  @Override
  public void onUpdate(Pod before, Pod pod) {
    // Pods do not change what they run.
  }

  @Override
  public void onDelete(Pod pod, boolean unknown) {
    Process process = processes.remove(pod.getMetadata().getName());
    if (process != null) {
      process.destroy();
    }
  }

  private Process start(Pod pod) throws IOException {
    Container container = pod.getSpec().getContainers().get(0);
    Path home = Files.createDirectories(folder.resolve(pod.getMetadata().getName()));
    Files.writeString(home.resolve("pod.yaml"), client.getKubernetesSerialization().asYaml(pod));
    Volumes volumes = new Volumes(client, pod, container, home);
    Map<String, String> variables = new HashMap<>();
    for (EnvVar variable : container.getEnv()) {
      variables.put(variable.getName(), volumes.seenFromHere(value(variable, pod)));
    }
    ProcessBuilder builder = new ProcessBuilder(image.command(container.getArgs(), variables));
    builder.command().add(1, "-Djava.io.tmpdir=" + volumes.at("/tmp"));
    builder.environment().putAll(variables);
    builder.directory(home.toFile()).redirectErrorStream(true).redirectOutput(home.resolve("log").toFile());
    return builder.start();
  }

  private static String value(EnvVar variable, Pod pod) {
    if (variable.getValueFrom() == null) {
      return variable.getValue() == null ? "" : variable.getValue();
    }
    String field = variable.getValueFrom().getFieldRef().getFieldPath();
    return switch (field) {
      case "status.podIP" -> ADDRESS;
      case "metadata.name" -> pod.getMetadata().getName();
      default -> throw new IllegalArgumentException(variable.getName() + " is of field " + field);
    };
  }

  private static PodStatus running() {
    return new PodStatusBuilder().withPhase("Running").withPodIP(ADDRESS).build();
  }

  private static PodStatus ended(int exitCode) {
    return new PodStatusBuilder()
        .withPhase(exitCode == 0 ? "Succeeded" : "Failed")
        .withContainerStatuses(
            new ContainerStatusBuilder()
                .withNewState()
                .withNewTerminated()
                .withExitCode(exitCode)
                .endTerminated()
                .endState()
                .build())
        .build();
  }

  private void report(Pod pod, PodStatus status) {
    var there = client.pods().inNamespace(pod.getMetadata().getNamespace()).withName(pod.getMetadata().getName());
    // Gone when its application deleted it.
    if (there.get() != null) {
      there.editStatus(present -> new PodBuilder(present).withStatus(status).build());
    }
  }

  @Override
  public void close() {
    pods.close();
    threads.shutdownNow();
    processes.values().forEach(Process::destroy);
  }
}
