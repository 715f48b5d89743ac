package org.fhespark.jobs.client;

/** What is told of the outputs of a group of records. */
public enum Aggregate {
  /** Of the outputs of all records, exact to the quantised model. */
  SUM,
  /** The sum, divided by the number of records. */
  MEAN;

  /** The aggregate of an output, given the sum of it over so many records. */
  double of(double sum, long records) {
    return this == SUM ? sum : sum / records;
  }
}
