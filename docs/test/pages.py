"""A plugin of pytest that runs the blocks of Markdown pages; `make test-docs` calls it.

A page's blocks run in order, in one bash, in a copy of bin, conf and examples below build/docs. In their text ``/tmp/``,
``/mnt/``, ``/dev/shm/`` and ``hdfs://zone`` become folders of that copy, and ports 15002 and 15003 free ones. By the language
of its fence a block is

* ``sh``: run by the page's bash, under ``set -euo pipefail``;
* ``python``, ``sql``: run there by python and spark-sql;
* ``java``: run if it has a class, else compiled as the body of a method;
* ``text``: left alone.

Any other fails, as does one without a language. A comment on the line before the fence changes that:

* ``<!-- not run: WHY -->``: only the syntax is checked;
* ``<!-- background -->``, ``<!-- background: TEXT -->``: the block goes on beside the next ones, which wait until it has printed
  TEXT;
* ``<!-- needs: SERVICE -->``: one of docs/test/services runs from here to the page's end, and hosts and folders that it stands for
  become its own in the text;
* ``<!-- terminal: ANSWERS -->``: bash is on a terminal, where what asks for secrets is given these; ``@FILE`` is the first line of a
  file;
* ``<!-- python: NAME REQUIREMENTS -->``: the environment, as arguments of bin/python-env;
* ``<!-- java: PARAMETERS -->``: what the body's method is given.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from unittest import SkipTest

from environments import JAR, ROOT, SPARK_PYTHON, python_of, spark_home
from markdown_it import MarkdownIt
from page import Page
from sybil import Document, Example, Region, Sybil

CLASS_PATH = f"{JAR}:{JAR.parent}/spark/*"
MARK = re.compile(r"<!-- (not run|background|needs|terminal|python|java)(?:: (.+))? -->\s*")
PACKAGES = ("java.util", "java.util.function", "org.apache.spark.sql", "org.fhespark.jobs.client", "org.fhespark.nativelib")


@dataclass
class Block:
    """One fence, with the comment before it."""

    language: str
    text: str
    mark: str = ""
    detail: str = ""


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
    failure = page.need(block.detail) if block.mark == "needs" else None
    if failure:
        return failure
    if block.language == "sh":
        script = page.file("block.sh", block.text)
        if block.mark == "background":
            return page.start(script, block.detail)
        if block.mark == "terminal":
            return page.run_on_terminal(script, block.detail)
        return page.run(f". '{script}'")
    if block.language == "python":
        python = python_of(tuple(block.detail.split())) if block.mark == "python" else "python"
        return page.run(f"'{python}' '{page.file('block.py', block.text)}'")
    if block.language == "sql":
        home = spark_home()
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
