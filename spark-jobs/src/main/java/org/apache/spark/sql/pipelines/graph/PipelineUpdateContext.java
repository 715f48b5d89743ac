package org.apache.spark.sql.pipelines.graph;

/**
 * Stands for Spark's type of this name where spark-pipelines is not on the class path, which is
 * with embedded Spark: the Connect server names it when a session ends. A Spark distribution has
 * the real one, before ours.
 */
public interface PipelineUpdateContext {}
