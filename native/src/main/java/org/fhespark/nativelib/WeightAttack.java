package org.fhespark.nativelib;

import java.util.Optional;
import java.util.stream.IntStream;

/**
 * What a malicious client can learn of the weights of a linear module: our own attacks, so that
 * reports quote what can be measured.
 *
 * <p>It knows what client.json says of a circuit, and no weight. Its secret key is zero: then
 * bodies of a block are the records, at a client's choice any residues mod q, and bodies of results
 * are their products with the weights.
 *
 * @param circuit SHA-256 of the circuit under attack
 * @param parameters its parameters
 * @param inputs d_in
 * @param outputs d_out
 */
public record WeightAttack(
    CircuitDigest circuit, PackedParameters parameters, int inputs, int outputs) {

  private int[] target() {
    NativeLibrary.load();
    return IntStream.concat(IntStream.of(parameters.fields()), IntStream.of(inputs, outputs))
        .toArray();
  }

  /**
   * Weights of each output that one record of chosen bodies gives without doubt; 0 if not one does.
   */
  public int weightsPerRecord() {
    return FheNative.attackWeightsPerRecord(target(), circuit.bytes());
  }

  /** Records of chosen bodies that give all weights. */
  public int recordsNeeded() {
    int perRecord = Math.max(1, weightsPerRecord());
    return (inputs + perRecord - 1) / perRecord;
  }

  /** Whether one record's masks are linear equations without errors, as many as unknowns. */
  public boolean masksAreEquations() {
    return !parameters.protectsWeights()
        && parameters.outputLimbs() == parameters.limbs()
        && parameters.lweDimension() >= inputs;
  }

  /**
   * The bytes of a public key for blocks under the secret key zero, as {@link PublicKey#open} takes
   * it.
   *
   * @param keyId 16 bytes
   */
  public byte[] publicKey(byte[] keyId) {
    return FheNative.attackPublicKey(target(), circuit.bytes(), keyId);
  }

  /**
   * A block of so many records of chosen bodies: record r asks for the weights of features g·r to
   * g·r + g - 1, g being {@link #weightsPerRecord}.
   *
   * @param keyId 16 bytes
   * @throws org.fhespark.InvalidInputException if a block holds fewer records
   */
  public byte[] block(byte[] keyId, int records) {
    return FheNative.attackBlock(target(), circuit.bytes(), keyId, records);
  }

  /**
   * Weights {@code [d_out][d_in]} by elimination on the masks of a block and of its results, mod
   * 2^8; empty if the masks are rounded, or the equations have no solution, or more than one.
   */
  public Optional<byte[]> weightsOfMasks(byte[] block, byte[] result) {
    return Optional.ofNullable(FheNative.attackMasks(target(), circuit.bytes(), block, result));
  }

  /**
   * Weights {@code [d_out][features]} from the results of {@link #block}, of the features that its
   * records asked for.
   */
  public byte[] weightsOfBodies(byte[] result) {
    return FheNative.attackBodies(target(), circuit.bytes(), result);
  }
}
