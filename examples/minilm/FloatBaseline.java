package org.fhespark.examples.minilm;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.LongBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * The whole float model in ONNX Runtime, as one would run it for speed: sentences in batches of
 * similar length, both cores. What encrypted scoring is compared with.
 */
public final class FloatBaseline implements AutoCloseable {
  private static final int BATCH = 32;

  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;

  public FloatBaseline(Path model, int threads) throws OrtException {
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      options.setIntraOpNumThreads(threads);
      session = environment.createSession(model.toString(), options);
    }
  }

  /**
   * Embeds the sentences, given as token ids.
   *
   * @return [sentences][384], in the order given
   */
  public float[][] embed(List<long[]> sentences) throws OrtException {
    Integer[] order = IntStream.range(0, sentences.size()).boxed().toArray(Integer[]::new);
    Arrays.sort(order, Comparator.comparingInt(i -> sentences.get(i).length));
    float[][] embeddings = new float[order.length][];
    for (int from = 0; from < order.length; from += BATCH) {
      int to = Math.min(order.length, from + BATCH);
      int length = sentences.get(order[to - 1]).length;
      long[] shape = {to - from, length};
      long[] ids = new long[(to - from) * length];
      long[] mask = new long[ids.length];
      for (int i = from; i < to; i++) {
        long[] sentence = sentences.get(order[i]);
        int row = (i - from) * length;
        System.arraycopy(sentence, 0, ids, row, sentence.length);
        Arrays.fill(mask, row, row + sentence.length, 1);
      }
      try (OnnxTensor inputIds = OnnxTensor.createTensor(environment, LongBuffer.wrap(ids), shape);
          OnnxTensor attention = OnnxTensor.createTensor(environment, LongBuffer.wrap(mask), shape);
          OnnxTensor types =
              OnnxTensor.createTensor(environment, LongBuffer.wrap(new long[ids.length]), shape);
          OrtSession.Result result =
              session.run(
                  Map.of(
                      "input_ids", inputIds, "attention_mask", attention, "token_type_ids", types),
                  Set.of(SentenceModel.EMBEDDING))) {
        float[][] batch = (float[][]) result.get(0).getValue();
        for (int i = from; i < to; i++) {
          embeddings[order[i]] = batch[i - from];
        }
      }
    }
    return embeddings;
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }
}
