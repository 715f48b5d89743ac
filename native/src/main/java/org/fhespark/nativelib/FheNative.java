package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;
import java.util.function.DoubleConsumer;

/**
 * Every native method. The wrappers of this package are the only callers: they own the handles and
 * check what Java can check.
 *
 * <p>There is no static initialiser that loads the library: a failure would come as an {@link
 * ExceptionInInitializerError}. Whoever begins a chain of calls loads it.
 *
 * <p>Errors of the input come as {@link org.fhespark.InvalidInputException}, anything else as
 * {@link NativeFaultException}.
 */
final class FheNative {
  private FheNative() {}

  static native int abiVersion();

  static native String kernelName();

  static native long openHandles();

  static native double freshStandardDeviation(int lweDimension, int limbs);

  static native int leastFlooding(int lweDimension, int limbs, int mostRecords);

  static native double outputStandardDeviation(int[] parameters, double maxL1, double maxL2);

  static native double log2FailureProbability(int[] parameters, double maxL1, double maxL2);

  static native byte[] encodeCircuit(
      int[] parameters, String moduleKey, int inputs, int outputs, byte[] weights);

  static native long openMemory(int bytes);

  static native ByteBuffer memoryBuffer(long memory);

  static native void closeMemory(long memory);

  static native long heapBytes();

  static native long mappedBytes();

  static native long idleResultBytes();

  static native long openCircuit(byte[] file);

  static native void closeCircuit(long circuit);

  static native long circuitMemory(long circuit);

  static native int[] circuitShape(long circuit);

  static native long[] accumulate(long circuit, int[] activations);

  static native long[] simulate(long module, long circuit, int[] activations);

  /** {@code target}, here and below: packed parameters, d_in, d_out. */
  static native int attackWeightsPerRecord(int[] target, byte[] circuit);

  static native byte[] attackPublicKey(int[] target, byte[] circuit, byte[] keyId);

  static native byte[] attackBlock(int[] target, byte[] circuit, byte[] keyId, int records);

  /** Null if there is no solution. */
  static native byte[] attackMasks(int[] target, byte[] circuit, byte[] block, byte[] result);

  static native byte[] attackBodies(int[] target, byte[] circuit, byte[] result);

  static native long openPublicKey(byte[] file);

  static native void closePublicKey(long key);

  /** Id of its client key, 16 bytes. */
  static native byte[] publicKeyId(long key);

  static native byte[] makePublicKey(long key, int[] shapes);

  /** {@code publicKey} is 0 for none. */
  static native void evaluate(
      long circuit,
      long publicKey,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop);

  static native long generateKey(
      byte[] clientId, int[] shapes, int[] lweDimensions, int[] ringDegrees);

  /** The passphrase is null for none. */
  static native long loadKey(String file, ByteBuffer passphrase);

  static native void saveKey(long key, String file, ByteBuffer passphrase);

  static native void closeKey(long key);

  static native byte[] keyId(long key);

  static native byte[] keyClientId(long key);

  static native long openModule(
      long key,
      byte[] circuit,
      int[] parameters,
      int inputs,
      int outputs,
      long[] norms,
      int activationBits,
      float staticScale,
      float[] weightScales,
      float[] bias);

  static native void closeModule(long module);

  static native int[] quantize(
      long module, ByteBuffer[] buffers, long[] runs, int[] unfolding, float[] scales);

  static native int blockBytes(long module, int records);

  static native void encrypt(
      long module,
      ByteBuffer[] buffers,
      long[] runs,
      int[] unfolding,
      float[] scales,
      long blockNumber,
      int threads,
      ByteBuffer block);

  static native void decrypt(
      long module,
      ByteBuffer block,
      long blockNumber,
      float[] scales,
      int threads,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native void cutMask(long module, ByteBuffer block, ByteBuffer part);

  static native void cutRecords(
      long module, ByteBuffer block, int first, int count, ByteBuffer part);

  static native void decryptParts(
      long module,
      ByteBuffer[] parts,
      long blockNumber,
      float[] scales,
      int threads,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native long orderMask(long module, int slots, long blockNumber, ByteBuffer block);

  static native void closeMaskOrder(long order);

  /** Ends the order. */
  static native long prepareMask(long module, long order, ByteBuffer results, int threads);

  static native void closePreparedMask(long mask);

  static native int slotsLeft(long mask);

  static native long preparedMaskBytes(long mask);

  static native int encryptAhead(
      long module,
      long mask,
      ByteBuffer[] buffers,
      long[] runs,
      int[] unfolding,
      float[] scales,
      long blockNumber,
      ByteBuffer block);

  static native void decryptAhead(
      long module,
      long mask,
      int firstSlot,
      ByteBuffer block,
      long blockNumber,
      float[] scales,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native long[] decryptAccumulators(long module, byte[] block);

  static native byte[] startSum(byte[] block);

  /** In place; {@code sum} is as it was if this fails. */
  static native void addToSum(byte[] sum, byte[] block);

  static native long[] decryptSumAccumulators(long module, byte[] sums);

  static native void decryptSums(
      long module,
      byte[] sums,
      long[] counts,
      int threads,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native void dequantize(
      long module,
      long[] accumulators,
      float[] scales,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native byte[] encodeLookupCircuit(
      int[] packed,
      int[] parameters,
      String moduleKey,
      int inputs,
      int packedOutputs,
      byte[] weights,
      long[] tables,
      int[] stepIntegers,
      long[] stepWords,
      int[] outputs);

  static native long openLookupCircuit(byte[] file);

  static native void closeLookupCircuit(long circuit);

  static native long lookupCircuitMemory(long circuit);

  static native int[] lookupCircuitShape(long circuit);

  static native long[] lookupPhases(
      long circuit, int[] activations, boolean isSimulated, double[] reaches, int[] wholeTurns);

  static native double[] lookupNoise(long circuit);

  static native double[] amplifications(
      int inputs, byte[] weights, int[] stepIntegers, long[] stepWords, int[] outputs);

  static native void evaluateLookups(
      long circuit,
      long keys,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop);

  static native long expandEvaluationKey(byte[] file, byte[] keyId, int[] parameters, int threads);

  static native long expandMappedEvaluationKey(
      ByteBuffer file, byte[] keyId, int[] parameters, int threads);

  /** Id of its client key, 16 bytes, and its parameters, little-endian integers. */
  static native byte[] checkEvaluationKey(ByteBuffer file);

  static native void closeEvaluationKey(long keys);

  static native byte[] evaluationKeyId(long keys);

  static native int[] evaluationKeyParameters(long keys);

  static native long evaluationKeyMemory(long keys);

  static native byte[] makeEvaluationKey(
      long key, int[] parameters, int[] shape, int threads, DoubleConsumer progress);

  static native long openLookupClient(
      long key, byte[] circuit, int[] parameters, double[] scales, float[] bias);

  static native void closeLookupClient(long client);

  static native long[] decryptPhases(long client, byte[] block, long blockNumber);

  static native long decryptLookups(
      long client,
      ByteBuffer block,
      long blockNumber,
      int threads,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native long dequantizePhases(
      long client, long[] phases, int[] columns, ByteBuffer[] buffers, long[] runs);

  static native double[] searchBootstrap(long[] shape, double[] targets);

  /** {@code activations}, here and below, are form and degree of each. */
  static native byte[] encodeLeveledCircuit(
      int[] parameters,
      String moduleKey,
      int inputs,
      int[] outputs,
      byte[] weights,
      double[] multipliers,
      double[] biases,
      int[] activations,
      double[] coefficients,
      double[] linear,
      double inputScale,
      double outputScale);

  static native long openLeveledCircuit(byte[] file);

  static native void closeLeveledCircuit(long circuit);

  static native long leveledCircuitMemory(long circuit);

  /** n, levels, d_in, d_out. */
  static native int[] leveledCircuitShape(long circuit);

  static native double[] leveledInClear(long circuit, double[] records, boolean isSimulated);

  static native int leveledLevelsNeeded(int[] activations);

  static native int leveledMaxLevels(int polynomialSize);

  /** 0 if the size is in no table. */
  static native int leveledLargestModulusBits(int polynomialSize);

  static native double leveledInputNoise(long circuit);

  static native double leveledNominalScale();

  static native double leveledLargestOutputScale(int polynomialSize);

  static native void evaluateLeveled(
      long circuit,
      long keys,
      long inputArray,
      long inputSchema,
      long outputArray,
      long outputSchema,
      int threads,
      BooleanSupplier shouldStop);

  static native byte[] makeRelinearizationKey(
      long key, int[] parameters, int threads, DoubleConsumer progress);

  /** {@code scales} are input scale, output scale and radius; {@code key} is 0 for none. */
  static native long openLeveledClient(
      long key,
      byte[] circuit,
      int[] parameters,
      double[] scales,
      float[] center,
      float[] spread,
      double[] outputRanges);

  static native void closeLeveledClient(long client);

  static native int leveledBlockBytes(long client);

  static native double[] normalizeLeveled(
      long client, ByteBuffer[] buffers, long[] runs, int[] unfolding, float[] factors);

  static native void encryptLeveled(
      long client,
      ByteBuffer[] buffers,
      long[] runs,
      int[] unfolding,
      float[] factors,
      long blockNumber,
      ByteBuffer block);

  static native void decryptLeveled(
      long client,
      ByteBuffer block,
      long blockNumber,
      int[] columns,
      ByteBuffer[] buffers,
      long[] runs);

  static native void writeLeveled(
      long client, double[] results, int[] columns, ByteBuffer[] buffers, long[] runs);
}
