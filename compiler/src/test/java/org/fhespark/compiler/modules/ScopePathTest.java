package org.fhespark.compiler.modules;

import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.onnx.proto.OnnxMl.NodeProto;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ScopePathTest {
  private static ScopePath path(String nodeName) {
    return ScopePath.of(NodeProto.newBuilder().setName(nodeName).build());
  }

  @ParameterizedTest
  @CsvSource({
    "seq,seq",
    "seq.0,seq.0",
    "seq.2.0,seq.2.0",
    "blocks.0.lin,lin",
    "encoder.layer.10,layer.10",
    "0,0",
    "2.0,2.0",
    "2.lin.0.1,lin.0.1"
  })
  void aComponentIsTheShortestSuffixThatStartsAtANameThatIsNoNumber(String key, String expected) {
    assertEquals(expected, ScopePath.component(key));
  }

  @Test
  void aNodeWithoutALeadingSlashBelongsToTheModel() {
    assertEquals(List.of(), path("Identity_0").components());
    assertEquals(List.of(), path("/Relu").components());
  }

  @Test
  void aKeyFitsAPathThatLeavesOutUncalledContainers() {
    assertEquals(
        Optional.of(List.of("encoder", "encoder.layer.0", "encoder.layer.0.attention.query")),
        path("/encoder/layer.0/query/MatMul").alignedTo("encoder.layer.0.attention.query"));
    assertEquals(Optional.empty(), path("/decoder/query/MatMul").alignedTo("encoder.query"));
    assertEquals(Optional.empty(), path("/encoder/query/MatMul").alignedTo("encoder"));
  }

  @ParameterizedTest
  @CsvSource({
    "/seq/seq.0/Gemm,seq,seq.0",
    "/seq/seq.2/seq.2.0/Gemm,seq.2,seq.2.0",
    "/a/b/c/Gemm,a.b,a.b.c",
    "/2/2.0/Gemm,2,2.0",
    "/encoder/layer.0/Add,encoder,encoder.layer.0"
  })
  void aKeyIsSpelledOutBelowItsParents(String node, String parentKey, String expected) {
    assertEquals(expected, path(node).keyUnder(parentKey));
  }

  @Test
  void onlyANumberAfterAnUnderscoreLooksLikeALaterCall() {
    assertEquals(List.of("a", "block.0"), path("/a/block.0_2/Relu").firstCall().get().components());
    assertEquals(Optional.empty(), path("/a/lin_0/Relu").firstCall());
    assertEquals(Optional.empty(), path("/a_1/lin/Relu").firstCall());
  }
}
