package org.fhespark.compiler.report;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.CompileReport;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.RecordedModel;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HtmlReportTest {
  @TempDir Path folder;

  private CompileReport compile() {
    return new ModelCompiler(new Configuration())
        .compile(
            RecordedModel.path("rank3"),
            List.of(RecordedModel.load("rank3").calibrationBatch()),
            CompileOptions.remote(List.of("query", "key", "dense")).build(),
            new org.apache.hadoop.fs.Path(folder.resolve("out").toString()));
  }

  @Test
  void everyPlainFieldOfAModuleInTheJsonStandsInThePage() throws Exception {
    compile();
    String page = Files.readString(folder.resolve("out/report.html"));
    JsonNode json = new ObjectMapper().readTree(folder.resolve("out/report.json").toFile());
    String[] articles = page.split("<article ");
    assertEquals(json.get("modules").size(), articles.length - 1);
    for (int i = 0; i < json.get("modules").size(); i++) {
      for (var field : json.get("modules").get(i).properties()) {
        if (field.getValue().isValueNode()) {
          assertTrue(
              articles[i + 1].contains("<data data-field=\"" + field.getKey() + "\""),
              field.getKey());
        }
        if (field.getValue().isInt()) {
          assertTrue(
              articles[i + 1].contains(
                  "<data data-field=\"%s\" value=\"%s\""
                      .formatted(field.getKey(), field.getValue().asText())),
              field.getKey());
        }
      }
    }
  }

  @Test
  void everyPlainFieldOfAModuleWithLookupsStandsInThePage() throws Exception {
    new ModelCompiler(new Configuration())
        .compile(
            RecordedModel.path("conv"),
            List.of(RecordedModel.load("conv").calibrationBatch()),
            CompileOptions.remote(List.of("features", "classifier")).build(),
            new org.apache.hadoop.fs.Path(folder.resolve("out").toString()));
    String page = Files.readString(folder.resolve("out/report.html"));
    JsonNode module =
        new ObjectMapper().readTree(folder.resolve("out/report.json").toFile()).at("/lookups/0");
    String[] articles = page.split("<article ");
    assertEquals(3, articles.length);
    for (var field : module.properties()) {
      if (field.getValue().isValueNode()) {
        assertTrue(
            articles[1].contains(
                "<data data-field=\"%s\"%s"
                    .formatted(
                        field.getKey(),
                        field.getValue().isInt()
                            ? " value=\"" + field.getValue().asText() + "\""
                            : "")),
            field.getKey());
      }
    }
    for (JsonNode layer : module.get("layers")) {
      assertTrue(articles[1].contains(layer.get("tensor").asText()));
    }
  }

  @Test
  void theSameReportGivesTheSameBytes() throws Exception {
    CompileReport report = compile();
    assertArrayEquals(HtmlReport.of(report), HtmlReport.of(report));
    assertArrayEquals(HtmlReport.of(report), Files.readAllBytes(folder.resolve("out/report.html")));
  }

  @Test
  void parametersAndCostsInTheJsonStandInThePage() throws Exception {
    compile();
    String page = Files.readString(folder.resolve("out/report.html"));
    JsonNode json = new ObjectMapper().readTree(folder.resolve("out/report.json").toFile());
    String[] articles = page.split("<article ");
    for (int i = 0; i < json.get("modules").size(); i++) {
      for (String part : List.of("parameters", "nanosecondsPerRecord")) {
        for (var field : json.get("modules").get(i).get(part).properties()) {
          assertTrue(
              articles[i + 1].contains(
                  "<data data-field=\"%s\" value=\"%s\""
                      .formatted(field.getKey(), field.getValue().asText())),
              field.getKey());
        }
      }
    }
  }

  @Test
  void hostileNamesAreEscaped() throws Exception {
    String page = Files.readString(HostileModel.compile(folder).resolve("report.html"));
    assertFalse(page.contains("<script"));
    assertFalse(page.contains("<img"));
    assertFalse(page.contains("<svg onload"));
    for (String name :
        List.of(
            HostileModel.FILE,
            HostileModel.INPUT,
            HostileModel.TENSOR,
            HostileModel.OUTPUT,
            HostileModel.FIRST,
            HostileModel.SECOND)) {
      assertFalse(page.contains(name), name);
      assertTrue(
          page.contains(
              name.replace("&", "&amp;")
                  .replace("<", "&lt;")
                  .replace(">", "&gt;")
                  .replace("\"", "&quot;")
                  .replace("'", "&#39;")),
          name);
    }
  }
}
