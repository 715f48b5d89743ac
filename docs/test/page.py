"""The bash of a page, which runs its blocks in a copy of bin, conf and examples."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from environments import JAR, PYTHON, ROOT, python_of
from services import SERVICES
from services.service import Service, free_port

WORK = ROOT / "build" / "docs"
COPIED = ("bin", "conf", "examples")
TERMINAL = Path(__file__).with_name("terminal.py")
BLOCK_SECONDS = 1800


class Page:
    """The bash of a page, the folder it works in, and the services that its blocks need."""

    def __init__(self, path: Path, needs_python: bool):
        self.folder = WORK / path.stem
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("tmp", "mnt", "shm", "programs", "spark-jobs/target"):
            (self.folder / name).mkdir(parents=True)
        for name in COPIED:
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for libraries in ("spark", "connect"):
            (self.folder / "spark-jobs/target" / libraries).symlink_to(JAR.parent / libraries)
        # No symbolic link: what builds an image leaves those alone that lead out of the folder.
        os.link(JAR, self.folder / "spark-jobs/target" / JAR.name)
        self.places = {
            "/tmp/": f"{self.folder}/tmp/",
            "/mnt/": f"{self.folder}/mnt/",
            "/dev/shm/": f"{self.folder}/shm/",
            "hdfs://zone": f"{self.folder}/tmp/zone",
            "15002": str(free_port()),
            "15003": str(free_port()),
        }
        self.services: dict[str, Service] = {}
        self.blocks = 0
        self.background: list[Path] = []
        self.log = self.folder / "log"
        environment = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
        # Debian has nginx in a folder that is on root's path alone.
        environment["PATH"] = f"{self.folder}/programs:{environment['PATH']}:/usr/sbin"
        if needs_python:
            environment["PATH"] = f"{python_of(PYTHON).parent}:{environment['PATH']}"
        with self.log.open("w") as log:
            self.bash = subprocess.Popen(
                ["bash"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.say("set -euo pipefail")

    def say(self, line: str) -> None:
        self.bash.stdin.write(line.encode() + b"\n")
        self.bash.stdin.flush()

    def need(self, name: str) -> str | None:
        """Starts a service unless it runs; tells why it cannot."""
        if name not in SERVICES:
            return f"no service '{name}' is known: see docs/test/services"
        if name not in self.services:
            service = SERVICES[name]()
            # Known before it starts, so that what it leaves when that fails is ended with the page.
            self.services[name] = service
            try:
                self.places |= service.start(self)
            except OSError as failure:
                return f"{name}: {failure}"
        return None

    def redirect(self, text: str) -> str:
        """The text, with places of this machine for those of the page."""
        longest_first = sorted(self.places, key=len, reverse=True)
        patterns = (rf"(?<![\w/]){re.escape(place)}" + (r"\b" if place[-1].isalnum() else "") for place in longest_first)
        return re.sub("|".join(patterns), lambda place: self.places[place[0]], text)

    def file(self, name: str, text: str) -> Path:
        self.blocks += 1
        folder = self.folder / f"block{self.blocks}"
        folder.mkdir()
        file = folder / name
        file.write_text(self.redirect(text))
        return file

    def run(self, line: str) -> str | None:
        """Runs a line; tells what it printed if it fails."""
        ended = [str(end) for end in self.background if end.exists()]
        if ended:
            return f"what was to run beside this has ended: see {', '.join(ended)}"
        if self.bash.poll() is not None:
            return "a block before has failed, and the page's bash has ended"
        before = self.log.stat().st_size
        done = self.folder / f"block{self.blocks}" / "done"
        self.say(f"{line} </dev/null\n: >'{done}'")
        return self.wait(done.exists, lambda: self.bash.poll() is not None, lambda: self.log.read_bytes()[before:])

    def start(self, script: Path, expected: str) -> str | None:
        """Runs a script beside what follows; waits until it has printed a text."""
        log, end = script.parent / "log", script.parent / "end"
        log.touch()
        self.say(f"{{ ( . '{script}' ) >'{log}' 2>&1 </dev/null; : >'{end}'; }} &")
        if expected:
            failure = self.wait(lambda: expected in log.read_text(errors="replace"), end.exists, log.read_bytes)
            if failure:
                return failure
        self.background.append(end)
        return None

    def run_on_terminal(self, script: Path, answers: str) -> str | None:
        """Runs a script in a bash of its own, whose questions are answered."""
        return self.run(f"'{sys.executable}' '{TERMINAL}' '{script}' {self.redirect(answers)}")

    @staticmethod
    def wait(is_done, has_failed, printed) -> str | None:
        deadline = time.monotonic() + BLOCK_SECONDS
        while not is_done():
            failed = has_failed()
            if is_done():
                break
            if failed or time.monotonic() > deadline:
                return f"{'failed' if failed else 'has not ended'}, and printed:\n{printed().decode(errors='replace')}"
            time.sleep(0.05)
        return None

    def close(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.bash.pid, number)
            except ProcessLookupError:
                break
            try:
                self.bash.wait(15)
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(BrokenPipeError):
            self.bash.stdin.close()
        for service in self.services.values():
            service.close()
