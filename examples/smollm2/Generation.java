import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.jobs.client.HybridSession;
import scala.collection.immutable.ArraySeq;

/**
 * Greedy generation for many prompts at once: every step is one pass of the session over the whole
 * text of all prompts that have not ended.
 */
final class Generation {
  private static final StructType SCHEMA =
      StructType.fromDDL("input_ids ARRAY<BIGINT>, attention_mask ARRAY<BIGINT>");
  private static final String TEMPLATE =
      "<|im_start|>system\n"
          + "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
          + "<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n";
  private static final long END = 2;

  private final SparkSession spark;
  private final HybridSession session;
  private final HuggingFaceTokenizer tokenizer;

  Generation(SparkSession spark, HybridSession session, HuggingFaceTokenizer tokenizer) {
    this.spark = spark;
    this.session = session;
    this.tokenizer = tokenizer;
  }

  /** At most {@code tokens} tokens of answer to each question, as text. */
  List<String> answer(List<String> questions, int tokens) {
    List<long[]> texts = new ArrayList<>();
    for (String question : questions) {
      texts.add(tokenizer.encode(TEMPLATE.formatted(question), false, false).getIds());
    }
    int[] promptLengths = texts.stream().mapToInt(text -> text.length).toArray();
    for (int step = 0; step < tokens; step++) {
      List<Integer> open = new ArrayList<>();
      for (int i = 0; i < texts.size(); i++) {
        if (texts.get(i)[texts.get(i).length - 1] != END || texts.get(i).length == promptLengths[i]) {
          open.add(i);
        }
      }
      if (open.isEmpty()) {
        break;
      }
      List<Row> rows = open.stream().map(i -> row(texts.get(i))).toList();
      Dataset<Row> records = spark.createDataFrame(rows, SCHEMA);
      List<Row> scored = session.forward(records).collectAsList();
      for (int i = 0; i < open.size(); i++) {
        long[] text = texts.get(open.get(i));
        List<Long> next = scored.get(i).getList(scored.get(i).fieldIndex("next_token"));
        long[] longer = Arrays.copyOf(text, text.length + 1);
        longer[text.length] = next.get(text.length - 1);
        texts.set(open.get(i), longer);
      }
    }
    List<String> answers = new ArrayList<>();
    for (int i = 0; i < texts.size(); i++) {
      long[] text = texts.get(i);
      answers.add(tokenizer.decode(Arrays.copyOfRange(text, promptLengths[i], text.length), true));
    }
    return answers;
  }

  private static Row row(long[] text) {
    long[] mask = new long[text.length];
    Arrays.fill(mask, 1);
    return RowFactory.create(new ArraySeq.ofLong(text), new ArraySeq.ofLong(mask));
  }
}
