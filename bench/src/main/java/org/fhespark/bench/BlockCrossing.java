package org.fhespark.bench;

import java.nio.ByteBuffer;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What Java calls for a block, on one thread. With a layer of one weight and one record only what
 * every call costs is left: the crossing of JNI and Arrow, and a mask of one feature.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class BlockCrossing {
  /** Of the layer and the block. */
  public enum Size {
    SMALL(new LayerShape(1, 1), 1),
    LARGE(new LayerShape(768, 768), 4096);

    private final LayerShape shape;
    private final int records;

    Size(LayerShape shape, int records) {
      this.shape = shape;
      this.records = records;
    }
  }

  @Param({"SMALL", "LARGE"})
  public Size size;

  private EncryptedLayer layer;

  @Setup
  public void makeLayer() {
    ByteBuffer records = RandomRecords.of(size.records, size.shape.inputs());
    layer = new EncryptedLayer(records, size.records, size.shape, 8, null);
  }

  @TearDown
  public void closeLayer() {
    layer.close();
  }

  @Benchmark
  public void encrypt() {
    layer.encrypt();
  }

  @Benchmark
  public void evaluate() {
    layer.evaluate();
  }

  @Benchmark
  public void decrypt() {
    layer.decrypt();
  }
}
