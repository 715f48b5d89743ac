package org.fhespark.jobs.fuzz;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ContainerNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** JSON that is another by some values: null, missing, of another type, out of range. */
public final class JsonEdits {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final JsonNodeFactory NODES = JsonNodeFactory.instance;
  private static final int MOST_EDITS = 4;

  private JsonEdits() {}

  public static byte[] edit(byte[] json, Decisions decisions) throws IOException {
    JsonNode root = JSON.readTree(json);
    for (int edit = 0; edit < MOST_EDITS && decisions.areLeft(); edit++) {
      List<ContainerNode<?>> containers = new ArrayList<>();
      collect(root, containers);
      if (containers.isEmpty()) {
        return JSON.writeValueAsBytes(value(NODES.nullNode(), decisions));
      }
      change(decisions.of(containers), root, decisions);
    }
    byte[] edited = JSON.writeValueAsBytes(root);
    return decisions.below(8) == 7 ? decisions.damage(edited) : edited;
  }

  private static void collect(JsonNode node, List<ContainerNode<?>> containers) {
    if (node instanceof ContainerNode<?> container && !container.isEmpty()) {
      containers.add(container);
    }
    node.forEach(child -> collect(child, containers));
  }

  private static void change(ContainerNode<?> container, JsonNode root, Decisions decisions) {
    if (container instanceof ObjectNode object) {
      List<String> names = new ArrayList<>();
      object.fieldNames().forEachRemaining(names::add);
      String name = decisions.of(names);
      switch (decisions.below(4)) {
        case 0 -> object.remove(name);
        case 1 -> object.set(name, object.get(decisions.of(names)).deepCopy());
        default -> object.set(name, value(object.get(name), decisions));
      }
    } else if (container instanceof ArrayNode array) {
      int index = decisions.below(array.size());
      switch (decisions.below(4)) {
        case 0 -> array.remove(index);
        case 1 -> array.add(array.get(index).deepCopy());
        default -> array.set(index, value(array.get(index), decisions));
      }
    }
  }

  private static JsonNode value(JsonNode was, Decisions decisions) {
    return switch (decisions.below(12)) {
      case 0 -> NODES.nullNode();
      case 1 -> NODES.arrayNode();
      case 2 -> NODES.objectNode();
      case 3 -> NODES.booleanNode(decisions.below(2) == 0);
      case 4 -> NODES.textNode("");
      case 5 -> NODES.textNode(decisions.of(List.of("../x", "a\nb", "\0", "é", "-1", "NaN", " ")));
      case 6 -> NODES.numberNode(decisions.number() / 3.0);
      case 7 -> NODES.textNode(was.asText() + "x");
      case 8 -> NODES.numberNode(was.asLong() + decisions.below(5) - 2);
      default -> NODES.numberNode(decisions.number());
    };
  }
}
