package org.fhespark.jobs.tables;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.sql.Date;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import scala.collection.immutable.ArraySeq;

class RowsDigestTest {
  private static final StructType SCHEMA =
      StructType.fromDDL(
          "l BIGINT, i INT, s SMALLINT, d DOUBLE, f FLOAT, b BOOLEAN, t STRING, u STRING, x BINARY,"
              + " n DECIMAL(10,2), day DATE, time TIMESTAMP, floats ARRAY<FLOAT>,"
              + " shorts ARRAY<SMALLINT>, nested ARRAY<ARRAY<FLOAT>>, r STRUCT<a: INT, b: STRING>");

  private static Object[] values() {
    return new Object[] {
      1L,
      2,
      (short) 3,
      0.5,
      0.25f,
      true,
      "text",
      "more",
      new byte[] {1, 2},
      new BigDecimal("12.50"),
      Date.valueOf("2013-01-02"),
      Timestamp.valueOf("2013-01-02 03:04:05"),
      new ArraySeq.ofFloat(new float[] {1, 2}),
      new ArraySeq.ofShort(new short[] {1, 2}),
      new ArraySeq.ofRef<Object>(
          new Object[] {new ArraySeq.ofFloat(new float[] {1}), new ArraySeq.ofFloat(new float[0])}),
      RowFactory.create(1, "b")
    };
  }

  /** For each column a value that differs a little from {@link #values}. */
  private static final Object[] OTHERS = {
    1L << 32 | 1,
    -2,
    (short) 4,
    Math.nextUp(0.5),
    -0.25f,
    false,
    "text ",
    "",
    new byte[] {1, 2, 0},
    new BigDecimal("12.51"),
    Date.valueOf("2013-01-03"),
    Timestamp.valueOf("2013-01-02 03:04:05.000001"),
    new ArraySeq.ofFloat(new float[] {1, 2, 0}),
    new ArraySeq.ofShort(new short[] {2, 1}),
    new ArraySeq.ofRef<Object>(
        new Object[] {new ArraySeq.ofFloat(new float[0]), new ArraySeq.ofFloat(new float[] {1})}),
    RowFactory.create(1, null)
  };

  private static String digest(List<Row> rows) {
    FileRows encoder = new FileRows(SCHEMA, TableFormat.JSON);
    RowsDigest digest = new RowsDigest(SCHEMA);
    rows.forEach(row -> digest.add(encoder.encode(row)));
    return digest.end();
  }

  private static String digestWith(int column, Object value) {
    Object[] values = values();
    values[column] = value;
    return digest(List.of(RowFactory.create(values)));
  }

  @Test
  void everyValueOfEveryTypeCounts() {
    Set<String> digests = new HashSet<>();
    digests.add(digest(List.of(RowFactory.create(values()))));
    assertTrue(digests.contains(digest(List.of(RowFactory.create(values())))));
    for (int column = 0; column < SCHEMA.length(); column++) {
      digests.add(digestWith(column, OTHERS[column]));
      digests.add(digestWith(column, null));
    }
    assertEquals(1 + 2 * SCHEMA.length(), digests.size());
  }

  @Test
  void valuesDoNotRunIntoOneAnother() {
    Object[] one = values();
    Object[] other = values();
    one[6] = "ab";
    one[7] = "c";
    other[6] = "a";
    other[7] = "bc";
    assertNotEquals(
        digest(List.of(RowFactory.create(one))), digest(List.of(RowFactory.create(other))));
  }

  @Test
  void rowsCountInTheirOrderAndTheNextDigestBeginsAnew() {
    Row one = RowFactory.create(values());
    Object[] changed = values();
    changed[0] = 9L;
    Row other = RowFactory.create(changed);
    assertNotEquals(digest(List.of(one, other)), digest(List.of(other, one)));
    assertNotEquals(digest(List.of(one)), digest(List.of(one, one)));
    FileRows encoder = new FileRows(SCHEMA, TableFormat.JSON);
    RowsDigest digest = new RowsDigest(SCHEMA);
    digest.add(encoder.encode(one));
    assertEquals(digest(List.of(one)), digest.end());
    digest.add(encoder.encode(other));
    assertEquals(digest(List.of(other)), digest.end());
  }

  /** Beyond what is buffered, at every place of the buffer's end. */
  @Test
  void longValuesCountToTheirEnd() {
    Set<String> digests = new HashSet<>();
    int count = 0;
    for (int length : new int[] {8_100, 8_191, 8_192, 8_193, 30_000}) {
      float[] floats = new float[length];
      List<float[]> variants = new ArrayList<>(List.of(floats));
      for (int changed : new int[] {0, length / 2, length - 1}) {
        float[] variant = floats.clone();
        variant[changed] = 1;
        variants.add(variant);
      }
      for (float[] variant : variants) {
        digests.add(digestWith(12, new ArraySeq.ofFloat(variant)));
        char[] text = new char[length];
        for (int i = 0; i < length; i++) {
          text[i] = variant[i] == 0 ? 'a' : 'b';
        }
        digests.add(digestWith(6, new String(text)));
        count += 2;
      }
      assertEquals(
          digestWith(12, new ArraySeq.ofFloat(floats)),
          digestWith(12, new ArraySeq.ofFloat(Arrays.copyOf(floats, length))));
    }
    assertEquals(count, digests.size());
  }
}
