package org.fhespark.jobs.client;

import java.nio.ByteBuffer;
import java.util.Optional;
import org.fhespark.InvalidInputException;
import org.fhespark.compiler.artifact.RemoteCallSpec;
import org.fhespark.nativelib.ClientKey;
import org.fhespark.nativelib.InputRows;
import org.fhespark.nativelib.OutputRows;

/** What the client does with the rows of a remote call, by the kind of its circuit. */
sealed interface LayerCipher permits IntegerCipher, LeveledCipher {

  /**
   * Opens that of a call.
   *
   * @param key without one it can quantise and dequantise only
   * @param outOfRange what becomes of records that a leveled circuit is not made for
   * @param resources gets what it holds
   */
  static LayerCipher open(
      RemoteCallSpec call, Optional<ClientKey> key, OutOfRange outOfRange, Resources resources) {
    if (call.isLeveled()) {
      return LeveledCipher.open(call, key, outOfRange, resources);
    }
    return call.hasLookups()
        ? LookupCipher.open(call, key, resources)
        : PackedCipher.open(call, key, resources);
  }

  /**
   * Most rows of one block.
   *
   * @throws InvalidInputException if the result of a single panel of rows is too large to send
   */
  int blockRows();

  /** Bytes of a block of so many rows on the way up. */
  int blockBytes(int rows);

  /** Bytes of the payload of an encrypted input of so many rows in one block. */
  long bytesUp(long rows);

  /** Bytes of the payload of an encrypted result of so many rows in one block. */
  long bytesDown(long rows);

  /**
   * Encrypts rows under a fresh mask.
   *
   * @param scales written, a row: what decryption needs
   * @param block written, of {@link #blockBytes}
   */
  void encrypt(InputRows rows, float[] scales, long number, int cores, ByteBuffer block);

  /**
   * Decrypts and dequantises a block of results.
   *
   * @param scales that encryption gave
   */
  void decrypt(ByteBuffer block, long number, float[] scales, int cores, OutputRows outputs);

  /**
   * How many of encrypted rows were drawn into the range that the circuit is made for.
   *
   * @param scales that encryption gave
   * @throws InvalidInputException naming the first such record, if that is to end the run
   */
  int clamped(RowBlock rows, float[] scales);
}
