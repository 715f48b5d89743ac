package org.fhespark.examples.smollm2;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.jobs.client.ModelTensor;

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
  private final ModelTensor pastMask;
  private final ModelTensor pastKeys;
  private final ModelTensor pastValues;
  private final List<List<Long>> answers = new ArrayList<>();
  private ModelTensor tokens;
  private ModelTensor mask;
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
    this.pastMask = ModelTensor.allocate(ElementType.INT64, texts, 1, places);
    this.pastKeys = ModelTensor.allocate(ElementType.FLOAT, texts, HEADS, places, 64);
    this.pastValues = ModelTensor.allocate(ElementType.FLOAT, texts, HEADS, places, 64);
    this.tokens = ModelTensor.allocate(ElementType.INT64, texts, longest);
    this.mask = ModelTensor.allocate(ElementType.INT64, texts, longest);
    for (int text = 0; text < texts; text++) {
      answers.add(new ArrayList<>());
      for (int i = 0; i < prompts.get(text).length; i++) {
        put(tokens, text, i, prompts.get(text)[i]);
        put(mask, text, i, 1);
      }
    }
  }

  /** Texts that have not ended. */
  int openTexts() {
    int open = 0;
    for (int text = 0; text < texts; text++) {
      open += get(mask, text, 0) != 0 ? 1 : 0;
    }
    return open;
  }

  boolean isOpen() {
    return openTexts() > 0;
  }

  /** The model's inputs: tokens that it has not seen, and the cache of those that it has. */
  Map<String, ModelTensor> inputs() {
    return Map.of(
        "input_ids", tokens,
        "attention_mask", mask,
        "past_mask", pastMask,
        "past_keys", pastKeys,
        "past_values", pastValues);
  }

  /** Appends the tokens that the model chose, and caches keys and values of those it has seen. */
  void append(Map<String, ModelTensor> outputs) {
    int columns = (int) tokens.shape()[1];
    copy(outputs.get("keys"), pastKeys, columns);
    copy(outputs.get("values"), pastValues, columns);
    ModelTensor next = ModelTensor.allocate(ElementType.INT64, texts, 1);
    ModelTensor nextMask = ModelTensor.allocate(ElementType.INT64, texts, 1);
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

  private void copy(ModelTensor from, ModelTensor to, int columns) {
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

  private static long get(ModelTensor tensor, int text, int column) {
    return tensor.data().getLong(Long.BYTES * index(tensor, text, column));
  }

  private static void put(ModelTensor tensor, int text, int column, long value) {
    tensor.data().putLong(Long.BYTES * index(tensor, text, column), value);
  }

  private static int index(ModelTensor tensor, int text, int column) {
    return text * (int) tensor.shape()[tensor.shape().length - 1] + column;
  }
}
