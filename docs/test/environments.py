"""Where the pages' programs come from: the checkout and its Python environments."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
JAR = ROOT / "spark-jobs" / "target" / "fhe-spark.jar"
PYTHON = ("fcsmall", "examples/fcsmall/requirements.txt")
SPARK_PYTHON = ("spark", "spark-jobs/src/test/python/requirements.txt")


def printed(*command: str | Path) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def python_of(environment: tuple[str, str]) -> Path:
    """Its python; made unless it is there."""
    name, requirements = environment
    return Path(printed(ROOT / "bin/python-env", name, ROOT / requirements))


def spark_home() -> Path:
    """PyPI's distribution of Spark."""
    [home] = python_of(SPARK_PYTHON).parents[1].glob("lib/python*/site-packages/pyspark")
    return home
