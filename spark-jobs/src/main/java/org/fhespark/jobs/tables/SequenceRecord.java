package org.fhespark.jobs.tables;

import org.apache.spark.sql.Row;

/**
 * A record of a model with a padding mask: a sequence of its own length.
 *
 * @param row the record as it came
 * @param number its number in the table, from 1
 * @param length elements along the sequence's axis
 * @param shapes the shape of each input
 */
public record SequenceRecord(Row row, long number, int length, long[][] shapes) {}
