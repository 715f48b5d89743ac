package org.fhespark.jobs.server;

import java.util.Optional;
import org.sparkproject.connect.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import org.sparkproject.connect.grpc.Metadata;
import org.sparkproject.connect.grpc.ServerCall;
import org.sparkproject.connect.grpc.ServerCallHandler;
import org.sparkproject.connect.grpc.ServerInterceptor;
import org.sparkproject.connect.grpc.Status;
import org.sparkproject.connect.protobuf.Message;

/**
 * Refuses all requests of Spark Connect but {@link BlockRequests}, before Spark looks at them:
 * {@code spark.connect.grpc.interceptor.classes}.
 */
public final class BlocksOnly implements ServerInterceptor {
  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    return new SimpleForwardingServerCallListener<>(next.startCall(call, headers)) {
      private boolean isRefused;

      @Override
      public void onMessage(Q request) {
        if (isRefused) {
          return;
        }
        Optional<String> foreign =
            request instanceof Message message
                ? BlockRequests.foreign(message)
                : Optional.of(request.getClass().getSimpleName());
        if (foreign.isEmpty()) {
          super.onMessage(request);
          return;
        }
        isRefused = true;
        String line =
            "this server evaluates blocks and answers nothing else (serve --any-query): "
                + foreign.get().lines().findFirst().orElse("");
        call.close(Status.PERMISSION_DENIED.withDescription(line), new Metadata());
      }

      @Override
      public void onHalfClose() {
        if (!isRefused) {
          super.onHalfClose();
        }
      }
    };
  }
}
