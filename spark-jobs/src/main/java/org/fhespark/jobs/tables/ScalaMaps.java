package org.fhespark.jobs.tables;

import java.util.Map;
import scala.jdk.javaapi.CollectionConverters;

/** Options as the immutable Scala maps that Spark's data sources take. */
final class ScalaMaps {
  private ScalaMaps() {}

  static scala.collection.immutable.Map<String, String> empty() {
    return of(Map.of());
  }

  static scala.collection.immutable.Map<String, String> of(Map<String, String> options) {
    return scala.collection.immutable.Map$.MODULE$.from(CollectionConverters.asScala(options));
  }
}
