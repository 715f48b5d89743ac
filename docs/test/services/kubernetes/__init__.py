"""A Kubernetes cluster for Spark's executors: Cluster.java says what there is of it."""

import subprocess

from environments import ROOT, printed

from ..distribution import distribution
from ..service import Service, end, folder_of, wait_for

SOURCES = ROOT / "docs" / "test" / "services" / "kubernetes"


class Kubernetes(Service):
    """Its pods are processes on loopback, of the Spark that the page submits with."""

    process = None

    def start(self, page) -> dict[str, str]:
        folder = folder_of(page, "kubernetes")
        libraries = printed(ROOT / "bin/maven-libraries", "docs-kubernetes", SOURCES / "pom.xml")
        classes, printed_port, log = folder / "classes", folder / "port", folder / "log"
        subprocess.run(["javac", "-d", classes, "-cp", f"{libraries}/*", *SOURCES.glob("*.java")], check=True)
        home = distribution(page)
        with printed_port.open("w") as output, log.open("w") as errors:
            self.process = subprocess.Popen(
                ["java", "-cp", f"{classes}:{libraries}/*", "Cluster", home, folder / "pods"],
                stdin=subprocess.PIPE, stdout=output, stderr=errors,
            )
        wait_for(lambda: printed_port.read_text().endswith("\n"), self.process, log)
        return {
            "/opt/spark": str(home),
            "k8s://https://API:6443": f"k8s://http://127.0.0.1:{printed_port.read_text().strip()}",
            "ADDRESS": "127.0.0.1",
        }

    def close(self) -> None:
        if self.process:
            # Its input ends, and so it ends its pods.
            self.process.stdin.close()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                end(self.process)
