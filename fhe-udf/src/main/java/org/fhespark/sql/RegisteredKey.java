package org.fhespark.sql;

import org.fhespark.nativelib.BootstrapParameters;
import org.fhespark.udf.EvaluationKeySource;

/**
 * An evaluation key that circuits with look-ups may use.
 *
 * @param key id of the client key it belongs to, in hexadecimal
 * @param bytes of its file
 */
public record RegisteredKey(
    String key,
    BootstrapParameters parameters,
    long bytes,
    EvaluationKeySource.InBroadcast source) {}
