package org.fhespark.compiler.modules;

import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ModuleScopesTest {
  private static Optional<ModuleScopes> scopes(String names, String classes) {
    return ModuleScopes.of(
        NodeProto.newBuilder()
            .addMetadataProps(entry("pkg.torch.onnx.name_scopes", names))
            .addMetadataProps(entry("pkg.torch.onnx.class_hierarchy", classes))
            .build());
  }

  private static StringStringEntryProto entry(String key, String value) {
    return StringStringEntryProto.newBuilder().setKey(key).setValue(value).build();
  }

  @Test
  void theLastEntryIsTheOperationAndTheFirstIsTheModel() {
    ModuleScopes scopes =
        scopes(
                "['', 'seq', 'seq.0', 'linear']",
                "['m.Net', 'torch.nn.modules.container.Sequential', 'torch.nn.Linear', 'aten']")
            .orElseThrow();
    assertEquals(List.of("seq", "seq.0"), scopes.keys());
    assertEquals(List.of("Sequential", "Linear"), scopes.classes());
    assertEquals("seq.0", scopes.owner());
    assertEquals(new ScopePath(List.of("seq", "seq.0")), scopes.path());
    assertEquals("", scopes("['', 'relu']", "").orElseThrow().owner());
  }

  @Test
  void pythonsQuotesAndEscapesAreRead() {
    assertEquals(
        List.of("it's", "a\"b", "c\\d"),
        scopes("['', \"it's\", 'a\"b', 'c\\\\d', 'add']", "").orElseThrow().keys());
  }

  @Test
  void whatDoesNotStartAtTheModelHasNoScopes() {
    assertEquals(Optional.empty(), scopes("['_empty_nn_module_stack', 'sym_size_int_1']", ""));
    assertEquals(Optional.empty(), scopes("['linear']", ""));
    assertEquals(Optional.empty(), scopes("none of it", ""));
    assertEquals(Optional.empty(), ModuleScopes.of(NodeProto.getDefaultInstance()));
  }

  @Test
  void classesThatDoNotFitTheScopesAreLeftOut() {
    assertEquals(
        List.of(), scopes("['', 'seq', 'linear']", "['m.Net', 'aten']").orElseThrow().classes());
  }
}
