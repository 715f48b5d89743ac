package org.fhespark.jobs.cli;

import java.io.IOException;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Function;
import org.apache.hadoop.fs.Path;
import org.fhespark.compiler.modules.ModuleListing;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.OnnxModel;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Help.Column;
import picocli.CommandLine.Help.Column.Overflow;
import picocli.CommandLine.Help.TextTable;
import picocli.CommandLine.Option;

/** Lists what a model's modules are called and which can go remote. */
@Command(
    name = "modules",
    description =
        "Lists a model's modules as a tree: keys as in named_modules(), classes or kinds, shapes of"
            + " parameters, and which can go remote or why not.",
    mixinStandardHelpOptions = true)
final class ModulesCommand implements Callable<Integer> {
  @Option(names = "--model", required = true, paramLabel = "M.onnx", description = "The model.")
  private Path model;

  @Override
  public Integer call() throws IOException {
    List<ModuleListing.Row> rows =
        ModuleListing.of(ModuleTree.of(OnnxModel.load(model, HadoopSettings.submitted())));
    TextTable table =
        TextTable.forColumns(
            Help.defaultColorScheme(Ansi.AUTO),
            new Column(width("module", rows, ModuleListing.Row::label), 0, Overflow.SPAN),
            new Column(width("kind", rows, ModuleListing.Row::kind) + 1, 1, Overflow.WRAP),
            new Column(34, 1, Overflow.WRAP),
            new Column(60, 1, Overflow.WRAP));
    addRow(table, "module", "kind", "parameters", "remote");
    for (ModuleListing.Row row : rows) {
      addRow(table, row.label(), row.kind(), row.parameters(), row.remote());
    }
    // Two wrapped cells of a row add lines for each of them.
    table.toString().lines().filter(line -> !line.isBlank()).forEach(System.out::println);
    return 0;
  }

  /** Unlike TextTable's addRowValues, begins each cell in the row's first line. */
  private static void addRow(TextTable table, String... cells) {
    table.addEmptyRow();
    int row = table.rowCount() - 1;
    for (int column = 0; column < cells.length; column++) {
      table.putValue(row, column, Ansi.OFF.text(cells[column]));
    }
  }

  private static int width(
      String title, List<ModuleListing.Row> rows, Function<ModuleListing.Row, String> column) {
    return rows.stream().map(column).mapToInt(String::length).reduce(title.length(), Math::max) + 1;
  }
}
