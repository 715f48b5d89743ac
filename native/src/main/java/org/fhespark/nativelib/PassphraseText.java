package org.fhespark.nativelib;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import org.fhespark.InvalidInputException;

/** A passphrase in UTF-8 as native code takes it: outside the heap, wiped on close. */
final class PassphraseText implements AutoCloseable {
  private static final int MAX_BYTES_A_CHAR = 3;

  private final ByteBuffer memory;
  private final ByteBuffer bytes;

  private PassphraseText(ByteBuffer memory, ByteBuffer bytes) {
    this.memory = memory;
    this.bytes = bytes;
  }

  /** That of characters, or none of null. */
  static PassphraseText of(char[] characters) {
    if (characters == null) {
      return new PassphraseText(ByteBuffer.allocateDirect(0), null);
    }
    ByteBuffer memory = ByteBuffer.allocateDirect(MAX_BYTES_A_CHAR * characters.length);
    CoderResult result =
        StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(characters), memory, true);
    if (result.isError()) {
      wipe(memory);
      throw new InvalidInputException(
          "the passphrase is not Unicode text: it has half a surrogate pair");
    }
    return new PassphraseText(memory, memory.slice(0, memory.position()));
  }

  /** Its bytes, to the buffer's capacity; null if there is none. */
  ByteBuffer bytes() {
    return bytes;
  }

  @Override
  public void close() {
    wipe(memory);
  }

  private static void wipe(ByteBuffer memory) {
    for (int index = 0; index < memory.capacity(); index++) {
      memory.put(index, (byte) 0);
    }
  }
}
