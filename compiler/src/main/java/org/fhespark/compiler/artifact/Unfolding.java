package org.fhespark.compiler.artifact;

import java.util.List;

/**
 * How a convolution's windows become the rows of a matrix product (im2col). The tensor is {@code
 * [batch, channels, spatial..]}; a row holds one window, {@code [channels, kernel..]} row-major,
 * zeros where it reaches into the padding; rows are ordered {@code [batch, output position..]}.
 *
 * <p>Lists have one element a spatial axis, as ONNX's Conv has them.
 *
 * @param channels channels of the tensor that is read
 * @param kernel extent of the window
 * @param strides steps between windows
 * @param padsBegin zeros before the first element
 * @param padsEnd zeros after the last element
 * @param dilations steps between the elements of a window
 */
public record Unfolding(
    int channels,
    List<Integer> kernel,
    List<Integer> strides,
    List<Integer> padsBegin,
    List<Integer> padsEnd,
    List<Integer> dilations) {
  public Unfolding {
    kernel = List.copyOf(kernel);
    strides = List.copyOf(strides);
    padsBegin = List.copyOf(padsBegin);
    padsEnd = List.copyOf(padsEnd);
    dilations = List.copyOf(dilations);
  }

  /** Values of a row: d_in of the matrix product. */
  public int rowValues() {
    return kernel.stream().reduce(channels, Math::multiplyExact);
  }

  /**
   * Output positions along a spatial axis.
   *
   * @param axis spatial axis, from 0
   * @param extent elements of the input along it
   * @return the positions; 0 or less if the window does not fit
   */
  public long positions(int axis, long extent) {
    long window = (long) dilations.get(axis) * (kernel.get(axis) - 1) + 1;
    long padded = extent + padsBegin.get(axis) + padsEnd.get(axis);
    return padded < window ? 0 : (padded - window) / strides.get(axis) + 1;
  }
}
