package org.fhespark.udf;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.CRC32C;
import org.fhespark.InvalidInputException;

/**
 * What an encrypted block says of itself, to look at and to choose by; whoever evaluates or
 * decrypts a block has the native side check all of it, the payload included. The format is in
 * {@code native/crates/fhe-core/src/block.rs}.
 *
 * @param kind what it carries, and which way
 * @param version of the format
 * @param circuit SHA-256 of the circuit that it is for, or that made it, in hexadecimal
 * @param key id of the client key, in hexadecimal
 * @param number the client's number for the block; of sums those of all results, added up
 * @param records that it holds, T
 * @param features its columns: inputs of the circuit on the way up, outputs on the way down
 * @param summands results that it is the sum of; 1 of a result itself, 0 of what cannot be added
 * @param maxSummands results that may be added; 0 of what cannot
 */
public record BlockHeader(
    String kind,
    int version,
    String circuit,
    String key,
    long number,
    int records,
    int features,
    int summands,
    int maxSummands) {
  /** Bytes of a header. */
  public static final int BYTES = 128;

  /** Version of the format of blocks that this release writes and reads. */
  public static final int FORMAT_VERSION = 4;

  /** The {@link #kind} of sums of results. */
  public static final String SUMS_KIND = "sums";

  private static final int MAGIC = 0x42454846;
  private static final int VERSION = 4;
  private static final int KIND = 6;
  private static final byte ACTIVATIONS = 1;
  private static final byte RESULTS = 2;
  private static final byte MASK_ORDER = 3;
  private static final byte BODIES = 5;
  private static final byte SUMS = 8;
  private static final int CIRCUIT = 8;
  private static final int KEY = 40;
  private static final int KEY_END = 56;
  private static final int RECORDS = 84;
  private static final int FEATURES = 88;
  private static final int NUMBER = 96;
  private static final int SUMMANDS = 112;
  private static final int MAX_SUMMANDS = 120;
  private static final int CHECKSUM = 124;

  /** By their codes in the format, from 1. */
  private static final List<String> KINDS =
      List.of(
          "activations",
          "results",
          "mask order",
          "mask results",
          "bodies",
          "body results",
          "look-up results",
          SUMS_KIND);

  /**
   * Reads the header of a block.
   *
   * @param block from the buffer's start; position and limit stay as they are
   * @throws InvalidInputException if it is no block, or the header is damaged
   */
  public static BlockHeader of(ByteBuffer block) {
    ByteBuffer fields = block.duplicate().clear().order(ByteOrder.LITTLE_ENDIAN);
    if (fields.limit() < BYTES) {
      throw truncated(fields.limit());
    }
    if (fields.getInt(0) != MAGIC) {
      throw new InvalidInputException("these bytes are no encrypted block: they do not begin FHEB");
    }
    CRC32C checksum = new CRC32C();
    checksum.update(fields.slice(0, CHECKSUM));
    if ((int) checksum.getValue() != fields.getInt(CHECKSUM)) {
      throw new InvalidInputException(
          "encrypted block is damaged: its header does not match its checksum");
    }
    int code = fields.get(KIND);
    boolean canBeAdded = code == RESULTS || code == SUMS;
    return new BlockHeader(
        code >= 1 && code <= KINDS.size() ? KINDS.get(code - 1) : "kind " + code,
        fields.getShort(VERSION),
        hex(fields, CIRCUIT, KEY),
        hex(fields, KEY, KEY_END),
        fields.getLong(NUMBER),
        fields.getInt(RECORDS),
        fields.getInt(FEATURES),
        canBeAdded ? fields.getInt(SUMMANDS) : 0,
        canBeAdded ? fields.getInt(MAX_SUMMANDS) : 0);
  }

  /** The circuit of a block alone, unchecked. */
  static String circuitOf(EncryptedBlock block) {
    return unchecked(block, CIRCUIT, KEY);
  }

  /** The id of a block's client key alone, unchecked. */
  static String keyOf(EncryptedBlock block) {
    return unchecked(block, KEY, KEY_END);
  }

  private static String unchecked(EncryptedBlock block, int from, int to) {
    if (block.length() < to) {
      throw truncated(block.length());
    }
    return hex(block.bytes(), from, to);
  }

  /** Whether a block, whose circuit was read, is a mask order. */
  static boolean isMaskOrder(EncryptedBlock block) {
    return block.bytes().get(KIND) == MASK_ORDER;
  }

  /** Records of a block that was evaluated; 0 of a mask order. */
  static int recordsOf(EncryptedBlock block) {
    ByteBuffer fields = block.bytes().order(ByteOrder.LITTLE_ENDIAN);
    byte kind = fields.get(KIND);
    return kind == ACTIVATIONS || kind == BODIES ? fields.getInt(RECORDS) : 0;
  }

  /** Outputs for each of the records in a block of results. */
  static int featuresOf(EncryptedBlock block) {
    return block.bytes().order(ByteOrder.LITTLE_ENDIAN).getInt(FEATURES);
  }

  private static InvalidInputException truncated(int length) {
    return new InvalidInputException("encrypted block is truncated: " + length + " bytes");
  }

  private static String hex(ByteBuffer block, int from, int to) {
    byte[] bytes = new byte[to - from];
    block.get(from, bytes);
    return HexFormat.of().formatHex(bytes);
  }
}
