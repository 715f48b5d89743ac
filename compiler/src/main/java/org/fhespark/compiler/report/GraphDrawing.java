package org.fhespark.compiler.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.SplitGraph;

/**
 * The split graph, laid out in pixels of a drawing that reads from top to bottom. Stages give the
 * rows: inputs, then each stage's clear segment and below it its remote circuits, then outputs.
 * Tensors for the next row go straight down; those for later rows run beside the boxes, in lanes.
 *
 * @param boxes the nodes
 * @param wires the tensors, one wire for each node that reads one
 * @param bands the stages
 * @param width of the drawing
 * @param height of the drawing
 */
record GraphDrawing(
    List<Box> boxes, List<Wire> wires, List<Band> bands, double width, double height) {
  private static final double MARGIN = 20;
  private static final double BAND_LABEL = 80;
  private static final double LINE = 16;
  private static final double PADDING = 9;
  private static final double BOX_GAP = 24;

  /** Of a monospaced character at the size of the drawing's text, 12 pixels. */
  private static final double CHARACTER = 7.25;

  private static final int LONGEST_LINE = 52;
  private static final int LONGEST_TENSOR = 26;

  /** Room below a port for the tensor's name and shape. */
  private static final double PORT_WIDTH = 200;

  /** Between rows: two lines of text, and room for curves. */
  private static final double ROW_GAP = 70;

  private static final double LANE = 14;

  /**
   * A node.
   *
   * @param style a class of the style sheet
   * @param title its whole name
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
      String heading,
      List<String> lines) {}

  /**
   * A tensor on its way to a node; encrypted if a remote circuit makes or reads it there.
   *
   * @param style a class of the style sheet
   * @param path of the line, SVG path data
   * @param labelX left of its text
   * @param labelY base line of its first line
   */
  record Wire(
      String style,
      String path,
      double labelX,
      double labelY,
      String tensor,
      String shortName,
      String type,
      List<Long> shape) {}

  /** A stage: its label and the part of the drawing's height that it takes. */
  record Band(int stage, double y, double height) {}

  static GraphDrawing of(CompileReport report) {
    return new Layout(report).drawing();
  }

  /** A tensor on its way: who makes it, who reads it, and where it is drawn. */
  private static final class Net {
    private final SplitGraph.Edge first;
    private final List<Integer> readers = new ArrayList<>();
    private double portX;
    private int lane = -1;

    private Net(SplitGraph.Edge first) {
      this.first = first;
    }
  }

  private static final class Layout {
    private final SplitGraph graph;
    private final Map<String, CompileReport.Module> modules = new HashMap<>();
    private final List<List<Integer>> rows = new ArrayList<>();
    private final int[] rowOf;
    private final List<List<Net>> made = new ArrayList<>();
    private final List<List<Net>> read = new ArrayList<>();
    private final List<Net> nets = new ArrayList<>();
    private final double[] x;
    private final double[] y;
    private final double[] widths;
    private final double[] heights;
    private double[] rowTop;
    private double[] rowBottom;
    private double lanesLeft;
    private int lanes;
    private double bottom;

    private Layout(CompileReport report) {
      graph = report.graph();
      report.modules().forEach(module -> modules.put(module.module(), module));
      int count = graph.nodes().size();
      rowOf = new int[count];
      x = new double[count];
      y = new double[count];
      widths = new double[count];
      heights = new double[count];
      for (int i = 0; i < count; i++) {
        made.add(new ArrayList<>());
        read.add(new ArrayList<>());
      }
      assignRows();
      assignNets();
      assignLanes();
      placeBoxes();
      placePorts();
    }

    private void assignRows() {
      TreeMap<Integer, List<Integer>> byRank = new TreeMap<>();
      for (int i = 0; i < graph.nodes().size(); i++) {
        SplitGraph.Node node = graph.nodes().get(i);
        int rank =
            switch (node.kind()) {
              case INPUT -> -1;
              case CLEAR -> 2 * node.stage();
              case REMOTE -> 2 * node.stage() + 1;
              case OUTPUT -> Integer.MAX_VALUE;
            };
        byRank.computeIfAbsent(rank, unused -> new ArrayList<>()).add(i);
      }
      rows.addAll(byRank.values());
      for (int row = 0; row < rows.size(); row++) {
        for (int node : rows.get(row)) {
          rowOf[node] = row;
        }
      }
    }

    private void assignNets() {
      Map<List<Object>, Net> byTensor = new LinkedHashMap<>();
      for (SplitGraph.Edge edge : graph.edges()) {
        byTensor
            .computeIfAbsent(List.of(edge.from(), edge.tensor()), unused -> new Net(edge))
            .readers
            .add(edge.to());
      }
      nets.addAll(byTensor.values());
      for (Net net : nets) {
        made.get(net.first.from()).add(net);
        net.readers.forEach(reader -> read.get(reader).add(net));
      }
    }

    private boolean isLong(Net net, int reader) {
      return rowOf[reader] > rowOf[net.first.from()] + 1;
    }

    private int lastRow(Net net) {
      return net.readers.stream().mapToInt(reader -> rowOf[reader]).max().orElseThrow();
    }

    /** Each long net gets the lane nearest to the boxes that is free over all its rows. */
    private void assignLanes() {
      List<Net> longNets =
          nets.stream()
              .filter(net -> net.readers.stream().anyMatch(reader -> isLong(net, reader)))
              .sorted(
                  Comparator.<Net>comparingInt(net -> lastRow(net) - rowOf[net.first.from()])
                      .thenComparingInt(net -> rowOf[net.first.from()]))
              .toList();
      List<List<Net>> taken = new ArrayList<>();
      for (Net net : longNets) {
        int lane = 0;
        while (lane < taken.size() && taken.get(lane).stream().anyMatch(o -> overlap(o, net))) {
          lane++;
        }
        if (lane == taken.size()) {
          taken.add(new ArrayList<>());
        }
        taken.get(lane).add(net);
        net.lane = lane;
      }
      lanes = taken.size();
    }

    private boolean overlap(Net one, Net other) {
      return rowOf[one.first.from()] <= lastRow(other) && rowOf[other.first.from()] <= lastRow(one);
    }

    private void placeBoxes() {
      for (int i = 0; i < x.length; i++) {
        List<String> lines = lines(graph.nodes().get(i));
        int longest = heading(graph.nodes().get(i)).length();
        for (String line : lines) {
          longest = Math.max(longest, line.length());
        }
        widths[i] = Math.max(longest * CHARACTER + 2 * PADDING, made.get(i).size() * PORT_WIDTH);
        heights[i] = (lines.size() + 1) * LINE + 2 * PADDING;
      }
      double widest = 0;
      for (List<Integer> row : rows) {
        widest = Math.max(widest, rowWidth(row));
      }
      rowTop = new double[rows.size()];
      rowBottom = new double[rows.size()];
      double top = MARGIN;
      for (int row = 0; row < rows.size(); row++) {
        double left = MARGIN + BAND_LABEL + (widest - rowWidth(rows.get(row))) / 2;
        rowTop[row] = top;
        rowBottom[row] = top;
        for (int node : rows.get(row)) {
          x[node] = left;
          y[node] = top;
          left += widths[node] + BOX_GAP;
          rowBottom[row] = Math.max(rowBottom[row], top + heights[node]);
        }
        top = rowBottom[row] + ROW_GAP;
      }
      bottom = rowBottom[rows.size() - 1] + MARGIN;
      lanesLeft = MARGIN + BAND_LABEL + widest + 2 * LANE;
    }

    private double rowWidth(List<Integer> row) {
      return row.stream().mapToDouble(node -> widths[node]).sum() + BOX_GAP * (row.size() - 1);
    }

    /** Long nets leave a box at its right, nearest to the lanes. */
    private void placePorts() {
      for (int node = 0; node < x.length; node++) {
        List<Net> own = made.get(node);
        own.sort(Comparator.comparingInt(net -> net.lane));
        for (int port = 0; port < own.size(); port++) {
          own.get(port).portX = x[node] + widths[node] * (port + 0.5) / own.size();
        }
      }
      for (List<Net> nets : read) {
        nets.sort(
            Comparator.<Net>comparingInt(net -> net.lane).thenComparingDouble(net -> net.portX));
      }
    }

    private double readX(Net net, int reader) {
      List<Net> all = read.get(reader);
      return x[reader] + widths[reader] * (all.indexOf(net) + 0.5) / all.size();
    }

    private List<Wire> wires(Net net) {
      SplitGraph.Edge edge = net.first;
      boolean made = isRemote(edge.from());
      return net.readers.stream()
          .map(
              reader ->
                  new Wire(
                      made || isRemote(reader) ? "encrypted" : "plain",
                      path(net, reader),
                      net.portX + 6,
                      y[edge.from()] + heights[edge.from()] + 24,
                      edge.tensor(),
                      // One label a tensor.
                      reader.equals(net.readers.get(0))
                          ? ReportFilters.shorten(edge.tensor(), LONGEST_TENSOR)
                          : "",
                      edge.type(),
                      edge.shape()))
          .toList();
    }

    private boolean isRemote(int node) {
      return graph.nodes().get(node).kind() == SplitGraph.Kind.REMOTE;
    }

    private String path(Net net, int reader) {
      StringBuilder path = new StringBuilder();
      double startY = y[net.first.from()] + heights[net.first.from()];
      double endX = readX(net, reader);
      double endY = y[reader] - 5;
      append(path, "M%.1f %.1f", net.portX, startY);
      if (isLong(net, reader)) {
        // Lanes leave and enter a gap at heights of their own.
        double shift = net.lane * 3.0 % 18;
        append(path, " V%.1f H%.1f", startY + 6 + shift * 0.3, lanesLeft + net.lane * LANE);
        append(path, " V%.1f H%.1f V%.1f", y[reader] - 24 + shift * 0.8, endX, endY);
      } else {
        double middle = (startY + endY) / 2;
        append(path, " C%.1f %.1f", net.portX, middle + 14);
        append(path, " %.1f %.1f %.1f %.1f", endX, middle, endX, endY);
      }
      return path.toString();
    }

    private static void append(StringBuilder path, String format, Object... values) {
      path.append(String.format(Locale.ROOT, format, values));
    }

    private static String heading(SplitGraph.Node node) {
      return switch (node.kind()) {
        case INPUT -> "input";
        case CLEAR -> "in clear, at the client";
        case REMOTE -> "encrypted, at the server";
        case OUTPUT -> "output";
      };
    }

    private List<String> lines(SplitGraph.Node node) {
      if (node.kind() != SplitGraph.Kind.REMOTE) {
        return List.of(ReportFilters.shorten(node.name(), LONGEST_LINE));
      }
      List<String> lines = new ArrayList<>();
      for (String key : node.modules()) {
        CompileReport.Module module = modules.get(key);
        lines.add(
            ReportFilters.shorten(key, LONGEST_LINE) + "  " + module.dIn() + " → " + module.dOut());
      }
      return lines;
    }

    private GraphDrawing drawing() {
      List<Box> boxes = new ArrayList<>();
      for (int i = 0; i < x.length; i++) {
        SplitGraph.Node node = graph.nodes().get(i);
        boxes.add(
            new Box(
                x[i],
                y[i],
                widths[i],
                heights[i],
                node.kind().name().toLowerCase(Locale.ROOT),
                node.name(),
                heading(node),
                lines(node)));
      }
      TreeMap<Integer, Band> bands = new TreeMap<>();
      for (int row = 0; row < rows.size(); row++) {
        int stage = graph.nodes().get(rows.get(row).get(0)).stage();
        if (stage >= 0) {
          Band before = bands.get(stage);
          double top = before == null ? rowTop[row] - ROW_GAP / 2 + 10 : before.y;
          bands.put(stage, new Band(stage, top, rowBottom[row] + ROW_GAP / 2 + 10 - top));
        }
      }
      return new GraphDrawing(
          boxes,
          nets.stream().flatMap(net -> wires(net).stream()).toList(),
          List.copyOf(bands.values()),
          lanesLeft + lanes * LANE + MARGIN,
          bottom);
    }
  }
}
