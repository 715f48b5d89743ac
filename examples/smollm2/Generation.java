package org.fhespark.examples.smollm2;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.fhespark.jobs.client.HybridSession;
import org.fhespark.jobs.client.ScoreReport;
import org.fhespark.jobs.client.ModelTensor;
import org.fhespark.jobs.client.TensorResults;

/**
 * Greedy generation for many prompts at once. The first step takes all prompts through the model,
 * each later one the last token of every text that has not ended; in each the rows of all texts
 * share blocks. The masks of later steps are prepared some steps at a time.
 */
public final class Generation {
  private static final String TEMPLATE =
      "<|im_start|>system\n"
          + "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
          + "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n";

  /** The token that ends an answer. */
  private static final long END = 2;

  /** Slots of masks to prepare at a time: those of all layers take about 1.1 MB each. */
  private static final int MOST_SLOTS = 1024;

  /** Texts of a batch: the logits of a step's positions, 200 kB each, are in memory at once. */
  private static final int MOST_TEXTS = 16;

  private final HybridSession session;
  private final HuggingFaceTokenizer tokenizer;
  private final int cores;

  /**
   * @param cores batches to make at least, as clear segments take one core a batch
   */
  public Generation(HybridSession session, HuggingFaceTokenizer tokenizer, int cores) {
    this.session = session;
    this.tokenizer = tokenizer;
    this.cores = cores;
  }

  /**
   * What was generated.
   *
   * @param tokens for each question the tokens of its answer
   * @param steps what each step cost
   * @param masks what each preparation of masks cost
   */
  public record Answers(List<List<Long>> tokens, List<ScoreReport> steps, List<ScoreReport> masks) {
    public int tokenCount() {
      return tokens.stream().mapToInt(List::size).sum();
    }
  }

  /** At most {@code most} tokens of answer to each question. */
  public Answers answer(List<String> questions, int most) {
    List<long[]> prompts =
        questions.stream()
            .map(question -> tokenizer.encode(TEMPLATE.formatted(question), false, false).getIds())
            .toList();
    int each = Math.min(MOST_TEXTS, (prompts.size() + cores - 1) / cores);
    List<TextBatch> batches = new ArrayList<>();
    for (int first = 0; first < prompts.size(); first += each) {
      List<long[]> some = prompts.subList(first, Math.min(prompts.size(), first + each));
      batches.add(new TextBatch(some, most, END));
    }
    List<ScoreReport> steps = new ArrayList<>();
    List<ScoreReport> masks = new ArrayList<>();
    int slots = 0;
    for (int step = 0; step < most; step++) {
      List<TextBatch> open = batches.stream().filter(TextBatch::isOpen).toList();
      if (open.isEmpty()) {
        break;
      }
      int rows = open.stream().mapToInt(TextBatch::openTexts).sum();
      if (step > 0 && slots < rows) {
        slots = rows * Math.max(1, Math.min(most - step, MOST_SLOTS / rows));
        masks.add(session.prepare(slots).report());
      }
      slots -= step > 0 ? rows : 0;
      List<Map<String, ModelTensor>> inputs = open.stream().map(TextBatch::inputs).toList();
      TensorResults results = session.forward(inputs);
      for (int i = 0; i < open.size(); i++) {
        open.get(i).append(results.outputs().get(i));
      }
      steps.add(results.report());
    }
    List<List<Long>> tokens = new ArrayList<>();
    batches.forEach(batch -> tokens.addAll(batch.answers()));
    return new Answers(tokens, steps, masks);
  }

  /** An answer as text. */
  public static String text(HuggingFaceTokenizer tokenizer, List<Long> tokens) {
    return tokenizer.decode(tokens.stream().mapToLong(Long::longValue).toArray(), true);
  }
}
