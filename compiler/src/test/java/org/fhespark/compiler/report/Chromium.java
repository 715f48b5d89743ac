package org.fhespark.compiler.report;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.logging.Level;
import java.util.stream.Stream;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;

/** A headless Chromium that opens reports; it must be installed, with its driver. */
final class Chromium implements AutoCloseable {
  private static final String BROWSER = "FHE_SPARK_TEST_CHROMIUM";
  private static final String DRIVER = "FHE_SPARK_TEST_CHROMEDRIVER";

  private final ChromeDriver driver;

  Chromium() {
    LoggingPreferences logging = new LoggingPreferences();
    logging.enable(LogType.BROWSER, Level.ALL);
    ChromeOptions options = new ChromeOptions();
    options.setBinary(find(BROWSER, "chromium", "chromium-browser", "google-chrome"));
    // No sandbox: containers rarely let a process make one, and only our own files are opened.
    options.addArguments("--headless=new", "--no-sandbox", "--disable-dev-shm-usage");
    options.setCapability("goog:loggingPrefs", logging);
    driver =
        new ChromeDriver(
            new ChromeDriverService.Builder()
                .usingDriverExecutable(find(DRIVER, "chromedriver"))
                .build(),
            options);
  }

  /** An executable that an environment variable names, else the first of some on the path. */
  private static File find(String variable, String... names) {
    String chosen = System.getenv(variable);
    Optional<Path> found =
        chosen != null
            ? Optional.of(Path.of(chosen)).filter(Files::isExecutable)
            : Stream.of(names)
                .flatMap(
                    name ->
                        Stream.of(System.getenv("PATH").split(File.pathSeparator))
                            .map(folder -> Path.of(folder, name)))
                .filter(Files::isExecutable)
                .findFirst();
    return found
        .map(Path::toFile)
        .orElseGet(
            () ->
                fail(
                    (chosen == null
                            ? "no " + String.join(", ", names) + " on the path"
                            : chosen + " is not executable")
                        + ": install Chromium with its driver (Debian: apt-get install chromium"
                        + " chromium-driver) or set "
                        + variable));
  }

  /**
   * Opens a page.
   *
   * @param width of the window, in CSS pixels
   * @param scheme "light" or "dark", what the reader prefers
   */
  void open(Path page, int width, String scheme) {
    driver.executeCdpCommand(
        "Emulation.setDeviceMetricsOverride",
        Map.of("width", width, "height", 900, "deviceScaleFactor", 1, "mobile", width < 500));
    driver.executeCdpCommand(
        "Emulation.setEmulatedMedia",
        Map.of("features", List.of(Map.of("name", "prefers-color-scheme", "value", scheme))));
    driver.get(page.toUri().toString());
  }

  /** What the console says since the page before; every test wants nothing. */
  List<String> console() {
    return driver.manage().logs().get(LogType.BROWSER).getAll().stream()
        .map(Object::toString)
        .toList();
  }

  /** What the script measure.js finds wrong in the open page. */
  List<?> findings() {
    try (InputStream script = Chromium.class.getResourceAsStream("measure.js")) {
      return (List<?>) run(new String(script.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The value that a script returns in the open page. */
  Object run(String script) {
    return driver.executeScript(script);
  }

  @Override
  public void close() {
    driver.quit();
  }
}
