import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/** The folders that stand for a pod's volumes; there are no mounts, so paths below mount points become paths in them. */
final class Volumes {
  private static final int WAIT_SECONDS = 60;

  private final Map<Path, Path> folders = new HashMap<>();

  /**
   * @param folder gets a folder for each volume, with what a config map has
   * @throws IOException if a volume is of another kind than Spark asks for here, or a mount has none
   */
  Volumes(KubernetesClient client, Pod pod, Container container, Path folder) throws IOException {
    Map<String, Path> byName = new HashMap<>();
    for (Volume volume : pod.getSpec().getVolumes()) {
      Path made = Files.createDirectories(folder.resolve(volume.getName()));
      if (volume.getConfigMap() != null) {
        // Spark makes it behind the pods; a container waits for its volumes.
        Map<String, String> files =
            client
                .configMaps()
                .inNamespace(pod.getMetadata().getNamespace())
                .withName(volume.getConfigMap().getName())
                .waitUntilCondition(Objects::nonNull, WAIT_SECONDS, TimeUnit.SECONDS)
                .getData();
        for (Map.Entry<String, String> file : files.entrySet()) {
          Files.writeString(made.resolve(file.getKey()), file.getValue());
        }
      } else if (volume.getEmptyDir() == null) {
        throw new IOException("volume " + volume.getName() + " is neither an emptyDir nor a configMap");
      }
      byName.put(volume.getName(), made);
    }
    for (VolumeMount mount : container.getVolumeMounts()) {
      Path volume = byName.get(mount.getName());
      if (volume == null) {
        throw new IOException("mount " + mount.getMountPath() + " is of no volume");
      }
      folders.put(Path.of(mount.getMountPath()), volume);
    }
  }

  /** A value of the environment, which is another path if it is one below a mount point. */
  String seenFromHere(String value) {
    if (!value.startsWith("/")) {
      return value;
    }
    Path path = Path.of(value);
    return folders.entrySet().stream()
        .filter(mount -> path.startsWith(mount.getKey()))
        .map(mount -> mount.getValue().resolve(mount.getKey().relativize(path)).toString())
        .findFirst()
        .orElse(value);
  }

  /** What is mounted at a path. */
  Path at(String mountPath) {
    return folders.get(Path.of(mountPath));
  }
}
