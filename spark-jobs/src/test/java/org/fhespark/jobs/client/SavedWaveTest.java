package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.fhespark.compiler.onnx.ElementType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Waves that are written side by side. */
class SavedWaveTest {
  private static final int ROUNDS = 200;
  private static final int WRITERS = 4;

  @TempDir Path folder;

  /** Each writer finds that the round's folder is not there yet, and makes it. */
  @Test
  void theFirstWavesOfARoundAreWrittenAtTheSameTime() throws Exception {
    ExchangeState state = ExchangeState.create(folder.resolve("state"));
    CyclicBarrier together = new CyclicBarrier(WRITERS);
    ExecutorService writers = Executors.newFixedThreadPool(WRITERS);
    try {
      List<Future<?>> written = new ArrayList<>();
      for (int writer = 0; writer < WRITERS; writer++) {
        int wave = writer;
        written.add(
            writers.submit(
                () -> {
                  for (int round = 0; round < ROUNDS; round++) {
                    together.await(30, TimeUnit.SECONDS);
                    Batch batch = batch(wave);
                    SavedWave.write(state.wave(round, wave), List.of(), List.of(batch), List.of());
                  }
                  return null;
                }));
      }
      for (Future<?> one : written) {
        one.get();
      }
    } finally {
      writers.shutdownNow();
    }
    for (int wave = 0; wave < WRITERS; wave++) {
      SavedWave.Opened opened =
          SavedWave.read(state.wave(ROUNDS - 1, wave), List.of(), Optional.empty());
      assertEquals(wave, opened.batches().get(0).recordNumber(0));
    }
  }

  private static Batch batch(int record) {
    ByteBuffer data = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder());
    Tensor tensor = Tensor.of(ElementType.FLOAT, data, 1, 2);
    return new Batch(new long[] {record}, List.of(), Map.of("x", tensor), new int[0]);
  }
}
