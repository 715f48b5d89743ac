package org.fhespark.jobs.cli;

import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.fhespark.compiler.modules.ModuleInfo;
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
    description = "Lists module keys, kinds and parameters, and which modules can go remote.",
    mixinStandardHelpOptions = true)
final class ModulesCommand implements Callable<Integer> {
  @Option(names = "--model", required = true, paramLabel = "M.onnx", description = "The model.")
  private Path model;

  @Override
  public Integer call() throws IOException {
    ModuleTree tree = ModuleTree.of(OnnxModel.load(model, new Configuration()));
    TextTable table =
        TextTable.forColumns(
            Help.defaultColorScheme(Ansi.AUTO),
            new Column(40, 0, Overflow.SPAN),
            new Column(22, 1, Overflow.WRAP),
            new Column(34, 1, Overflow.WRAP),
            new Column(60, 1, Overflow.WRAP));
    table.addRowValues("module", "kind", "parameters", "remote");
    for (ModuleInfo module : tree.modules()) {
      table.addRowValues(
          module.key().isEmpty() ? "(root)" : module.key(),
          kind(module),
          parameters(module),
          module.canGoRemote() ? "yes" : "no: " + module.refusal());
    }
    System.out.print(table);
    return 0;
  }

  private static String kind(ModuleInfo module) {
    return switch (module.kind()) {
      case LINEAR -> "Linear";
      case CONVOLUTION -> "Conv";
      case CONTAINER -> "container";
      case OPERATOR -> String.join(", ", module.operators());
    };
  }

  private static String parameters(ModuleInfo module) {
    return module.parameters().entrySet().stream()
        .map(
            parameter ->
                parameter.getKey().substring(parameter.getKey().lastIndexOf('.') + 1)
                    + " "
                    + parameter.getValue())
        .collect(Collectors.joining(", "));
  }
}
