package org.fhespark.examples.minilm;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.fhespark.jobs.tables.TableFormat;
import org.fhespark.jobs.tables.TableWriter;
import scala.collection.immutable.ArraySeq;

/** Sentences as the token ids that MiniLM reads: a Parquet table of ragged int64 arrays. */
public final class TokenTable {
  private static final String RESOURCE = "/all-minilm-l6-v2-tokenizer.json";
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "id BIGINT, input_ids ARRAY<BIGINT>, attention_mask ARRAY<BIGINT>,"
              + " token_type_ids ARRAY<BIGINT>");

  private TokenTable() {}

  /** The token ids of each sentence, without padding, [CLS] and [SEP] included. */
  public static List<long[]> tokens(List<String> sentences) throws IOException {
    try (InputStream resource = TokenTable.class.getResourceAsStream(RESOURCE);
        HuggingFaceTokenizer tokenizer =
            HuggingFaceTokenizer.newInstance(
                resource, Map.of("padding", "false", "maxLength", "512", "truncation", "true"))) {
      List<long[]> ids = new ArrayList<>();
      for (String sentence : sentences) {
        ids.add(tokenizer.encode(sentence).getIds());
      }
      return ids;
    }
  }

  /** Writes the table, in the sentences' order. */
  public static void write(SparkSession spark, Path table, List<long[]> sentences) {
    try (TableWriter writer =
        TableWriter.create(
            spark, new org.apache.hadoop.fs.Path(table.toUri()), SCHEMA, TableFormat.PARQUET, true)) {
      for (int i = 0; i < sentences.size(); i++) {
        writer.write(row(i, sentences.get(i)));
      }
      writer.commit();
    }
  }

  public static List<String> lines(Path file) throws IOException {
    return Files.readAllLines(file);
  }

  private static Row row(long id, long[] tokens) {
    long[] ones = new long[tokens.length];
    java.util.Arrays.fill(ones, 1);
    return RowFactory.create(
        id,
        new ArraySeq.ofLong(tokens),
        new ArraySeq.ofLong(ones),
        new ArraySeq.ofLong(new long[tokens.length]));
  }
}
