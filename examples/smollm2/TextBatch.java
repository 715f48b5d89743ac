import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.jobs.client.Tensor;

/**
 * Texts that grow together, and the cache of the keys and values of their tokens: {@code [texts, 90
 * heads of all layers, places, 64]}, one place for each column of prompts and answers.
 */
final class TextBatch {
  private static final int HEADS = 90;
  private static final int HEAD_BYTES = 64 * Float.BYTES;

  private final int texts;
  private final int places;
  private final long end;
  private final Tensor pastMask;
  private final Tensor pastKeys;
  private final Tensor pastValues;
  private final List<List<Long>> answers = new ArrayList<>();
  private Tensor tokens;
  private Tensor mask;
  private int used;

  /**
   * @param prompts at least one, none empty
   * @param most tokens of an answer
   * @param end the token that ends an answer and is no part of it
   */
  TextBatch(List<long[]> prompts, int most, long end) {
    this.texts = prompts.size();
    this.end = end;
    int longest = prompts.stream().mapToInt(prompt -> prompt.length).max().orElseThrow();
    this.places = longest + most;
    this.pastMask = Tensor.allocate(ElementType.INT64, texts, 1, places);
    this.pastKeys = Tensor.allocate(ElementType.FLOAT, texts, HEADS, places, 64);
    this.pastValues = Tensor.allocate(ElementType.FLOAT, texts, HEADS, places, 64);
    this.tokens = Tensor.allocate(ElementType.INT64, texts, longest);
    this.mask = Tensor.allocate(ElementType.INT64, texts, longest);
    for (int text = 0; text < texts; text++) {
      answers.add(new ArrayList<>());
      for (int i = 0; i < prompts.get(text).length; i++) {
        put(tokens, text, i, prompts.get(text)[i]);
        put(mask, text, i, 1);
      }
    }
  }

  /** Whether a text has not ended. */
  boolean isOpen() {
    for (int text = 0; text < texts; text++) {
      if (get(mask, text, 0) != 0) {
        return true;
      }
    }
    return false;
  }

  /** The model's inputs: tokens that it has not seen, and the cache of those that it has. */
  Map<String, Tensor> inputs() {
    return Map.of(
        "input_ids", tokens,
        "attention_mask", mask,
        "past_mask", pastMask,
        "past_keys", pastKeys,
        "past_values", pastValues);
  }

  /** Appends the tokens that the model chose, and caches keys and values of those it has seen. */
  void append(Map<String, Tensor> outputs) {
    int columns = (int) tokens.shape()[1];
    copy(outputs.get("keys"), pastKeys, columns);
    copy(outputs.get("values"), pastValues, columns);
    Tensor next = Tensor.allocate(ElementType.INT64, texts, 1);
    Tensor nextMask = Tensor.allocate(ElementType.INT64, texts, 1);
    for (int text = 0; text < texts; text++) {
      int last = -1;
      for (int i = 0; i < columns; i++) {
        put(pastMask, text, used + i, get(mask, text, i));
        last = get(mask, text, i) != 0 ? i : last;
      }
      if (last >= 0) {
        long chosen = get(outputs.get("next_token"), text, last);
        if (chosen != end) {
          answers.get(text).add(chosen);
          put(next, text, 0, chosen);
          put(nextMask, text, 0, 1);
        }
      }
    }
    used += columns;
    tokens = next;
    mask = nextMask;
  }

  List<List<Long>> answers() {
    return answers;
  }

  private void copy(Tensor from, Tensor to, int columns) {
    ByteBuffer source = from.data();
    for (int head = 0; head < texts * HEADS; head++) {
      to.data()
          .put(
              (head * places + used) * HEAD_BYTES,
              source,
              head * columns * HEAD_BYTES,
              columns * HEAD_BYTES);
    }
  }

  private static long get(Tensor tensor, int text, int column) {
    return tensor.data().getLong(Long.BYTES * index(tensor, text, column));
  }

  private static void put(Tensor tensor, int text, int column, long value) {
    tensor.data().putLong(Long.BYTES * index(tensor, text, column), value);
  }

  private static int index(Tensor tensor, int text, int column) {
    return text * (int) tensor.shape()[tensor.shape().length - 1] + column;
  }
}
