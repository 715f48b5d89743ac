package org.fhespark.compiler.split;

import org.fhespark.compiler.lookups.LookupRegion;

/**
 * One call of a remote module that needs look-ups.
 *
 * @param module the module's key
 * @param stage its stage, as of {@link RemoteCall}
 * @param region what it computes
 */
public record LookupCall(String module, int stage, LookupRegion region) {}
