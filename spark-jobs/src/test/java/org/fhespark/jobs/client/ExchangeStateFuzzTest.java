package org.fhespark.jobs.client;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.CRC32C;
import org.fhespark.compiler.onnx.ElementType;
import org.fhespark.jobs.fuzz.Decisions;
import org.fhespark.jobs.fuzz.Fuzzing;
import org.fhespark.jobs.fuzz.JsonEdits;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A state's folder with other values in state.json, and waves with other bytes. */
class ExchangeStateFuzzTest {
  private static final String ENTRY = "state.json";

  @TempDir static Path folder;
  private static ExchangeState state;
  private static List<byte[]> entries;
  private static Path file;
  private static byte[] wave;

  @BeforeAll
  static void write() throws IOException {
    state = ExchangeState.create(folder.resolve("state"));
    ExchangeState.Grouping grouping = new ExchangeState.Grouping(List.of(64, 3));
    entries =
        List.of(
            entered(new ExchangeState.Entry("c", "k", "t", 5, 1, 2, 3, 4)),
            entered(ExchangeState.Entry.ofParts("c", "k", "t", 5, List.of(0, 1))),
            entered(ExchangeState.Entry.ofGroups("c", "k", "t", 5, 0, 4, grouping)));
    ByteBuffer data = ByteBuffer.allocateDirect(24).order(ByteOrder.nativeOrder());
    Tensor tensor = Tensor.of(ElementType.FLOAT, data, 2, 3);
    Batch batch = new Batch(new long[] {4, 5}, List.of(), Map.of("x", tensor), new int[] {1, 2});
    file = state.wave(0, 0);
    SavedWave.write(file, List.of(), List.of(batch), List.of());
    wave = Files.readAllBytes(file);
  }

  private static byte[] entered(ExchangeState.Entry entry) throws IOException {
    state.enter(entry);
    return Files.readAllBytes(state.folder().resolve(ENTRY));
  }

  @Test
  void damagedStatesAreReadOrRefused() throws Exception {
    Fuzzing.run("ExchangeState", ExchangeStateFuzzTest::readState);
  }

  @Test
  void damagedWavesAreReadOrRefused() throws Exception {
    Fuzzing.run("ExchangeState-wave", ExchangeStateFuzzTest::readWave);
  }

  private static void readState(byte[] input) throws Exception {
    Decisions decisions = new Decisions(input);
    byte[] edited = JsonEdits.edit(decisions.of(entries), decisions);
    Files.write(state.folder().resolve(ENTRY), edited);
    Fuzzing.read(
        () -> {
          ExchangeState read = ExchangeState.read(state.folder());
          read.requireClient("c");
          read.requireKey("k");
          ExchangeState.Entry entry = read.entry();
          read.wave(entry.round(), entry.waves());
          read.parts();
        });
  }

  private static void readWave(byte[] input) throws Exception {
    Decisions decisions = new Decisions(input);
    boolean isSealed = decisions.below(4) > 0;
    byte[] damaged = decisions.damage(wave);
    int end = damaged.length - Long.BYTES;
    if (isSealed && end > 0) {
      CRC32C checksum = new CRC32C();
      checksum.update(damaged, 0, end);
      ByteBuffer.wrap(damaged).putLong(end, checksum.getValue());
    }
    Files.write(file, damaged);
    Fuzzing.read(() -> SavedWave.read(file, List.of(), Optional.empty()));
  }
}
