package org.fhespark.compiler.report;

import io.pebbletemplates.pebble.PebbleEngine;
import io.pebbletemplates.pebble.loader.ClasspathLoader;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Map;
import org.fhespark.compiler.CompileReport;

/**
 * report.html: what report.json says, for people. One file that loads nothing else and runs no
 * script; the same report gives the same bytes on every machine.
 */
public final class HtmlReport {
  private HtmlReport() {}

  /** The page, in UTF-8. Names in the report may be hostile: all text is escaped. */
  public static byte[] of(CompileReport report) {
    ClasspathLoader templates = new ClasspathLoader(HtmlReport.class.getClassLoader());
    templates.setPrefix("org/fhespark/compiler/report");
    PebbleEngine engine =
        new PebbleEngine.Builder()
            .loader(templates)
            .autoEscaping(true)
            .strictVariables(true)
            .defaultLocale(Locale.ROOT)
            .cacheActive(false)
            .extension(new ReportFilters())
            .build();
    StringWriter page = new StringWriter();
    try {
      engine
          .getTemplate("report.html.peb")
          .evaluate(
              page,
              Map.of(
                  "report",
                  report,
                  "graph",
                  GraphDrawing.of(report),
                  "costs",
                  CostPlot.of(report),
                  "modules",
                  ModuleFigures.of(report),
                  "leveled",
                  LeveledPlots.of(report)));
    } catch (IOException e) {
      throw new UncheckedIOException("a template from the jar, written to memory", e);
    }
    return page.toString().getBytes(StandardCharsets.UTF_8);
  }
}
