package org.fhespark.compiler.modules;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.fhespark.compiler.RecordedModel;
import org.junit.jupiter.api.Test;

class ModuleListingTest {
  private static List<ModuleListing.Row> rows(String model) {
    return ModuleListing.of(RecordedModel.load(model).tree());
  }

  @Test
  void childrenHangBelowTheirParents() {
    assertEquals(
        List.of(
            ".",
            "seq",
            "├─ seq.0",
            "├─ seq.1",
            "├─ seq.2",
            "│  ├─ seq.2.0",
            "│  └─ seq.2.2",
            "└─ seq.3",
            "head"),
        rows("nested_sequential").stream().map(ModuleListing.Row::label).toList());
  }

  @Test
  void everyModuleHasOneLineWhereverItsNodesAre() {
    ModuleTree tree = RecordedModel.load("dynamo/bert").tree();
    assertEquals(1 + tree.modules().size(), ModuleListing.of(tree).size());
  }

  @Test
  void aLineTellsClassShapesAndWhetherItCanGoRemote() {
    assertEquals(
        new ModuleListing.Row("├─ seq.0", "Linear", "weight [6, 8], bias [6]", "yes"),
        rows("dynamo/nested_sequential").get(2));
    assertEquals(
        List.of("yes, by look-ups", "yes, by look-ups"),
        rows("conv").stream().limit(2).map(ModuleListing.Row::remote).toList());
    ModuleListing.Row norm =
        rows("dynamo/transformer").stream()
            .filter(row -> row.label().endsWith("encoder.layer.0.norm"))
            .findFirst()
            .orElseThrow();
    assertEquals("LayerNorm", norm.kind());
    assertTrue(norm.remote().matches("no: .*LayerNormalization.*"), norm.remote());
  }

  @Test
  void whatModulesBelowAreRefusedForIsToldThere() {
    List<String> remote = rows("transformer").stream().map(ModuleListing.Row::remote).toList();
    assertTrue(remote.contains("no, as encoder.layer"), remote.toString());
    assertTrue(remote.contains("no, as encoder.layer.0.attention"), remote.toString());
    String reason = "no: contains MatMul at node /encoder/layer.0/attention/self/MatMul";
    assertEquals(1, remote.stream().filter(cell -> cell.startsWith(reason)).count());
  }

  @Test
  void withoutClassesTheOperatorsTellTheKind() {
    List<ModuleListing.Row> rows = rows("nested_sequential");
    assertEquals("whole model", rows.get(0).kind());
    assertEquals("container", rows.get(1).kind());
    assertEquals("Linear", rows.get(2).kind());
    assertEquals("Relu", rows.get(3).kind());
  }
}
