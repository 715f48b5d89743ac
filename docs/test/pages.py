"""A plugin of pytest that runs the blocks of Markdown pages; `make test-docs` calls it.

A page's blocks run in order, in one bash, in a copy of bin, conf and examples below build/docs. In their text ``/tmp/`` and
``hdfs://zone`` become folders of that copy, and ports 15002 and 15003 free ones. By the language of its fence a block is

* ``sh``: run by the page's bash, under ``set -euo pipefail``;
* ``python``, ``sql``: run there by python and spark-sql;
* ``java``: run if it has a class, else compiled as the body of a method;
* ``text``: left alone.

Any other fails, as does one without a language. A comment on the line before the fence changes that:

* ``<!-- not run: WHY -->``: only the syntax is checked;
* ``<!-- background -->``, ``<!-- background: TEXT -->``: the block goes on beside the next ones, which wait until it has printed
  TEXT;
* ``<!-- python: NAME REQUIREMENTS -->``: the environment, as arguments of bin/python-env;
* ``<!-- java: PARAMETERS -->``: what the body's method is given.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from markdown_it import MarkdownIt
from sybil import Document, Example, Region, Sybil

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "docs"
JAR = ROOT / "spark-jobs" / "target" / "fhe-spark.jar"
CLASS_PATH = f"{JAR}:{JAR.parent}/spark/*"
COPIED = ("bin", "conf", "examples")
PYTHON = ("fcsmall", "examples/fcsmall/requirements.txt")
SPARK_PYTHON = ("spark", "spark-jobs/src/test/python/requirements.txt")
BLOCK_SECONDS = 1800
MARK = re.compile(r"<!-- (not run|background|python|java)(?:: (.+))? -->\s*")
PACKAGES = ("java.util", "java.util.function", "org.apache.spark.sql", "org.fhespark.jobs.client", "org.fhespark.nativelib")


@dataclass
class Block:
    """One fence, with the comment before it."""

    language: str
    text: str
    mark: str = ""
    detail: str = ""


def python_of(environment: tuple[str, str]) -> Path:
    name, requirements = environment
    made = subprocess.run([ROOT / "bin/python-env", name, ROOT / requirements], stdout=subprocess.PIPE, text=True, check=True)
    return Path(made.stdout.strip())


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Page:
    """The bash of a page, and the folder it works in."""

    def __init__(self, path: Path, needs_python: bool):
        self.folder = WORK / path.stem
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "tmp").mkdir(parents=True)
        for name in COPIED:
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        (self.folder / "spark-jobs").symlink_to(ROOT / "spark-jobs")
        self.redirected = {
            "/tmp/": f"{self.folder}/tmp/",
            "hdfs://zone": f"{self.folder}/tmp/zone",
            "15002": free_port(),
            "15003": free_port(),
        }
        self.blocks = 0
        self.background: list[Path] = []
        self.log = self.folder / "log"
        environment = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
        environment["SPARK_LOCAL_IP"] = "127.0.0.1"
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

    def redirect(self, text: str) -> str:
        return re.sub(
            r"(?<![\w/])/tmp/|hdfs://zone\b|\b1500[23]\b", lambda place: self.redirected[place[0]], text
        )

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


def check_syntax(block: Block) -> str | None:
    if block.language == "python":
        compile(block.text, "block", "exec")
    elif block.language == "sh":
        checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        return checked.stderr or None
    else:
        return f"a block of {block.language} cannot be left out"
    return None


def run_java(page: Page, block: Block) -> str | None:
    whole = re.search(r"^public (?:final )?class (\w+)", block.text, re.MULTILINE)
    if whole:
        file = page.file(f"{whole[1]}.java", block.text)
        return page.run(f"java '@{ROOT}/conf/jvm-options' -cp '{CLASS_PATH}' '{file}'")
    imports = "".join(f"import {package}.*;\n" for package in PACKAGES)
    body = f"{imports}final class Body {{ void run({block.detail}) throws Exception {{\n{block.text}}} }}\n"
    file = page.file("Body.java", body)
    compiled = subprocess.run(
        ["javac", "-d", file.parent, "-cp", CLASS_PATH, "-proc:none", file], capture_output=True, text=True
    )
    return compiled.stderr if compiled.returncode else None


def run(page: Page, block: Block) -> str | None:
    if block.language == "sh":
        script = page.file("block.sh", block.text)
        return page.start(script, block.detail) if block.mark == "background" else page.run(f". '{script}'")
    if block.language == "python":
        python = python_of(tuple(block.detail.split())) if block.mark == "python" else "python"
        return page.run(f"'{python}' '{page.file('block.py', block.text)}'")
    if block.language == "sql":
        [home] = python_of(SPARK_PYTHON).parents[1].glob("lib/python*/site-packages/pyspark")
        spark_sql = f"SPARK_HOME='{home}' '{home}/bin/spark-sql'"
        settings = f"--master 'local[2]' --properties-file '{ROOT}/conf/spark-defaults.conf' --jars '{JAR}'"
        return page.run(f"{spark_sql} {settings} -f '{page.file('block.sql', block.text)}'")
    if block.language == "java":
        return run_java(page, block)
    return f"no way to run a block of language '{block.language}' is known: see docs/test/pages.py"


def evaluate(example: Example) -> str | None:
    namespace, block = example.namespace, example.parsed
    if block.mark == "not run":
        failure = check_syntax(block)
        if failure:
            return failure
        raise SkipTest(block.detail)
    if "page" not in namespace:
        text = example.document.text
        namespace["page"] = Page(Path(example.path), re.search(r"^(```)?python\b", text, re.MULTILINE) is not None)
    return run(namespace["page"], block)


def blocks(document: Document):
    starts = [0]
    for line in document.text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tokens = MarkdownIt("commonmark").parse(document.text)
    for before, token in zip([None, *tokens], tokens):
        if token.type == "code_block":
            raise ValueError(f"{document.path}, line {token.map[0] + 1}: fence the block, with its language")
        if token.type != "fence" or token.info == "text":
            continue
        block = Block(token.info, token.content)
        if before is not None and before.type == "html_block" and before.map[1] == token.map[0]:
            mark = MARK.fullmatch(before.content)
            if not mark or (mark[1] != "background" and not mark[2]):
                raise ValueError(f"{document.path}, line {before.map[0] + 1}: not a mark that docs/test/pages.py knows")
            block.mark, block.detail = mark[1], mark[2] or ""
        yield Region(starts[token.map[0]], starts[token.map[1]], block, evaluate)


def close(namespace: dict) -> None:
    if "page" in namespace:
        namespace["page"].close()


pytest_collect_file = Sybil(parsers=[blocks], pattern="*.md", path=str(ROOT), teardown=close).pytest()
