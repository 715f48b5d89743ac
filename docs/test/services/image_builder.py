"""What builds images as Docker does, without a daemon."""

import re
import subprocess

from .service import Service, folder_of, program


class ImageBuilder(Service):
    """A program `docker` that is Buildah. The image that ours is made from is an empty one: ours adds files to it alone."""

    def start(self, page) -> dict[str, str]:
        folder = folder_of(page, "image-builder")
        buildah = [program("buildah", "buildah"), "--storage-driver", "vfs"]
        buildah += ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        [base] = re.findall(r"^ARG SPARK_IMAGE=(.+)$", (page.folder / "conf/kubernetes/Dockerfile").read_text(), re.MULTILINE)
        empty = folder / "empty"
        empty.write_text("FROM scratch\n")
        subprocess.run([*buildah, "build", "-q", "-f", empty, "-t", base, folder], check=True, capture_output=True)
        docker = page.folder / "programs" / "docker"
        docker.write_text(f"#!/bin/sh\nexec {' '.join(buildah)} \"$@\"\n")
        docker.chmod(0o755)
        return {}

    def close(self) -> None:
        """Nothing runs behind a command."""
