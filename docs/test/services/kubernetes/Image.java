import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What an image of Spark does when a container of it starts: {@code entrypoint.sh} of Spark 4.1, for executors.
 *
 * @param sparkHome the distribution that is in the image
 */
record Image(Path sparkHome) {
  /**
   * @param variables of the container's environment
   * @throws IllegalArgumentException if the container is to run something else than an executor
   */
  List<String> command(List<String> containerArguments, Map<String, String> variables) {
    if (!containerArguments.equals(List.of("executor"))) {
      throw new IllegalArgumentException("the container is to run " + containerArguments);
    }
    List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin/java").toString()));
    for (int option = 0; variables.containsKey("SPARK_JAVA_OPT_" + option); option++) {
      command.add(variables.get("SPARK_JAVA_OPT_" + option));
    }
    String memory = variables.get("SPARK_EXECUTOR_MEMORY");
    command.addAll(List.of("-Xms" + memory, "-Xmx" + memory));
    command.addAll(List.of("-cp", variables.get("SPARK_CONF_DIR") + ":" + sparkHome.resolve("jars") + "/*"));
    command.add("org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend");
    Map<String, String> options =
        Map.of(
            "--driver-url", "SPARK_DRIVER_URL",
            "--executor-id", "SPARK_EXECUTOR_ID",
            "--cores", "SPARK_EXECUTOR_CORES",
            "--app-id", "SPARK_APPLICATION_ID",
            "--hostname", "SPARK_EXECUTOR_POD_IP",
            "--resourceProfileId", "SPARK_RESOURCE_PROFILE_ID",
            "--podName", "SPARK_EXECUTOR_POD_NAME");
    options.forEach((option, variable) -> command.addAll(List.of(option, variables.get(variable))));
    return command;
  }
}
