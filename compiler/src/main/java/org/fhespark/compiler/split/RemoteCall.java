package org.fhespark.compiler.split;

import org.fhespark.compiler.affine.AffineCall;

/**
 * One call of a remote module.
 *
 * @param module the module's key
 * @param stage its stage: it reads what the clear segments up to this number make, and the segments
 *     above it read its result
 * @param call the affine map
 */
public record RemoteCall(String module, int stage, AffineCall call) {}
