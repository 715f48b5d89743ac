package org.fhespark.jobs.client;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FileUtil;
import org.fhespark.InvalidInputException;

/**
 * The client's own folder of records that are scored round by round: the records, and between two
 * rounds the waves with their clear tensors. Nobody else may read it; on disk only the last entry
 * that {@link #enter} made counts, so a job that was killed can be run again.
 */
final class ExchangeState {
  private static final int FORMAT_VERSION = 2;
  private static final String ENTRY = "state.json";

  /**
   * Until the first entry, says that the folder is ours and which run it is of: what is in it may
   * then be deleted.
   */
  private static final String RUN = ".fhe-spark-state";

  private static final Pattern URI_SCHEME = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]+:/");

  private static final ObjectMapper JSON =
      JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

  private final Path folder;
  private final Entry entry;

  /**
   * Where the records are.
   *
   * @param client id of the client artefact
   * @param key id of the client key
   * @param table what the records' table was called
   * @param records their number
   * @param round whose results come next, from 0; the model's number of rounds when all is done
   * @param waves their number
   * @param firstBlock number of the round's first block
   * @param blocks their number; the others follow the first
   * @param parts numbers of the folders inside that are states of their own, where tasks encrypted
   *     the records; then what is said of rounds, waves and blocks is theirs to say, until all is
   *     done
   * @param grouping how the records are in groups, of which sums come; null if they are not
   */
  @JsonInclude(JsonInclude.Include.NON_NULL)
  record Entry(
      int formatVersion,
      String client,
      String key,
      String table,
      long records,
      int round,
      int waves,
      long firstBlock,
      long blocks,
      List<Integer> parts,
      Grouping grouping) {
    Entry {
      Objects.requireNonNull(client);
      Objects.requireNonNull(key);
      Objects.requireNonNull(table);
      parts = List.copyOf(parts);
      if (Stream.of(records, firstBlock, blocks, round, waves).anyMatch(n -> n.longValue() < 0)
          || parts.stream().anyMatch(part -> part < 0)) {
        throw new IllegalArgumentException("numbers of a state are not negative");
      }
    }

    Entry(
        String client,
        String key,
        String table,
        long records,
        int round,
        int waves,
        long firstBlock,
        long blocks) {
      this(
          FORMAT_VERSION,
          client,
          key,
          table,
          records,
          round,
          waves,
          firstBlock,
          blocks,
          List.of(),
          null);
    }

    /** Of a state that is in parts. */
    static Entry ofParts(
        String client, String key, String table, long records, List<Integer> parts) {
      return new Entry(FORMAT_VERSION, client, key, table, records, 0, 0, 0, 0, parts, null);
    }

    /** Of records in groups. */
    static Entry ofGroups(
        String client,
        String key,
        String table,
        long records,
        long firstBlock,
        long blocks,
        Grouping grouping) {
      return new Entry(
          FORMAT_VERSION,
          client,
          key,
          table,
          records,
          0,
          0,
          firstBlock,
          blocks,
          List.of(),
          grouping);
    }

    /** The records are scored. */
    Entry done(int rounds) {
      return new Entry(
          FORMAT_VERSION, client, key, table, records, rounds, 0, 0, 0, List.of(), null);
    }
  }

  /**
   * How records are in groups.
   *
   * @param blockRows rows of every block, of each call of the round
   */
  record Grouping(List<Integer> blockRows) {
    Grouping {
      blockRows = List.copyOf(blockRows);
    }
  }

  private ExchangeState(Path folder, Entry entry) {
    this.folder = folder;
    this.entry = entry;
  }

  /**
   * Makes a new folder, with mode 0700. One that encrypt was killed over, or gave up, is made anew.
   *
   * @throws InvalidInputException if there is one that holds something, or it cannot be made
   */
  static ExchangeState create(Path folder) {
    if (URI_SCHEME.matcher(folder.toString()).lookingAt()) {
      throw new InvalidInputException(
          "state "
              + folder
              + " is no local folder: give one of your own, without a file system's name");
    }
    try {
      if (Files.exists(folder)) {
        clear(folder);
      } else if (folder.toAbsolutePath().getParent() != null) {
        Files.createDirectories(folder.toAbsolutePath().getParent());
      }
      makePrivate(folder);
      newRun(folder);
      return new ExchangeState(folder, null);
    } catch (IOException error) {
      throw cannotWrite(folder, error);
    }
  }

  /** Makes a folder, not those above it. */
  private static void makePrivate(Path folder) throws IOException {
    boolean isPosix = FileSystems.getDefault().supportedFileAttributeViews().contains("posix");
    if (!Files.exists(folder) && isPosix) {
      Files.createDirectory(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    } else if (!Files.exists(folder)) {
      Files.createDirectory(folder);
    } else if (isPosix) {
      Files.setPosixFilePermissions(folder, PosixFilePermissions.fromString("rwx------"));
    }
  }

  private static void newRun(Path folder) throws IOException {
    Files.writeString(folder.resolve(RUN), UUID.randomUUID().toString());
  }

  /** What {@link #create} called this run. */
  String run() {
    return runOf(folder);
  }

  private static String runOf(Path folder) {
    try {
      return Files.readString(folder.resolve(RUN));
    } catch (IOException error) {
      throw new InvalidInputException(
          "state "
              + folder
              + " is not there on every host, or no longer: give a folder that all hosts of the"
              + " cluster have mounted",
          error);
    }
  }

  private static void requireRun(Path state, String run) {
    if (!runOf(state).equals(run)) {
      throw new InvalidInputException(
          "state " + state + " is another run's by now: this one was given up");
    }
  }

  /**
   * Makes the folder of an attempt at a part; {@link #becomePart} puts it in its place.
   *
   * @param state that {@link #create} made, perhaps on another host
   * @param run of {@link #run}
   * @throws InvalidInputException if this host does not see it, it is of another run, or it cannot
   *     be made
   */
  static ExchangeState createPart(Path state, String run, int part, long attempt) {
    requireRun(state, run);
    Path folder = state.resolve("." + name(part) + "-" + run + "-" + attempt);
    try {
      makePrivate(folder);
      return new ExchangeState(folder, null);
    } catch (IOException error) {
      throw cannotWrite(folder, error);
    }
  }

  /** A part's state, if an attempt at it has ended well. */
  static Optional<ExchangeState> part(Path state, int part) {
    Path folder = state.resolve(name(part));
    return isBegun(folder) ? Optional.of(read(folder)) : Optional.empty();
  }

  private static String name(int part) {
    return "part-%05d".formatted(part);
  }

  /**
   * Puts the folder of an attempt in the part's place, unless another attempt did so before; then
   * it is deleted.
   */
  void becomePart(String run, int part) {
    try {
      requireRun(folder.getParent(), run);
      Files.move(folder, folder.resolveSibling(name(part)), StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException error) {
      delete();
      if (!isBegun(folder.resolveSibling(name(part)))) {
        throw cannotWrite(folder, error);
      }
    }
  }

  /** The states that rounds go through: its parts, or itself. */
  List<ExchangeState> parts() {
    return entry.parts().isEmpty()
        ? List.of(this)
        : entry.parts().stream().map(part -> read(folder.resolve(name(part)))).toList();
  }

  private static void clear(Path folder) throws IOException {
    List<Path> found;
    try (Stream<Path> inside = Files.list(folder)) {
      found = inside.toList();
    }
    if (!found.isEmpty() && (isBegun(folder) || !Files.exists(folder.resolve(RUN)))) {
      throw new InvalidInputException(
          "state "
              + folder
              + " exists and is not empty: choose another folder, or delete it if its records need"
              + " no results any more");
    }
    found.forEach(each -> FileUtil.fullyDelete(each.toFile()));
  }

  /** Whether a folder is one that {@link #enter} left. */
  static boolean isBegun(Path folder) {
    return Files.exists(folder.resolve(ENTRY));
  }

  /**
   * Reads what {@link #enter} left in a folder.
   *
   * @throws InvalidInputException if there is nothing, or it is damaged
   */
  static ExchangeState read(Path folder) {
    Path file = folder.resolve(ENTRY);
    Entry entry;
    try {
      entry = JSON.readValue(Files.readAllBytes(file), Entry.class);
    } catch (NoSuchFileException error) {
      throw new InvalidInputException(
          "state " + folder + " holds no " + ENTRY + ": give the folder that encrypt wrote", error);
    } catch (IOException error) {
      throw new InvalidInputException(
          file + ": is damaged or cannot be read; encrypt the records again", error);
    }
    if (entry == null) {
      throw new InvalidInputException(file + ": is damaged; encrypt the records again");
    }
    if (entry.formatVersion() != FORMAT_VERSION) {
      throw new InvalidInputException(
          file
              + ": format version "
              + entry.formatVersion()
              + ", this fhe-spark reads version "
              + FORMAT_VERSION
              + "; encrypt the records again");
    }
    return new ExchangeState(folder, entry);
  }

  /**
   * Checks that its records were encrypted with a client artefact.
   *
   * @throws InvalidInputException if it is another
   */
  void requireClient(String client) {
    if (!client.equals(entry.client())) {
      throw new InvalidInputException(
          folder.resolve(ENTRY)
              + ": these records were encrypted with another client artefact; give that one");
    }
  }

  /**
   * Checks that its records were encrypted under a key.
   *
   * @throws InvalidInputException if it is another
   */
  void requireKey(String key) {
    if (!key.equals(entry.key())) {
      throw new InvalidInputException(
          folder.resolve(ENTRY)
              + ": these records were encrypted under key "
              + entry.key()
              + ", the one given is "
              + key
              + "; give that one");
    }
  }

  Path folder() {
    return folder;
  }

  Entry entry() {
    return entry;
  }

  /** The table of the records as they came. */
  org.apache.hadoop.fs.Path records() {
    return new org.apache.hadoop.fs.Path(folder.resolve("records").toUri());
  }

  /** The table of the groups: values of their column, and how many records each has. */
  org.apache.hadoop.fs.Path groups() {
    return new org.apache.hadoop.fs.Path(folder.resolve("groups").toUri());
  }

  /** The file of a wave whose blocks of a round are under way. */
  Path wave(int round, int wave) {
    return round(round).resolve("wave-%06d".formatted(wave));
  }

  private Path round(int round) {
    return folder.resolve("round-%03d".formatted(round));
  }

  /** Records that a round's blocks are all written, and deletes the waves of the one before. */
  void enter(Entry next) {
    Path partial = folder.resolve("." + ENTRY);
    try {
      Files.write(partial, JSON.writeValueAsBytes(next));
      Files.move(
          partial,
          folder.resolve(ENTRY),
          StandardCopyOption.ATOMIC_MOVE,
          StandardCopyOption.REPLACE_EXISTING);
      Files.deleteIfExists(folder.resolve(RUN));
    } catch (IOException error) {
      throw cannotWrite(folder, error);
    }
    if (next.round() > 0) {
      FileUtil.fullyDelete(round(next.round() - 1).toFile());
    }
  }

  /** Deletes the records and parts, or their groups, when they are scored. */
  void deleteRecords() {
    FileUtil.fullyDelete(folder.resolve("records").toFile());
    entry.parts().forEach(part -> FileUtil.fullyDelete(folder.resolve(name(part)).toFile()));
    FileUtil.fullyDelete(folder.resolve("groups").toFile());
  }

  /**
   * Deletes what the folder of {@link #create} holds; tasks that have not ended may still leave
   * something in it, which nobody else can read, and which the next run deletes.
   */
  void giveUp() {
    try {
      newRun(folder);
      try (Stream<Path> inside = Files.list(folder)) {
        inside
            .filter(each -> !each.endsWith(RUN))
            .forEach(each -> FileUtil.fullyDelete(each.toFile()));
      }
    } catch (IOException error) {
      throw cannotWrite(folder, error);
    }
  }

  /** Deletes a folder that {@link #create} made, with all it holds. */
  void delete() {
    FileUtil.fullyDelete(folder.toFile());
  }

  static InvalidInputException cannotWrite(Path folder, IOException error) {
    return new InvalidInputException(
        "state "
            + folder
            + " cannot be written: "
            + error.getMessage()
            + "; give a local folder of your own, on a disk with room",
        error);
  }
}
