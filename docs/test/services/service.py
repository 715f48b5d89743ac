"""What all services have."""

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path

START_SECONDS = 60


class Service(ABC):
    """Something on loopback that blocks of a page use; started by the first that needs it, closed with the page."""

    @abstractmethod
    def start(self, page) -> dict[str, str]:
        """Returns the places that pages name, and what stands for them here; raises OSError if it does not start."""

    @abstractmethod
    def close(self) -> None:
        """Ends what has been started, if anything."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def program(name: str, package: str) -> str:
    """The path of a program that is a package of Debian's."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: apt-get install {package}")
    return path


def folder_of(page, name: str) -> Path:
    folder = page.folder / "services" / name
    folder.mkdir(parents=True)
    return folder


def wait_for(is_up, process: subprocess.Popen, log: Path) -> None:
    """Until it is up; a connection that is refused says that it is not yet."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            if is_up():
                return
        except urllib.error.URLError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise OSError(f"did not start, and printed:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def end(process: subprocess.Popen | None) -> None:
    if process is None:
        return
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def request(method: str, url: str) -> bytes:
    """Of a server on loopback, whatever proxy there is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, method=method), timeout=10) as answer:
        return answer.read()
