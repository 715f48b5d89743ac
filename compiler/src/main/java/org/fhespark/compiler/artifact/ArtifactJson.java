package org.fhespark.compiler.artifact;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import org.fhespark.InvalidInputException;

/** JSON of artefacts and reports: records, field by field. */
public final class ArtifactJson {
  /** Version of the artefacts' format; a file of another version is refused. */
  public static final int FORMAT_VERSION = 4;

  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          // isDynamic() and its like are no fields.
          .disable(MapperFeature.AUTO_DETECT_IS_GETTERS)
          .enable(SerializationFeature.INDENT_OUTPUT)
          .build();

  private ArtifactJson() {}

  /**
   * The JSON of a record, indented.
   *
   * @param record of numbers, strings, enums, arrays, lists, maps and such records
   */
  public static byte[] write(Object record) {
    try {
      return MAPPER.writeValueAsBytes(record);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("records of plain fields can be written", e);
    }
  }

  /**
   * Reads a record with a {@code formatVersion}.
   *
   * @param name the file, for messages
   * @throws InvalidInputException if it is no such record or of another version
   */
  static <T> T read(String name, byte[] bytes, Class<T> type) {
    return read(name, bytes, type, "compile the model again");
  }

  /**
   * As above.
   *
   * @param wayOut what to do about a file that cannot be used
   */
  static <T> T read(String name, byte[] bytes, Class<T> type, String wayOut) {
    try {
      JsonNode json = MAPPER.readTree(bytes);
      int version = json.path("formatVersion").asInt();
      if (version != FORMAT_VERSION) {
        throw new InvalidInputException(
            name
                + ": format version "
                + version
                + ", this fhe-spark reads version "
                + FORMAT_VERSION
                + "; "
                + wayOut
                + " with this version");
      }
      return MAPPER.treeToValue(json, type);
    } catch (IOException e) {
      throw new InvalidInputException(name + ": is not what fhe-spark writes there; " + wayOut, e);
    }
  }
}
