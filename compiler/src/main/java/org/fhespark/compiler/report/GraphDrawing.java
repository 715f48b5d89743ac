package org.fhespark.compiler.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.SplitGraph;

/**
 * The split graph in pixels, from top to bottom, cut into slices that stand on each other without a
 * gap: the inputs, each stage, the outputs. So it can be broken between pages and linked to by
 * stage.
 *
 * @param slices top to bottom
 * @param width of every slice
 */
record GraphDrawing(List<Slice> slices, int width) {
  /** Distance of the first line's base line from a box's top, and of the text from its left. */
  static final int TEXT_TOP = 18;

  static final int TEXT_LEFT = 9;
  static final int LINE = 15;

  private static final int MARGIN = 1;
  private static final int LABEL_OFFSET = 6;
  private static final int LABEL_TOP = 15;

  /**
   * A part of the drawing's height. Coordinates are those of the whole drawing.
   *
   * @param name what it shows
   * @param id of the element
   * @param isShaded every other stage
   */
  record Slice(
      String name,
      String id,
      boolean isShaded,
      int top,
      int height,
      List<Box> boxes,
      List<Line> lines,
      List<Label> labels) {}

  /**
   * A node.
   *
   * @param style a class of the style sheet
   * @param title its whole name
   * @param stage "stage 3", or empty
   * @param heading what it is
   * @param lines its text, shortened
   */
  record Box(
      double x,
      double y,
      double width,
      double height,
      String style,
      String title,
      String stage,
      String heading,
      List<String> lines) {}

  /**
   * A line of a tensor.
   *
   * @param style a class of the style sheet: encrypted if a remote circuit makes or reads it there
   * @param path SVG path data
   * @param marks arrow heads and dots at branches, SVG path data to fill; may be empty
   */
  record Line(
      String style, String path, String marks, String tensor, String type, List<Long> shape) {}

  /**
   * What a tensor is, below the node that makes it.
   *
   * @param x left end
   * @param y base line of the first line
   * @param name shortened
   */
  record Label(double x, double y, String tensor, String name, String shape) {}

  static GraphDrawing of(CompileReport report) {
    GraphLayout layout = new GraphLayout(report);
    List<Slice> slices = new ArrayList<>();
    int top = 0;
    for (int row = 0; row < layout.rows().size(); row++) {
      boolean isLast = row + 1 == layout.rows().size();
      if (!isLast && layout.stageOfRow(row + 1) == layout.stageOfRow(row)) {
        continue;
      }
      int bottom = (int) Math.ceil(layout.sliceBottom(row));
      slices.add(slice(layout, layout.stageOfRow(row), top, bottom));
      top = bottom;
    }
    return new GraphDrawing(slices, (int) Math.ceil(layout.width()) + MARGIN);
  }

  private static Slice slice(GraphLayout layout, int stage, int top, int bottom) {
    List<Box> boxes = new ArrayList<>();
    for (GraphLayout.Place place : layout.places()) {
      if (place.y >= top && place.y < bottom) {
        boxes.add(box(place));
      }
    }
    List<Line> lines = new ArrayList<>();
    List<Label> labels = new ArrayList<>();
    for (GraphLayout.Net net : layout.nets()) {
      addLines(layout, net, top, bottom, lines);
      if (net.maker.bottom() >= top && net.maker.bottom() < bottom) {
        labels.add(
            new Label(
                net.portX + LABEL_OFFSET,
                net.maker.bottom() + LABEL_TOP,
                net.edge.tensor(),
                net.name,
                net.shape));
      }
    }
    // Where lines share a way, the encrypted one shows.
    lines.sort(Comparator.comparing(line -> line.style().equals("encrypted")));
    return switch (stage) {
      case GraphLayout.INPUTS ->
          new Slice("inputs", "inputs", false, top, bottom - top, boxes, lines, labels);
      case GraphLayout.OUTPUTS ->
          new Slice("outputs", "outputs", false, top, bottom - top, boxes, lines, labels);
      default ->
          new Slice(
              "stage " + stage,
              "stage-" + stage,
              stage % 2 == 0,
              top,
              bottom - top,
              boxes,
              lines,
              labels);
    };
  }

  private static Box box(GraphLayout.Place place) {
    SplitGraph.Node node = place.node;
    return new Box(
        place.x,
        place.y,
        place.width,
        place.height,
        node.kind().name().toLowerCase(Locale.ROOT),
        node.name(),
        node.stage() < 0 ? "" : "stage " + node.stage(),
        place.heading,
        place.lines);
  }

  /** The parts of a net's lines that lie between two heights. */
  private static void addLines(
      GraphLayout layout, GraphLayout.Net net, double top, double bottom, List<Line> lines) {
    double start = net.maker.bottom();
    for (GraphLayout.Arrival arrival : net.direct) {
      if (start < bottom && arrival.reader.y > top) {
        String path =
            arrival.x == net.portX
                ? path("M%.1f %.1fV%.1f", net.portX, start, arrival.reader.y - 4)
                : path(
                    "M%.1f %.1fV%.1fH%.1fV%.1f",
                    net.portX, start, arrival.trackY, arrival.x, arrival.reader.y - 4);
        boolean isBranch = arrival.x != net.portX && net.direct.size() > 1;
        lines.add(
            line(
                net,
                isEncrypted(net, arrival),
                path,
                (isBranch ? dot(net.portX, arrival.trackY) : "") + head(arrival)));
      }
    }
    if (net.far.isEmpty()) {
      return;
    }
    double laneX = layout.laneX(net);
    double laneEnd = net.far.get(net.far.size() - 1).trackY;
    boolean isAllEncrypted = net.far.stream().allMatch(arrival -> isEncrypted(net, arrival));
    if (start >= top && start < bottom) {
      lines.add(
          line(
              net,
              isAllEncrypted,
              net.direct.isEmpty()
                  ? path("M%.1f %.1fV%.1fH%.1f", net.portX, start, net.trackY, laneX)
                  : path("M%.1f %.1fH%.1f", net.portX, net.trackY, laneX),
              net.direct.isEmpty() ? "" : dot(net.portX, net.trackY)));
    }
    double from = Math.max(net.trackY, top);
    double to = Math.min(laneEnd, bottom);
    if (from < to) {
      lines.add(line(net, isAllEncrypted, path("M%.1f %.1fV%.1f", laneX, from, to), ""));
    }
    for (GraphLayout.Arrival arrival : net.far) {
      if (arrival.trackY < bottom && arrival.reader.y > top) {
        String branch = arrival.trackY < laneEnd ? dot(laneX, arrival.trackY) : "";
        lines.add(
            line(
                net,
                isEncrypted(net, arrival),
                path(
                    "M%.1f %.1fH%.1fV%.1f", laneX, arrival.trackY, arrival.x, arrival.reader.y - 4),
                branch + head(arrival)));
      }
    }
  }

  private static boolean isEncrypted(GraphLayout.Net net, GraphLayout.Arrival arrival) {
    return net.maker.node.kind() == SplitGraph.Kind.REMOTE
        || arrival.reader.node.kind() == SplitGraph.Kind.REMOTE;
  }

  private static Line line(GraphLayout.Net net, boolean isEncrypted, String path, String marks) {
    return new Line(
        isEncrypted ? "encrypted" : "plain",
        path,
        marks,
        net.edge.tensor(),
        net.edge.type(),
        net.edge.shape());
  }

  private static String head(GraphLayout.Arrival arrival) {
    return path("M%.1f %.1fh8l-4 8z", arrival.x - 4, arrival.reader.y - 8);
  }

  private static String dot(double x, double y) {
    return path("M%.1f %.1fa3 3 0 1 0 6 0a3 3 0 1 0 -6 0z", x - 3, y);
  }

  private static String path(String format, Object... values) {
    return String.format(Locale.ROOT, format, values);
  }
}
