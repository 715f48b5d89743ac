package org.fhespark.jobs.client;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OnnxJavaType;
import java.util.List;
import org.fhespark.compiler.onnx.ElementType;
import org.junit.jupiter.api.Test;

class OutputShapesTest {
  private static List<Tensor> floats(long... shape) {
    return List.of(Tensor.allocate(ElementType.FLOAT, shape));
  }

  @Test
  void shapesAreToldForInputsOfTheSameShapes() {
    OutputShapes shapes = new OutputShapes();
    shapes.learn(floats(2, 3), floats(2, 5));
    OutputShapes.Output output = shapes.of(floats(2, 3)).orElseThrow().get(0);
    assertEquals(OnnxJavaType.FLOAT, output.type());
    assertArrayEquals(new long[] {2, 5}, output.shape());
    assertTrue(shapes.of(floats(3, 2)).isEmpty());
    assertTrue(shapes.of(floats(6)).isEmpty());
  }

  @Test
  void shapesThatFollowFromValuesAreNotGuessedAgain() {
    OutputShapes shapes = new OutputShapes();
    shapes.learn(floats(2), floats(1));
    shapes.giveUp();
    shapes.learn(floats(2), floats(2));
    assertTrue(shapes.of(floats(2)).isEmpty());
  }
}
