package org.fhespark.nativelib;

import java.nio.ByteBuffer;

/**
 * The data owner's side of one remote module: quantise, encrypt, decrypt, dequantise. Safe to share
 * between threads.
 *
 * <p>Buffers are direct and in native byte order, row-major: records are floats {@code [T][d_in]},
 * outputs floats {@code [T][d_out]}.
 */
public final class ModuleClient implements AutoCloseable {
  private final NativeHandle handle;
  private final ModuleSpec spec;

  private ModuleClient(ModuleSpec spec, long key) {
    this.spec = spec;
    WeightNorms norms = spec.norms();
    NativeLibrary.load();
    long opened =
        FheNative.openModule(
            key,
            spec.circuit().bytes(),
            spec.parameters().fields(),
            spec.inputs(),
            spec.outputs(),
            new long[] {norms.maxL1(), norms.maxL2Squared(), norms.maxAbs()},
            spec.quantization().activationBits(),
            spec.quantization().staticScale(),
            spec.weightScales(),
            spec.bias());
    this.handle = new NativeHandle("module", opened, FheNative::closeModule);
  }

  /** A module that can do everything. */
  public static ModuleClient withKey(ModuleSpec spec, ClientKey key) {
    return new ModuleClient(spec, key.nativeHandle());
  }

  /** A module that can quantise and dequantise only. */
  public static ModuleClient withoutKey(ModuleSpec spec) {
    return new ModuleClient(spec, 0);
  }

  public ModuleSpec spec() {
    return spec;
  }

  /**
   * Integer activations {@code [T][d_in]} of float records; writes their scales.
   *
   * @param records floats {@code [T][d_in]}
   * @param scales written, {@code [T]}
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity
   */
  public int[] quantize(ByteBuffer records, float[] scales) {
    return FheNative.quantize(handle.get(), records, scales.length, scales);
  }

  /**
   * Quantises and encrypts 1 to K·N records under a fresh mask.
   *
   * @param records floats {@code [T][d_in]}
   * @param scales written, {@code [T]}; decryption needs them
   * @param blockNumber comes back on the block of results
   * @return the block
   * @throws org.fhespark.InvalidInputException naming record and feature of a NaN or infinity
   */
  public byte[] encrypt(ByteBuffer records, float[] scales, long blockNumber) {
    return FheNative.encrypt(handle.get(), records, scales.length, scales, blockNumber);
  }

  /**
   * Decrypts and dequantises a block of results.
   *
   * @param blockNumber the number the block must carry
   * @param scales the scales that encryption gave, {@code [T]}
   * @param outputs written, floats {@code [T][d_out]}
   * @throws org.fhespark.InvalidInputException if the block is damaged, made by another circuit,
   *     under another key, or another block's result
   */
  public void decrypt(byte[] block, long blockNumber, float[] scales, ByteBuffer outputs) {
    FheNative.decrypt(handle.get(), block, blockNumber, scales, outputs);
  }

  /** Accumulators {@code [T][d_out]} of a block of results, before dequantisation. */
  public long[] decryptAccumulators(byte[] block) {
    return FheNative.decryptAccumulators(handle.get(), block);
  }

  /** Outputs of accumulators {@code [T][d_out]}, as {@link #decrypt} computes them. */
  public void dequantize(long[] accumulators, float[] scales, ByteBuffer outputs) {
    FheNative.dequantize(handle.get(), accumulators, scales, outputs);
  }

  @Override
  public void close() {
    handle.close();
  }
}
