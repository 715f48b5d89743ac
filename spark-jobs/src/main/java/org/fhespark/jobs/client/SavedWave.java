package org.fhespark.jobs.client;

import ai.onnxruntime.OnnxJavaType;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;
import org.apache.spark.sql.Row;
import org.fhespark.InvalidInputException;

/**
 * A wave whose blocks are under way, in a file: its live tensors, in clear, and what decrypting the
 * results will need. The machine that wrote it reads it.
 */
final class SavedWave {
  private static final int MAGIC = 0x46484557;
  private static final int VERSION = 2;
  private static final int CHUNK = 1 << 16;

  private SavedWave() {}

  /**
   * Writes a file, under another name first.
   *
   * @param layers of the round; their outputs are left out, they have no values yet
   * @param sent blocks of these layers, with rows of these batches
   * @throws InvalidInputException if it cannot be written
   */
  static void write(Path file, List<RemoteLayer> layers, List<Batch> batches, List<SentRows> sent) {
    for (RemoteLayer layer : layers) {
      List<String> outputs = layer.spec().outputs().stream().map(out -> out.tensor()).toList();
      batches.forEach(batch -> batch.drop(outputs));
    }
    try {
      makeFolder(file.getParent());
      Path partial = file.resolveSibling(file.getFileName() + ".partial");
      writeTo(partial, layers, batches, sent);
      Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException error) {
      throw ExchangeState.cannotWrite(file.getParent(), error);
    }
  }

  /**
   * Makes the folder of a round, as writers of other waves of it may do just now; not those above:
   * the state may have been deleted, and is not to be made again.
   */
  private static void makeFolder(Path folder) throws IOException {
    try {
      Files.createDirectory(folder);
    } catch (FileAlreadyExistsException error) {
      if (!Files.isDirectory(folder)) {
        throw error;
      }
    }
  }

  private static void writeTo(
      Path file, List<RemoteLayer> layers, List<Batch> batches, List<SentRows> sent)
      throws IOException {
    CRC32C checksum = new CRC32C();
    try (DataOutputStream out =
        new DataOutputStream(
            new CheckedOutputStream(
                new BufferedOutputStream(Files.newOutputStream(file), CHUNK), checksum))) {
      out.writeInt(MAGIC);
      out.writeInt(VERSION);
      out.writeUTF(ByteOrder.nativeOrder().toString());
      out.writeInt(batches.size());
      for (Batch batch : batches) {
        write(batch, out);
      }
      out.writeInt(sent.size());
      for (SentRows rows : sent) {
        write(rows, layers, batches, out);
      }
      out.writeLong(checksum.getValue());
    }
  }

  private static void write(Batch batch, DataOutputStream out) throws IOException {
    out.writeInt(batch.records());
    for (int record = 0; record < batch.records(); record++) {
      out.writeLong(batch.recordNumber(record));
    }
    byte[] lost = batch.lost().toByteArray();
    out.writeInt(lost.length);
    out.write(lost);
    out.writeInt(batch.lengths().length);
    for (int length : batch.lengths()) {
      out.writeInt(length);
    }
    Map<String, Tensor> tensors = batch.tensors();
    out.writeInt(tensors.size());
    byte[] chunk = new byte[CHUNK];
    for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
      Tensor tensor = entry.getValue();
      out.writeUTF(entry.getKey());
      out.writeUTF(tensor.type().name());
      out.writeInt(tensor.shape().length);
      for (long axis : tensor.shape()) {
        out.writeLong(axis);
      }
      for (ByteBuffer rest = tensor.data().duplicate().clear(); rest.hasRemaining(); ) {
        int count = Math.min(rest.remaining(), chunk.length);
        rest.get(chunk, 0, count);
        out.write(chunk, 0, count);
      }
    }
  }

  private static void write(
      SentRows rows, List<RemoteLayer> layers, List<Batch> batches, DataOutputStream out)
      throws IOException {
    out.writeInt(layers.indexOf(rows.rows().layer()));
    out.writeLong(rows.number());
    out.writeInt(rows.scales().length);
    for (float scale : rows.scales()) {
      out.writeFloat(scale);
    }
    out.writeInt(rows.rows().runs().size());
    for (RowBlock.Run run : rows.rows().runs()) {
      out.writeInt(batches.indexOf(run.batch()));
      out.writeInt(run.first());
      out.writeInt(run.rows());
    }
  }

  /** A wave that was read, with room for the outputs of its round. */
  record Opened(List<Batch> batches, List<SentRows> sent) {}

  /**
   * Reads a file.
   *
   * @param layers of the round, as when it was written
   * @param records gives the wave's records next, in their order, if they are needed already
   * @throws InvalidInputException if it is missing or damaged
   */
  static Opened read(Path file, List<RemoteLayer> layers, Optional<Iterator<Row>> records) {
    try {
      requireWhole(file);
      long bytes = Files.size(file);
      try (DataInputStream in = new DataInputStream(stream(file))) {
        return new Reader(in, bytes).read(layers, records);
      }
    } catch (EOFException | DamagedException error) {
      throw damaged(file, error);
    } catch (IOException error) {
      throw new InvalidInputException(
          file + ": cannot be read: " + error.getMessage() + "; encrypt the records again", error);
    }
  }

  private static BufferedInputStream stream(Path file) throws IOException {
    return new BufferedInputStream(Files.newInputStream(file), CHUNK);
  }

  /** Lengths are read from the file next, so it is to be whole first. */
  private static void requireWhole(Path file) throws IOException {
    long left = Files.size(file) - Long.BYTES;
    CheckedInputStream checked = new CheckedInputStream(stream(file), new CRC32C());
    try (DataInputStream in = new DataInputStream(checked)) {
      boolean isOurs =
          left > 0
              && in.readInt() == MAGIC
              && in.readInt() == VERSION
              && in.readUTF().equals(ByteOrder.nativeOrder().toString());
      if (isOurs) {
        long begun = 2L * Integer.BYTES + Short.BYTES + ByteOrder.nativeOrder().toString().length();
        in.skipNBytes(left - begun);
        long computed = checked.getChecksum().getValue();
        isOurs = computed == in.readLong();
      }
      if (!isOurs) {
        throw damaged(file, null);
      }
    } catch (EOFException error) {
      throw damaged(file, error);
    }
  }

  private static InvalidInputException damaged(Path file, Throwable cause) {
    return new InvalidInputException(
        file + ": is damaged, or not of this version or machine; encrypt the records again", cause);
  }

  /** What no wave holds. */
  private static final class DamagedException extends IOException {
    private static final long serialVersionUID = 1L;

    DamagedException(String message) {
      super(message);
    }
  }

  /**
   * Reads a file whose checksum is right.
   *
   * @param bytes of the file, which bound all lengths in it
   */
  private record Reader(DataInputStream in, long bytes) {
    Opened read(List<RemoteLayer> layers, Optional<Iterator<Row>> records) throws IOException {
      in.readInt();
      in.readInt();
      in.readUTF();
      List<Batch> batches = new ArrayList<>();
      for (int left = count(Integer.BYTES); left > 0; left--) {
        batches.add(batch());
      }
      if (records.isPresent()) {
        batches = withRows(batches, records.get());
      }
      for (RemoteLayer layer : layers) {
        batches.forEach(layer::allocateOutputs);
      }
      List<SentRows> sent = new ArrayList<>();
      for (int left = count(Integer.BYTES); left > 0; left--) {
        sent.add(sent(layers, batches));
      }
      return new Opened(batches, sent);
    }

    /** A number of things that take so many bytes each. */
    private int count(int bytesEach) throws IOException {
      int count = in.readInt();
      if (count < 0 || count > bytes / bytesEach) {
        throw new DamagedException(count + " things in " + bytes + " bytes");
      }
      return count;
    }

    /** One of a list's, which is named by its index. */
    private <T> T element(List<T> list) throws IOException {
      int index = in.readInt();
      if (index < 0 || index >= list.size()) {
        throw new DamagedException("number " + index + " of " + list.size());
      }
      return list.get(index);
    }

    private Batch batch() throws IOException {
      long[] numbers = new long[count(Long.BYTES)];
      for (int record = 0; record < numbers.length; record++) {
        numbers[record] = in.readLong();
      }
      BitSet lost = BitSet.valueOf(in.readNBytes(count(1)));
      int[] lengths = new int[count(Integer.BYTES)];
      for (int record = 0; record < lengths.length; record++) {
        lengths[record] = in.readInt();
      }
      Map<String, Tensor> tensors = new HashMap<>();
      byte[] chunk = new byte[CHUNK];
      for (int left = count(Integer.BYTES); left > 0; left--) {
        String name = in.readUTF();
        Tensor tensor = emptyTensor();
        tensors.put(name, tensor);
        for (ByteBuffer rest = tensor.data().duplicate().clear(); rest.hasRemaining(); ) {
          int count = Math.min(rest.remaining(), chunk.length);
          in.readFully(chunk, 0, count);
          rest.put(chunk, 0, count);
        }
      }
      Batch batch = new Batch(numbers, List.of(), tensors, lengths);
      if (lost.length() > numbers.length) {
        throw new DamagedException("record " + (lost.length() - 1) + " of " + numbers.length);
      }
      lost.stream().forEach(record -> batch.lose(record, record + 1));
      return batch;
    }

    /** A tensor whose values come next. */
    private Tensor emptyTensor() throws IOException {
      String name = in.readUTF();
      OnnxJavaType type =
          Stream.of(OnnxJavaType.values())
              .filter(each -> each.name().equals(name) && each.size > 0)
              .findFirst()
              .orElseThrow(() -> new DamagedException("a tensor of " + name));
      long[] shape = new long[count(Long.BYTES)];
      long most = bytes / type.size;
      long elements = 1;
      for (int axis = 0; axis < shape.length; axis++) {
        shape[axis] = in.readLong();
        // Neither factor exceeds the file's length, so the product does not overflow below 2 GiB.
        if (shape[axis] < 0 || shape[axis] > most || elements * shape[axis] > most) {
          throw new DamagedException("a tensor of " + Arrays.toString(shape));
        }
        elements *= shape[axis];
      }
      return Tensor.pooled(type, shape);
    }

    private SentRows sent(List<RemoteLayer> layers, List<Batch> batches) throws IOException {
      RemoteLayer layer = element(layers);
      long number = in.readLong();
      float[] scales = new float[count(Float.BYTES)];
      for (int row = 0; row < scales.length; row++) {
        scales[row] = in.readFloat();
      }
      List<RowBlock.Run> runs = new ArrayList<>();
      for (int left = count(3 * Integer.BYTES); left > 0; left--) {
        runs.add(new RowBlock.Run(element(batches), in.readInt(), in.readInt()));
      }
      return new SentRows(new RowBlock(layer, runs), number, scales, Optional.empty());
    }
  }

  /** A wave's records follow one another, whichever batches they are in. */
  private static List<Batch> withRows(List<Batch> batches, Iterator<Row> records) {
    Map<Long, Row> byNumber = new HashMap<>();
    long[] numbers = batches.stream().flatMapToLong(SavedWave::numbers).sorted().toArray();
    for (long number : numbers) {
      byNumber.put(number, records.next());
    }
    return batches.stream()
        .map(batch -> batch.withRows(numbers(batch).mapToObj(byNumber::get).toList()))
        .toList();
  }

  private static LongStream numbers(Batch batch) {
    return IntStream.range(0, batch.records()).mapToLong(batch::recordNumber);
  }
}
