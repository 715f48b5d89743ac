package org.fhespark.compiler.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.SplitGraph;

/**
 * Where the nodes and tensors of a split graph are drawn, in pixels.
 *
 * <p>Stages give the rows: inputs, then each stage's clear segment and below it its remote
 * circuits, then outputs. Tensors leave a box at its bottom. Those for the next row go straight
 * down or turn once; those for later rows run in lanes at the right of everything. Between two rows
 * the labels come first and every line that turns has a height of its own below them, so no line
 * crosses a label.
 */
final class GraphLayout {
  static final int INPUTS = -1;
  static final int OUTPUTS = Integer.MAX_VALUE;

  private static final double MARGIN = 12;
  private static final double BOX_GAP = 24;
  private static final double INSET = 20;

  /** A column of monospaced text of 12 and of 11 pixels. */
  private static final double BOX_COLUMN = 7.3;

  private static final double LABEL_COLUMN = 6.7;
  private static final int LONGEST_LINE = 52;
  private static final int LONGEST_TENSOR = 26;

  /** Between rows: two lines of text, a track for each line that turns, arrow heads. */
  private static final double LABELS = 36;

  private static final double TRACK = 7;
  private static final double HEADS = 20;

  /** Between two lines that run side by side. */
  private static final double LANE = 10;

  private static final double PORT_GAP = 11;

  /** A node's box. */
  static final class Place {
    final SplitGraph.Node node;
    final int row;
    final String heading;
    final List<String> lines;
    final List<Net> made = new ArrayList<>();
    final List<Arrival> arrivals = new ArrayList<>();
    double x;
    double y;
    double width;
    final double height;

    private Place(SplitGraph.Node node, int row, List<String> lines) {
      this.node = node;
      this.row = row;
      this.lines = lines;
      heading =
          switch (node.kind()) {
            case INPUT -> "input";
            case CLEAR -> "in clear, at the client";
            case REMOTE -> "encrypted, at the server";
            case OUTPUT -> "output";
          };
      height = GraphDrawing.TEXT_TOP + lines.size() * GraphDrawing.LINE + 8;
    }

    double bottom() {
      return y + height;
    }

    private double textWidth() {
      int most = heading.length() + (node.stage() < 0 ? 0 : "stage 000 · ".length());
      for (String line : lines) {
        most = Math.max(most, columns(line));
      }
      return most * BOX_COLUMN + 2 * GraphDrawing.TEXT_LEFT;
    }
  }

  /** A tensor: who makes it and who reads it. */
  static final class Net {
    final SplitGraph.Edge edge;
    final Place maker;
    final String name;
    final String shape;

    /** In the next row. */
    final List<Arrival> direct = new ArrayList<>();

    /** In later rows, top to bottom. */
    final List<Arrival> far = new ArrayList<>();

    double portX;

    /** Height at which it turns to its lane. */
    double trackY;

    private int lane = -1;

    private Net(SplitGraph.Edge edge, Place maker) {
      this.edge = edge;
      this.maker = maker;
      name = ReportFilters.shorten(edge.tensor(), LONGEST_TENSOR);
      shape = ReportFilters.shape(edge.shape());
    }

    private double labelWidth() {
      return Math.max(columns(name), columns(shape)) * LABEL_COLUMN + 2 * PORT_GAP;
    }

    private int lastRow() {
      return far.get(far.size() - 1).reader.row;
    }
  }

  /** A reader of a tensor. */
  static final class Arrival {
    final Net net;
    final Place reader;
    double x;

    /** Height at which it turns; unused by lines that go straight. */
    double trackY;

    private Arrival(Net net, Place reader) {
      this.net = net;
      this.reader = reader;
    }

    private boolean isFar() {
      return reader.row > net.maker.row + 1;
    }
  }

  private final List<Place> places = new ArrayList<>();
  private final List<List<Place>> rows = new ArrayList<>();
  private final List<Net> nets = new ArrayList<>();
  private double right;
  private int lanes;

  GraphLayout(CompileReport report) {
    SplitGraph graph = report.graph();
    assignRows(report);
    assignNets(graph);
    assignLanes();
    placeAcross();
    placeDown();
  }

  List<List<Place>> rows() {
    return rows;
  }

  List<Place> places() {
    return places;
  }

  List<Net> nets() {
    return nets;
  }

  /** {@link #INPUTS}, {@link #OUTPUTS} or the stage. */
  int stageOfRow(int row) {
    SplitGraph.Node node = rows.get(row).get(0).node;
    return switch (node.kind()) {
      case INPUT -> INPUTS;
      case OUTPUT -> OUTPUTS;
      default -> node.stage();
    };
  }

  /** Below a row, its tensors' labels and the lines that turn there. */
  double sliceBottom(int row) {
    return row + 1 == rows.size()
        ? rowBottom(row) + MARGIN
        : rows.get(row + 1).stream().mapToDouble(place -> place.y).min().orElseThrow() - HEADS + 2;
  }

  double laneX(Net net) {
    return right + (net.lane + 1) * LANE;
  }

  double width() {
    return lanes == 0 ? right : right + lanes * LANE + MARGIN;
  }

  private void assignRows(CompileReport report) {
    Map<String, String> shapes = new HashMap<>();
    report
        .modules()
        .forEach(module -> shapes.put(module.module(), module.dIn() + " → " + module.dOut()));
    report
        .leveled()
        .forEach(module -> shapes.put(module.module(), module.dIn() + " → " + module.dOut()));
    report
        .lookups()
        .forEach(module -> shapes.put(module.module(), module.dIn() + " → " + module.dOut()));
    TreeMap<Integer, List<SplitGraph.Node>> byRank = new TreeMap<>();
    Map<SplitGraph.Node, Integer> ranks = new HashMap<>();
    for (SplitGraph.Node node : report.graph().nodes()) {
      int rank =
          switch (node.kind()) {
            case INPUT -> -1;
            case CLEAR -> 2 * node.stage();
            case REMOTE -> 2 * node.stage() + 1;
            case OUTPUT -> Integer.MAX_VALUE;
          };
      byRank.computeIfAbsent(rank, unused -> new ArrayList<>()).add(node);
      ranks.put(node, rank);
    }
    List<Integer> order = List.copyOf(byRank.keySet());
    byRank.keySet().forEach(unused -> rows.add(new ArrayList<>()));
    for (SplitGraph.Node node : report.graph().nodes()) {
      int row = order.indexOf(ranks.get(node));
      Place place = new Place(node, row, lines(node, shapes));
      places.add(place);
      rows.get(row).add(place);
    }
  }

  private static List<String> lines(SplitGraph.Node node, Map<String, String> shapes) {
    if (node.kind() != SplitGraph.Kind.REMOTE) {
      return List.of(ReportFilters.shorten(node.name(), LONGEST_LINE));
    }
    List<String> lines = new ArrayList<>();
    for (String key : node.modules()) {
      lines.add(ReportFilters.shorten(key, LONGEST_LINE) + "  " + shapes.get(key));
    }
    return lines;
  }

  private void assignNets(SplitGraph graph) {
    Map<List<Object>, Net> byTensor = new LinkedHashMap<>();
    for (SplitGraph.Edge edge : graph.edges()) {
      Net net =
          byTensor.computeIfAbsent(
              List.of(edge.from(), edge.tensor()),
              unused -> new Net(edge, places.get(edge.from())));
      Arrival arrival = new Arrival(net, places.get(edge.to()));
      (arrival.isFar() ? net.far : net.direct).add(arrival);
      arrival.reader.arrivals.add(arrival);
    }
    nets.addAll(byTensor.values());
    for (Net net : nets) {
      net.far.sort(Comparator.comparingInt(arrival -> arrival.reader.row));
      net.maker.made.add(net);
    }
  }

  /** Each far net gets the lane nearest to the boxes that is free over all its rows. */
  private void assignLanes() {
    List<Net> far =
        nets.stream()
            .filter(net -> !net.far.isEmpty())
            .sorted(
                Comparator.<Net>comparingInt(net -> net.lastRow() - net.maker.row)
                    .thenComparingInt(net -> net.maker.row))
            .toList();
    List<List<Net>> taken = new ArrayList<>();
    for (Net net : far) {
      int lane = 0;
      while (lane < taken.size()
          && taken.get(lane).stream()
              .anyMatch(
                  other -> net.maker.row <= other.lastRow() && other.maker.row <= net.lastRow())) {
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

  private void placeAcross() {
    Set<Double> portsAbove = new HashSet<>();
    for (List<Place> row : rows) {
      double left = MARGIN;
      Set<Double> taken = portsAbove;
      portsAbove = new HashSet<>();
      for (Place place : row) {
        List<Arrival> direct = place.arrivals.stream().filter(a -> !a.isFar()).toList();
        List<Arrival> far = place.arrivals.stream().filter(Arrival::isFar).toList();
        double first = direct.stream().mapToDouble(a -> a.net.portX).min().orElse(0);
        place.x = left == MARGIN ? left : Math.max(left, first - INSET);
        place.width = place.textWidth();
        if (direct.size() > 1) {
          double last = direct.stream().mapToDouble(a -> a.net.portX).max().orElseThrow();
          place.width = Math.max(place.width, last - place.x + INSET + far.size() * PORT_GAP);
        }
        placeArrivals(place, direct, far, taken);
        left = Math.max(placePorts(place), place.x + place.width) + BOX_GAP;
        for (Net net : place.made) {
          portsAbove.add(net.portX);
        }
      }
      right = Math.max(right, left - BOX_GAP + MARGIN);
    }
  }

  /** Far nets come in at a box's right, in the lanes' order, so that they do not cross. */
  private static void placeArrivals(
      Place place, List<Arrival> direct, List<Arrival> far, Set<Double> taken) {
    Set<Double> own = new HashSet<>(taken);
    for (Arrival arrival : direct) {
      double port = arrival.net.portX;
      boolean isStraight = port > place.x + 6 && port < place.x + place.width - 6;
      arrival.x = isStraight ? port : free(place.x + INSET, PORT_GAP, own);
      own.add(arrival.x);
    }
    List<Arrival> fromRight =
        far.stream()
            .sorted(Comparator.<Arrival>comparingInt(arrival -> arrival.net.lane).reversed())
            .toList();
    double next = place.x + place.width - INSET;
    for (Arrival arrival : fromRight) {
      arrival.x = free(next, -PORT_GAP, own);
      own.add(arrival.x);
      next = arrival.x;
    }
    taken.addAll(own);
  }

  private static double free(double x, double step, Set<Double> taken) {
    double free = x;
    while (isNear(free, taken)) {
      free += step;
    }
    return free;
  }

  private static boolean isNear(double x, Set<Double> taken) {
    return taken.stream().anyMatch(other -> Math.abs(other - x) < PORT_GAP - 2);
  }

  /**
   * Tensors for the next row leave at the left, those for lanes at the right, in the lanes' order.
   *
   * @return the right end of the last label
   */
  private static double placePorts(Place place) {
    place.made.sort(
        Comparator.<Net>comparingInt(net -> net.direct.isEmpty() ? 1 : 0)
            .thenComparingInt(net -> net.lane));
    double x = place.x + INSET;
    double last = x;
    for (Net net : place.made) {
      net.portX = x;
      last = x;
      x += net.labelWidth();
    }
    place.width = Math.max(place.width, last - place.x + INSET);
    return x;
  }

  private void placeDown() {
    double top = MARGIN;
    for (int row = 0; row < rows.size(); row++) {
      for (Place place : rows.get(row)) {
        place.y = top;
      }
      // Boxes of a row end at one height, so that labels and lines below do not meet a box.
      double bottom = rowBottom(row);
      for (Place place : rows.get(row)) {
        place.y = bottom - place.height;
      }
      top = bottom + LABELS + assignTracks(row, bottom + LABELS) * TRACK + HEADS;
    }
  }

  private double rowBottom(int row) {
    return rows.get(row).stream().mapToDouble(Place::bottom).max().orElseThrow();
  }

  /**
   * Heights for the lines that turn below a row: those that leave for a lane above those that come
   * from one, each in the order in which they cross least.
   *
   * @return how many there are
   */
  private int assignTracks(int row, double top) {
    int track = 0;
    List<Net> leaving =
        rows.get(row).stream()
            .flatMap(place -> place.made.stream())
            .sorted(Comparator.<Net>comparingDouble(net -> net.portX).reversed())
            .toList();
    for (Net net : leaving) {
      boolean turns = !net.far.isEmpty();
      net.trackY = top + track * TRACK;
      for (Arrival arrival : net.direct) {
        arrival.trackY = net.trackY;
        turns |= arrival.x != net.portX;
      }
      track += turns ? 1 : 0;
    }
    if (row + 1 < rows.size()) {
      List<Arrival> coming =
          rows.get(row + 1).stream()
              .flatMap(place -> place.arrivals.stream())
              .filter(Arrival::isFar)
              .sorted(Comparator.<Arrival>comparingInt(arrival -> arrival.net.lane))
              .toList();
      Net before = null;
      for (Arrival arrival : coming) {
        if (arrival.net == before) {
          track--;
        }
        arrival.trackY = top + track * TRACK;
        track++;
        before = arrival.net;
      }
    }
    return track;
  }

  /** Columns of monospaced text; ideographs and most symbols beyond them take two. */
  private static int columns(String text) {
    return text.codePoints().map(point -> point < 0x1100 || isArrow(point) ? 1 : 2).sum();
  }

  private static boolean isArrow(int point) {
    return point == '→' || point == '…';
  }
}
