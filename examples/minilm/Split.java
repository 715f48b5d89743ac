package org.fhespark.examples.minilm;

import java.util.List;
import java.util.Locale;
import org.fhespark.compiler.CompileOptions;
import org.fhespark.compiler.Engine;
import org.fhespark.jobs.client.Mode;

/** What of MiniLM is remote, and what is expected of it. */
enum Split {
  /** Every linear module: integers, exact. */
  LINEARS(SentenceModel.linears(), List.of(Mode.TORCH, Mode.DISABLE, Mode.EXECUTE), 2, 0.998) {
    @Override
    CompileOptions options() {
      return CompileOptions.remote(modules()).build();
    }
  },

  /**
   * The six feed-forward blocks, GELU and all: polynomials and noise make them inexact. In clear
   * they are computed value by value, which takes longer than encrypted, so that {@link
   * Mode#DISABLE} is left out; a run is minutes of arithmetic beside which compiling code does not
   * show, so that there is no second.
   */
  BLOCKS(SentenceModel.blocks(), List.of(Mode.TORCH, Mode.EXECUTE), 1, 0.99) {
    @Override
    CompileOptions options() {
      return CompileOptions.remote(modules()).engine(Engine.SIMD).build();
    }
  };

  private final List<String> modules;
  private final List<Mode> modes;
  private final int runs;
  private final double leastMeanCosine;

  Split(List<String> modules, List<Mode> modes, int runs, double leastMeanCosine) {
    this.modules = modules;
    this.modes = modes;
    this.runs = runs;
    this.leastMeanCosine = leastMeanCosine;
  }

  abstract CompileOptions options();

  /** Keys of the remote modules. */
  List<String> modules() {
    return modules;
  }

  /** To score with on this Spark. */
  List<Mode> modes() {
    return modes;
  }

  /** How often to score in a session; the last is compared. */
  int runs() {
    return runs;
  }

  /** Whether encrypted runs give the bits of {@link Mode#DISABLE}. */
  boolean isExact() {
    return modes.contains(Mode.DISABLE);
  }

  /** To the float model's embeddings. */
  double leastMeanCosine() {
    return leastMeanCosine;
  }

  String lowerCase() {
    return name().toLowerCase(Locale.ROOT);
  }
}
