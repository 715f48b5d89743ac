package org.fhespark.udf;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.fhespark.nativelib.CircuitDigest;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 60, unit = TimeUnit.SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class SharedHandlesTest {
  private final SharedHandles<AutoCloseable> handles =
      new SharedHandles<>(Duration.ofMinutes(1), System::nanoTime);
  private final ExecutorService tasks = Executors.newFixedThreadPool(2);

  @AfterEach
  void stop() {
    tasks.shutdownNow();
  }

  private static CircuitDigest digest(int content) {
    return CircuitDigest.of(new byte[] {(byte) content});
  }

  @Test
  void whatIsBeingMadeKeepsNobodyFromAnother() throws Exception {
    CountDownLatch isMaking = new CountDownLatch(1);
    CountDownLatch mayGoOn = new CountDownLatch(1);
    AutoCloseable slow = () -> {};
    Future<SharedHandles.Lease<AutoCloseable>> first =
        tasks.submit(
            () ->
                handles.acquire(
                    digest(1),
                    () -> {
                      isMaking.countDown();
                      await(mayGoOn);
                      return slow;
                    }));
    isMaking.await();
    handles.acquire(digest(2), () -> () -> {}).close();
    assertEquals(1, handles.size());
    assertEquals(1, handles.sum(value -> 1));
    // Another task that wants the same waits for it.
    Future<SharedHandles.Lease<AutoCloseable>> second =
        tasks.submit(() -> handles.acquire(digest(1), () -> () -> {}));
    while (handles.users(digest(1)) < 2) {
      Thread.onSpinWait();
    }
    mayGoOn.countDown();
    assertEquals(slow, first.get().value());
    assertEquals(slow, second.get().value());
    assertEquals(2, handles.size());
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException error) {
      throw new IllegalStateException(error);
    }
  }

  @Test
  void whatCannotBeMadeIsNotThereAndMayBeTriedAgain() {
    for (int time = 0; time < 2; time++) {
      assertThrows(
          IllegalArgumentException.class,
          () ->
              handles.acquire(
                  digest(1),
                  () -> {
                    throw new IllegalArgumentException("no");
                  }));
      assertEquals(0, handles.users(digest(1)));
      assertEquals(0, handles.size());
    }
    AutoCloseable made = () -> {};
    assertEquals(made, handles.acquire(digest(1), () -> made).value());
  }
}
