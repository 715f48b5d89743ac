"""A standalone cluster of Spark."""

from environments import ROOT, printed

from .distribution import distribution
from .service import Service, folder_of


class StandaloneCluster(Service):
    """A worker of two cores; executors get the memory that pages ask for, and use less."""

    folder = None

    def start(self, page) -> dict[str, str]:
        self.folder = folder_of(page, "standalone-cluster")
        home = distribution(page)
        options = ("--workers", "1", "--cores", "2", "--memory", "16g")
        master = printed(ROOT / "bin/spark-cluster", "start", "--dir", self.folder, "--spark-home", home, *options)
        return {"/opt/spark": str(home), "spark://HOST:7077": master, "spark://mine:7077": master}

    def close(self) -> None:
        if self.folder:
            printed(ROOT / "bin/spark-cluster", "stop", "--dir", self.folder)
