"""Checks that every Spark setting that configuration files name is known, and every class of a sink.

settings.py JARS SOURCES FILE...

Known are the settings that are constants of Spark's classes, in the folder JARS, or of the Java sources below SOURCES,
and those below a prefix that Spark leaves open. Exit 1 names file, line and setting.
"""

import pathlib
import re
import sys
import zipfile

# A setting, not a call of a method of a variable called spark.
SETTING = re.compile(r"\bspark(?:\.[A-Za-z][A-Za-z0-9_]*)+\b(?![\w.]*\()")
SINK_CLASS = re.compile(r"^#?[a-z*]+\.(?:sink|source)\.\w+\.class=(\S+)")
CLASS_OF_OURS = re.compile(r"\borg\.fhespark(?:\.\w+)+\.[A-Z]\w*")
OPEN_PREFIXES = ("spark.hadoop.", "spark.sql.catalog.", "spark.metrics.conf.", "spark.executorEnv.")


def spark_jars(folder: pathlib.Path) -> list[zipfile.ZipFile]:
    jars = [zipfile.ZipFile(jar) for jar in sorted(folder.glob("spark-*.jar"))]
    if not jars:
        sys.exit(f"settings.py: {folder} holds no jar of Spark")
    return jars


def unknown_constants(settings: set[str], jars: list[zipfile.ZipFile]) -> set[str]:
    """Those that are in no constant pool: tag 1, the length in two bytes, the text."""
    entries = {setting: b"\x01" + len(setting).to_bytes(2, "big") + setting.encode() for setting in settings}
    for jar in jars:
        for name in jar.namelist():
            if name.endswith(".class") and entries:
                data = jar.read(name)
                if b"spark." in data:
                    entries = {setting: entry for setting, entry in entries.items() if entry not in data}
    return set(entries)


def main(jars_folder: str, sources: str, *files: str) -> int:
    jars = spark_jars(pathlib.Path(jars_folder))
    java = {path: path.read_text() for path in pathlib.Path(sources).glob("*/src/main/java/**/*.java")}
    classes = {name for jar in jars for name in jar.namelist() if name.endswith(".class")}
    settings: dict[str, list[str]] = {}
    faults = []
    for file in files:
        for number, line in enumerate(pathlib.Path(file).read_text().splitlines(), 1):
            place = f"{file}:{number}"
            named = SINK_CLASS.match(line)
            if named and named[1].replace(".", "/") + ".class" not in classes:
                faults.append(f"{place}: class {named[1]} is not in Spark")
            for ours in CLASS_OF_OURS.findall(line):
                path = f"src/main/java/{ours.replace('.', '/')}.java"
                if not any(str(source).endswith(path) for source in java):
                    faults.append(f"{place}: there is no class {ours}")
            for setting in SETTING.findall(CLASS_OF_OURS.sub("", re.sub(r"org\.apache\.spark[\w.]*", "", line))):
                if not setting.startswith(OPEN_PREFIXES) and not re.search(r"\.(jar|conf|properties)$", setting):
                    settings.setdefault(setting, []).append(place)
    unknown = unknown_constants(set(settings), jars)
    ours = "\n".join(java.values())
    for setting in sorted(unknown):
        if f'"{setting}"' not in ours:
            faults.extend(f"{place}: neither Spark nor fhe-spark knows {setting}" for place in settings[setting])
    for fault in faults:
        print(fault, file=sys.stderr)
    if not settings:
        faults.append("no settings")
        print("settings.py: no setting found in " + " ".join(files), file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
