package org.fhespark.compiler.leveled;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class RecordBallTest {
  private static final float[][] ROWS = RandomNetwork.rows(3, 400, 12);

  @Test
  void calibrationRowsLieInItWithRoomToSpare() {
    for (double exponent : new double[] {0, 0.5, 1}) {
      RecordBall ball = RecordBall.of(ROWS, exponent);
      double largest = 0;
      for (float[] row : ROWS) {
        largest = Math.max(largest, RecordBall.norm(ball.normalise(row)));
      }
      assertEquals(ball.radius(), RecordBall.MARGIN * largest, 1e-9 * largest);
    }
  }

  @Test
  void aBallOfSomeRowsReachesTheOthers() {
    float[][] some = CalibrationRows.some(ROWS, 20);
    RecordBall ball = RecordBall.of(some, 1);
    RecordBall wide = ball.reaching(ROWS);
    double largest = 0;
    for (float[] row : ROWS) {
      largest = Math.max(largest, RecordBall.norm(ball.normalise(row)));
    }
    assertTrue(ball.radius() < wide.radius(), "of " + ball.radius());
    assertEquals(RecordBall.MARGIN * largest, wide.radius(), 1e-9 * largest);
    assertEquals(ball.radius(), ball.reaching(some).radius());
  }

  @Test
  void someRowsComeFromAllOverThem() {
    float[][] rows = new float[1000][1];
    for (int t = 0; t < rows.length; t++) {
      rows[t][0] = t;
    }
    float[][] some = CalibrationRows.some(rows, 300);
    assertEquals(300, some.length);
    for (int t = 0; t < some.length; t++) {
      assertEquals(t * 10 / 3, some[t][0]);
    }
    assertEquals(1000, CalibrationRows.some(rows, 4096).length);
  }

  @Test
  void aSpreadOfExponentOneIsTheStandardDeviation() {
    RecordBall ball = RecordBall.of(ROWS, 1);
    double square = 0;
    for (float[] row : ROWS) {
      square += Math.pow(ball.normalise(row)[5], 2) / ROWS.length;
    }
    assertEquals(1, square, 1e-4);
    assertEquals(1, RecordBall.of(ROWS, 0).spread()[5]);
  }

  @Test
  void aValueThatNeverChangedMayStillDoSo() {
    float[][] rows = RandomNetwork.rows(4, 200, 6);
    for (float[] row : rows) {
      row[2] = 5;
    }
    RecordBall ball = RecordBall.of(rows, 1);
    assertEquals(5, ball.center()[2], 1e-5);
    assertTrue(ball.spread()[2] > 0.02, "" + ball.spread()[2]);
    float[] moved = rows[0].clone();
    moved[2] += ball.spread()[2];
    assertTrue(RecordBall.norm(ball.normalise(moved)) < ball.radius());
  }

  @Test
  void rowsThatAreAllAlikeHaveABallToo() {
    RecordBall ball = RecordBall.of(new float[][] {{1, 2}, {1, 2}}, 1);
    assertEquals(1, ball.radius());
    assertEquals(1, ball.spread()[0]);
  }
}
