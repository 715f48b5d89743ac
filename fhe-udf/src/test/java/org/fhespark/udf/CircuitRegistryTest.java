package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;
import org.fhespark.InvalidInputException;
import org.fhespark.nativelib.NativeLibrary;
import org.fhespark.nativelib.PackedCircuit;
import org.fhespark.nativelib.PackedParameters;
import org.junit.jupiter.api.Test;

class CircuitRegistryTest {
  private static final PackedParameters PARAMETERS =
      new PackedParameters(20, 64, 4, 4, 4, 4, 17, 2);

  private final AtomicLong now = new AtomicLong();
  private final CircuitRegistry registry = new CircuitRegistry(now::get);

  private static Circuit circuit(int weight) {
    return new Circuit(PackedCircuit.encode(PARAMETERS, "fc", 1, 1, new byte[] {(byte) weight}));
  }

  @Test
  void tasksThatStartTogetherShareOnePreparedCircuit() throws Exception {
    long before = NativeLibrary.openHandles();
    Circuit circuit = circuit(1);
    ExecutorService tasks = Executors.newFixedThreadPool(4);
    try {
      List<Future<CircuitRegistry.Lease>> leases = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        leases.add(tasks.submit(() -> registry.acquire(circuit)));
      }
      for (Future<CircuitRegistry.Lease> lease : leases) {
        lease.get();
      }
      assertEquals(16, registry.users(circuit));
      assertEquals(before + 1, NativeLibrary.openHandles());
      for (Future<CircuitRegistry.Lease> lease : leases) {
        lease.get().close();
      }
    } finally {
      tasks.shutdownNow();
    }
  }

  @Test
  void anIdleCircuitIsReleasedAndAUsedOneStays() {
    long before = NativeLibrary.openHandles();
    CircuitRegistry.Lease used = registry.acquire(circuit(1));
    CircuitRegistry.Lease idle = registry.acquire(circuit(2));
    idle.close();
    idle.close();
    now.addAndGet(CircuitRegistry.IDLE_LIMIT.toNanos() + 1);
    registry.releaseIdle();
    assertEquals(1, registry.size());
    assertEquals(before + 1, NativeLibrary.openHandles());
    used.close();
    now.addAndGet(CircuitRegistry.IDLE_LIMIT.toNanos() + 1);
    registry.releaseIdle();
    assertEquals(0, registry.size());
    assertEquals(before, NativeLibrary.openHandles());
  }

  @Test
  void aCircuitThatIsGivenUpIsReleasedWhenItsLastTaskEnds() {
    long before = NativeLibrary.openHandles();
    CircuitRegistry.Lease used = registry.acquire(circuit(1));
    CircuitRegistry.Lease usedToo = registry.acquire(circuit(1));
    registry.acquire(circuit(2)).close();
    giveUp(circuit(1));
    giveUp(circuit(2));
    giveUp(circuit(3));
    used.close();
    assertEquals(1, registry.users(circuit(1)));
    assertEquals(before + 1, NativeLibrary.openHandles());
    usedToo.close();
    assertEquals(0, registry.size());
    assertEquals(before, NativeLibrary.openHandles());
  }

  @Test
  void aTaskOfAnotherSessionKeepsACircuitThatIsGivenUp() {
    long before = NativeLibrary.openHandles();
    CircuitRegistry.Lease used = registry.acquire(circuit(1));
    giveUp(circuit(1));
    CircuitRegistry.Lease other = registry.acquire(circuit(1));
    used.close();
    other.close();
    assertEquals(1, registry.size());
    giveUp(circuit(1));
    assertEquals(before, NativeLibrary.openHandles());
  }

  private void giveUp(Circuit circuit) {
    registry.giveUp(List.of(circuit.digest().hex()), List.of(), List.of());
  }

  @Test
  void aDamagedCircuitIsRefusedAndNotKept() {
    byte[] file = PackedCircuit.encode(PARAMETERS, "fc", 1, 1, new byte[] {1});
    file[60 % file.length] ^= 1;
    assertThrows(InvalidInputException.class, () -> registry.acquire(new Circuit(file)));
    assertEquals(0, registry.size());
  }
}
