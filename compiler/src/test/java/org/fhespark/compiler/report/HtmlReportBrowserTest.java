package org.fhespark.compiler.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.ModelCompiler;
import org.fhespark.compiler.modules.ModuleInfo;
import org.fhespark.compiler.modules.ModuleKind;
import org.fhespark.compiler.modules.ModuleTree;
import org.fhespark.compiler.onnx.OnnxModel;
import org.fhespark.compiler.quantize.BatchTensor;
import org.fhespark.compiler.quantize.CalibrationBatch;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Reports in a real browser: of the examples' models, of one with hostile names, and of those that
 * FHE_SPARK_TEST_REPORTS lists, such as MiniLM's.
 */
@Tag("slow")
class HtmlReportBrowserTest {
  private static final String REPORTS = "FHE_SPARK_TEST_REPORTS";
  private static final long MOST_BYTES = 1_500_000;

  @TempDir static Path folder;

  private static Chromium chromium;
  private static Path digits;

  @BeforeAll
  static void startTheBrowser() throws IOException {
    chromium = new Chromium();
    digits = compile("digits/digits.onnx", 64);
  }

  @AfterAll
  static void stopTheBrowser() {
    if (chromium != null) {
      chromium.close();
    }
  }

  static List<Path> reports() throws IOException {
    List<Path> reports = new ArrayList<>();
    reports.add(digits);
    reports.add(compile("cnn/cnn.onnx", 1, 8, 8));
    reports.add(compile("cnn/resnet18.onnx", 1, 32, 32));
    reports.add(HostileModel.compile(folder.resolve("hostile")).resolve("report.html"));
    String more = System.getenv(REPORTS);
    if (more != null) {
      for (String file : more.split(File.pathSeparator)) {
        assertTrue(Files.exists(Path.of(file)), REPORTS + ": " + file + " does not exist");
        reports.add(Path.of(file).toAbsolutePath());
      }
    }
    return reports;
  }

  /** An example with all its leaves remote, calibrated on noise; its report. */
  private static Path compile(String example, long... shape) throws IOException {
    org.apache.hadoop.fs.Path file =
        new org.apache.hadoop.fs.Path(Path.of("../examples", example).toUri());
    Configuration configuration = new Configuration();
    List<String> keys =
        ModuleTree.of(OnnxModel.load(file, configuration)).modules().stream()
            .filter(module -> module.kind() != ModuleKind.CONTAINER && module.canGoRemote())
            .map(ModuleInfo::key)
            .toList();
    int records = 8;
    long[] batch = new long[shape.length + 1];
    batch[0] = records;
    int values = records;
    for (int i = 0; i < shape.length; i++) {
      batch[i + 1] = shape[i];
      values *= (int) shape[i];
    }
    FloatBuffer pixels = FloatBuffer.allocate(values);
    Random random = new Random(1);
    while (pixels.hasRemaining()) {
      pixels.put(random.nextFloat());
    }
    Path out = folder.resolve(example.replace('/', '-'));
    new ModelCompiler(configuration)
        .compile(
            file,
            List.of(new CalibrationBatch(Map.of("pixels", BatchTensor.of(pixels.flip(), batch)))),
            CompileOptions.remote(keys).build(),
            new org.apache.hadoop.fs.Path(out.toString()));
    return out.resolve("report.html");
  }

  @ParameterizedTest
  @MethodSource("reports")
  void everythingIsInItsPlace(Path report) throws IOException {
    assertTrue(Files.size(report) < MOST_BYTES, Files.size(report) + " bytes");
    for (int width : new int[] {1280, 390}) {
      chromium.open(report, width, "light");
      assertEquals(List.of(), chromium.findings(), width + " pixels");
      Object paper = chromium.run("return getComputedStyle(document.body).backgroundColor");
      chromium.open(report, width, "dark");
      assertEquals(List.of(), chromium.findings(), width + " pixels, dark");
      assertNotEquals(
          paper, chromium.run("return getComputedStyle(document.body).backgroundColor"));
    }
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)");
    assertEquals(List.of(), chromium.findings(), "all details shown");
    assertEquals(List.of(), chromium.console());
    assertEquals(
        0L, chromium.run("return document.querySelectorAll('script, img, iframe').length"));
    assertEquals(
        0L, chromium.run("return document.querySelectorAll('a:not([href^=\"#\"])').length"));
    assertEquals(
        true,
        chromium.run(
            "return [...document.querySelectorAll('a')]"
                + ".every(a => document.querySelector(a.getAttribute('href')))"));
  }

  @Test
  void hostileNamesAreShownAndDoNothing() throws IOException {
    Path report = HostileModel.compile(folder.resolve("shown")).resolve("report.html");
    chromium.open(report, 1280, "light");
    assertEquals(
        HostileModel.FILE, chromium.run("return document.querySelector('h1').textContent"));
    assertEquals(
        List.of(HostileModel.FIRST, HostileModel.SECOND),
        chromium.run("return [...document.querySelectorAll('h3 .key')].map(e => e.textContent)"));
    assertEquals(
        List.of(
            HostileModel.INPUT,
            HostileModel.TENSOR,
            HostileModel.TENSOR + ".relu",
            HostileModel.OUTPUT),
        chromium.run(
            "return [...document.querySelectorAll('#tensors td:first-child')]"
                + ".map(e => e.textContent)"));
    assertEquals(
        0L,
        chromium.run(
            "return [...document.querySelectorAll('*')].flatMap(e => [...e.attributes])"
                + ".filter(a => a.name.startsWith('on')).length"));
  }

  /** The measuring itself: a page with each fault is found out. */
  @ParameterizedTest
  @MethodSource("faults")
  void faultsAreFound(String change, String finding) {
    chromium.open(digits, 1280, "light");
    assertEquals(List.of(), chromium.findings());
    chromium.run(change);
    assertTrue(
        chromium.findings().stream().anyMatch(found -> found.toString().startsWith(finding)),
        () -> finding + " is not among " + chromium.findings());
  }

  static List<Arguments> faults() {
    return List.of(
        Arguments.of("document.querySelector('h1').style.width = '2000px'", "the page is"),
        Arguments.of(
            "document.querySelector('.label text').setAttribute('x', 400)",
            "a text leaves its drawing"),
        Arguments.of(
            "document.querySelector('.box text:last-child').textContent = 'x'.repeat(60)",
            "a text leaves its box"),
        Arguments.of(
            "const t = document.querySelectorAll('.label text');"
                + " t[1].setAttribute('y', t[0].getAttribute('y'))",
            "texts overlap"),
        Arguments.of(
            "document.querySelectorAll('.label text').forEach(t => t.setAttribute('x', 24))",
            "a line crosses"));
  }
}
