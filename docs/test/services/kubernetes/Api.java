import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.client.server.mock.KubernetesCrudDispatcher;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.fabric8.mockwebserver.crud.AttributeSet;

/** Objects in memory, among them pods, which are pending from the first, as with an API server. */
final class Api extends KubernetesCrudDispatcher {
  @Override
  public void processEvent(
      String path,
      AttributeSet pathAttributes,
      AttributeSet before,
      GenericKubernetesResource resource,
      String state) {
    super.processEvent(path, pathAttributes, before, resource, state == null ? null : pending(state));
  }

  private static String pending(String state) {
    ObjectNode object = Serialization.unmarshal(state, ObjectNode.class);
    if (object.path("kind").asText().equals("Pod") && object.path("status").path("phase").isMissingNode()) {
      object.withObjectProperty("status").put("phase", "Pending");
    }
    return object.toString();
  }
}
