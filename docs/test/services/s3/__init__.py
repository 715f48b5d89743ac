"""An S3 with one bucket, `zone`."""

import subprocess

from environments import ROOT, python_of

from ..distribution import add_settings, distribution
from ..service import Service, end, folder_of, free_port, request, wait_for

ENVIRONMENT = ("docs-s3", "docs/test/services/s3/requirements.txt")


class S3(Service):
    """moto's server, and what tells Spark where it is; credentials can be any."""

    process = None

    def start(self, page) -> dict[str, str]:
        log = folder_of(page, "s3") / "log"
        port = free_port()
        server = python_of(ENVIRONMENT).with_name("moto_server")
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [server, "-H", "127.0.0.1", "-p", str(port)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: request("GET", f"{url}/moto-api/data.json"), self.process, log)
        request("PUT", f"{url}/zone")
        add_settings(
            page,
            {
                "spark.hadoop.fs.s3a.endpoint": url,
                "spark.hadoop.fs.s3a.path.style.access": "true",
                "spark.hadoop.fs.s3a.access.key": "test",
                "spark.hadoop.fs.s3a.secret.key": "test",
                # Packages are fetched once, for all runs.
                "spark.jars.ivy": str(ROOT / "build" / "docs-ivy"),
            },
        )
        return {"/opt/spark": str(distribution(page))}

    def close(self) -> None:
        end(self.process)
