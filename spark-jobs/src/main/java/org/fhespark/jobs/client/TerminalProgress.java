package org.fhespark.jobs.client;

import java.io.PrintStream;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * A progress bar: records done, rate, remaining time; behind it the modules sent last and the
 * blocks, of all modules, that came back.
 */
public final class TerminalProgress implements ScoreProgress {
  private static final int UPDATE_MILLIS = 250;
  private static final int WIDTH = 110;

  private final String task;
  private final PrintStream out;
  private ProgressBar bar;
  private String modules = "";
  private int sent;
  private int done;

  /**
   * @param task what the bar calls the run
   * @param out usually standard error
   */
  public TerminalProgress(String task, PrintStream out) {
    this.task = task;
    this.out = out;
  }

  @Override
  public synchronized void started(long records) {
    bar =
        new ProgressBarBuilder()
            .setTaskName(task)
            .setInitialMax(records)
            .setUnit(" records", 1)
            .showSpeed()
            .setStyle(ProgressBarStyle.ASCII)
            .setUpdateIntervalMillis(UPDATE_MILLIS)
            .setMaxRenderedLength(WIDTH)
            .setConsumer(new ConsoleProgressBarConsumer(out, WIDTH))
            .build();
  }

  @Override
  public synchronized void blocksSent(String modules, int blocks) {
    this.modules = modules;
    sent += blocks;
    show();
  }

  @Override
  public synchronized void blockDone() {
    done++;
    show();
  }

  @Override
  public synchronized void recordsDone(long records) {
    if (bar != null) {
      bar.stepBy(records);
    }
  }

  @Override
  public synchronized void ended() {
    if (bar != null) {
      bar.close();
      bar = null;
    }
  }

  private void show() {
    if (bar != null) {
      bar.setExtraMessage(" " + modules + " " + done + "/" + sent + " blocks");
    }
  }
}
