package org.fhespark.compiler.split;

import org.fhespark.compiler.modules.LinearCall;

/**
 * One call of a remote module.
 *
 * @param module the module's key
 * @param stage its stage: it reads what the clear segments up to this number make, and the segments
 *     above it read its result
 * @param call the layer
 */
public record RemoteCall(String module, int stage, LinearCall call) {}
