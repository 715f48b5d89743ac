package org.fhespark.jobs.client;

import java.util.Optional;

/**
 * What decryption will need of rows that were encrypted.
 *
 * @param number that their block carries, and its result must
 * @param scales of the rows, {@code [T]}
 * @param slots those of a prepared mask, if the rows were encrypted under one
 */
record SentRows(RowBlock rows, long number, float[] scales, Optional<PreparedMasks.Slots> slots) {}
