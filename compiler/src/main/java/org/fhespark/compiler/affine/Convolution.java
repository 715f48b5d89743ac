package org.fhespark.compiler.affine;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.fhespark.compiler.artifact.Unfolding;

/**
 * What the attributes of a Conv node say.
 *
 * @param groups of channels that are convolved apart
 * @param unfolding how its windows become rows, of all channels
 * @param refusal why it cannot be unfolded, one clause; null if it can
 */
record Convolution(int groups, Unfolding unfolding, String refusal) {

  /**
   * Reads a node.
   *
   * @param weightShape {@code [outputs, channels / groups, kernel..]}
   * @param padding zeros that surround the input beside the node's own, {@code [begin.., end..]}
   * @param spatial extents of the input's spatial axes where they are known, else empty
   */
  static Convolution of(
      NodeProto node, List<Long> weightShape, List<Integer> padding, Optional<List<Long>> spatial) {
    int axes = weightShape.size() - 2;
    List<Integer> kernel =
        weightShape.subList(2, weightShape.size()).stream().map(Math::toIntExact).toList();
    List<Integer> strides = Collections.nCopies(axes, 1);
    List<Integer> dilations = strides;
    List<Integer> pads = Collections.nCopies(2 * axes, 0);
    int groups = 1;
    String autoPad = "NOTSET";
    for (AttributeProto attribute : node.getAttributeList()) {
      switch (attribute.getName()) {
        case "strides" -> strides = ints(attribute);
        case "dilations" -> dilations = ints(attribute);
        case "pads" -> pads = ints(attribute);
        case "group" -> groups = Math.toIntExact(attribute.getI());
        case "auto_pad" -> autoPad = attribute.getS().toStringUtf8();
        default -> {}
      }
    }
    if (autoPad.startsWith("SAME")) {
      if (!padding.isEmpty()) {
        return refused("pads twice, the second time by auto_pad");
      }
      Optional<List<Integer>> same =
          samePadding(autoPad.equals("SAME_UPPER"), kernel, strides, dilations, spatial);
      if (same.isEmpty()) {
        return refused(
            "has auto_pad="
                + autoPad
                + " with strides "
                + strides
                + ", and the extent of its input is not known; export it with explicit padding");
      }
      pads = same.get();
    } else if (!autoPad.equals("NOTSET")) {
      pads = Collections.nCopies(2 * axes, 0);
    }
    if (pads.stream().anyMatch(pad -> pad < 0)) {
      return refused("has negative padding " + pads);
    }
    List<Integer> all = new ArrayList<>(pads);
    for (int i = 0; i < padding.size() && padding.size() == pads.size(); i++) {
      all.set(i, pads.get(i) + padding.get(i));
    }
    int channels = Math.toIntExact(weightShape.get(1) * groups);
    return new Convolution(
        groups,
        new Unfolding(
            channels,
            kernel,
            strides,
            all.subList(0, axes),
            all.subList(axes, 2 * axes),
            dilations),
        null);
  }

  private static Convolution refused(String reason) {
    return new Convolution(1, null, reason);
  }

  /** Pads such that there are as many positions as steps of the stride in the input. */
  private static Optional<List<Integer>> samePadding(
      boolean upper,
      List<Integer> kernel,
      List<Integer> strides,
      List<Integer> dilations,
      Optional<List<Long>> spatial) {
    List<Integer> begin = new ArrayList<>();
    List<Integer> end = new ArrayList<>();
    for (int axis = 0; axis < kernel.size(); axis++) {
      int stride = strides.get(axis);
      int window = dilations.get(axis) * (kernel.get(axis) - 1) + 1;
      long covered = 0;
      if (stride > 1) {
        if (spatial.isEmpty() || spatial.get().get(axis) <= 0) {
          return Optional.empty();
        }
        long extent = spatial.get().get(axis);
        covered = (extent + stride - 1) / stride * stride - extent;
      }
      int total = (int) Math.max(0, covered + window - stride);
      int less = total / 2;
      begin.add(upper ? less : total - less);
      end.add(upper ? total - less : less);
    }
    begin.addAll(end);
    return Optional.of(begin);
  }

  private static List<Integer> ints(AttributeProto attribute) {
    return attribute.getIntsList().stream().map(Math::toIntExact).toList();
  }

  /** One position, every one of the input: a matrix product over channels. */
  static boolean isPointwise(Unfolding unfolding) {
    return unfolding.strides().stream().allMatch(step -> step == 1) && hasOnePosition(unfolding);
  }

  /** One position without padding. */
  static boolean hasOnePosition(Unfolding unfolding) {
    return unfolding.kernel().stream().allMatch(extent -> extent == 1)
        && unfolding.padsBegin().stream().allMatch(pad -> pad == 0)
        && unfolding.padsEnd().stream().allMatch(pad -> pad == 0);
  }

  static boolean isPadded(Unfolding unfolding) {
    return IntStream.range(0, unfolding.kernel().size())
        .anyMatch(i -> unfolding.padsBegin().get(i) != 0 || unfolding.padsEnd().get(i) != 0);
  }

  /** The windows of a convolution of which every few are taken. */
  static Unfolding strided(Unfolding unfolding, List<Integer> strides) {
    return new Unfolding(
        unfolding.channels(),
        unfolding.kernel(),
        IntStream.range(0, strides.size())
            .mapToObj(i -> unfolding.strides().get(i) * strides.get(i))
            .toList(),
        unfolding.padsBegin(),
        unfolding.padsEnd(),
        unfolding.dilations());
  }

  /**
   * The kernels of groups as rows over all channels, zeros between them.
   *
   * @param grouped {@code [outputs][channels / groups][positions]}
   * @return {@code [outputs][channels][positions]}
   */
  static float[] dense(float[] grouped, int outputs, int groups) {
    if (groups == 1) {
      return grouped;
    }
    int perGroup = grouped.length / outputs;
    float[] dense = new float[Math.multiplyExact(grouped.length, groups)];
    for (int j = 0; j < outputs; j++) {
      int group = j / (outputs / groups);
      System.arraycopy(grouped, j * perGroup, dense, (j * groups + group) * perGroup, perGroup);
    }
    return dense;
  }

  /** As {@link #dense(float[], int, int)}, of integers. */
  static byte[] dense(byte[] grouped, int outputs, int groups) {
    if (groups == 1) {
      return grouped;
    }
    int perGroup = grouped.length / outputs;
    byte[] dense = new byte[Math.multiplyExact(grouped.length, groups)];
    for (int j = 0; j < outputs; j++) {
      int group = j / (outputs / groups);
      System.arraycopy(grouped, j * perGroup, dense, (j * groups + group) * perGroup, perGroup);
    }
    return dense;
  }
}
