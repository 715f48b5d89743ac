package org.fhespark.nativelib;

/**
 * How a convolution's windows are cut from an image {@code [channels][height][width]} (im2col). A
 * window is {@code [channels][kernel height][kernel width]}, zero where it reaches into the
 * padding; windows are in order of their output positions, row-major.
 *
 * @param channels channels of the image
 * @param extent of the image
 * @param kernel extent of a window
 * @param strides steps between windows
 * @param padsBegin zeros before the image
 * @param padsEnd zeros after the image
 * @param dilations steps between the elements of a window
 */
public record ImageWindows(
    int channels,
    Plane extent,
    Plane kernel,
    Plane strides,
    Plane padsBegin,
    Plane padsEnd,
    Plane dilations) {

  /**
   * A length along each axis of an image.
   *
   * @param height rows; those of a signal are 1
   * @param width columns
   */
  public record Plane(int height, int width) {}

  int[] fields() {
    return new int[] {
      channels,
      extent.height,
      extent.width,
      kernel.height,
      kernel.width,
      strides.height,
      strides.width,
      padsBegin.height,
      padsBegin.width,
      padsEnd.height,
      padsEnd.width,
      dilations.height,
      dilations.width
    };
  }
}
