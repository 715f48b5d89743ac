"""Prints what the jar holds of others, with licences and their texts: crates by Cargo, jars by Maven.

Crates are those that the native library links, with no network (`cargo metadata --offline`); their texts are the
files of their sources. Jars are those that the shaded jar was made of: a list of names and licences that Maven's
license plugin wrote, and a folder of the jars, whose texts are inside. A crate with neither a licence's name nor a text
is an error: then somebody must look.
"""

import argparse
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

TEXT_NAME = re.compile(r"(un)?licen[cs]e|copying|copyright|notice|thirdpartynotices", re.IGNORECASE)


def linked_crates(manifest, package, target):
    """Metadata of the crates that `package` links for `target`, without this workspace's own, by name and version."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline"]
    command += ["--manifest-path", str(manifest), "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {crate["id"]: crate for crate in metadata["packages"]}
    own = set(metadata["workspace_members"])
    todo = [identity for identity in own if packages[identity]["name"] == package]
    seen = set(todo)
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            is_linked = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if is_linked and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    return sorted((packages[identity] for identity in seen - own), key=lambda crate: (crate["name"], crate["version"]))


def crate_texts(crate):
    """The licence texts beside a crate's manifest."""
    folder = Path(crate["manifest_path"]).parent
    named = folder / crate["license_file"] if crate["license_file"] else None
    files = {file for file in folder.iterdir() if TEXT_NAME.match(file.name)}
    if named and named.is_file():
        files.add(named)
    texts = []
    for file in sorted(files):
        # Some have a folder of them.
        parts = sorted(file.iterdir()) if file.is_dir() else [file]
        texts += [part.read_text(errors="replace") for part in parts if part.is_file()]
    return texts


def jar_texts(jar):
    """The licence texts in a jar's top folder and in META-INF."""
    texts = []
    with zipfile.ZipFile(jar) as archive:
        for name in sorted(archive.namelist()):
            place, _, file = name.rpartition("/")
            if place in ("", "META-INF") and file and TEXT_NAME.match(file) and not file.endswith(".class"):
                texts.append(archive.read(name).decode(errors="replace"))
    return texts


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cargo", type=Path, required=True, help="Cargo.toml of the workspace")
    parser.add_argument("--package", required=True, help="the crate of the native library")
    parser.add_argument("--target", required=True, help="the triple it is built for")
    parser.add_argument("--maven", type=Path, required=True, help="list that license-maven-plugin wrote")
    parser.add_argument("--jars", type=Path, required=True, help="folder of the jars that were shaded")
    options = parser.parse_args()

    users = {}
    crates = []
    for crate in linked_crates(options.cargo, options.package, options.target):
        name = f"{crate['name']} {crate['version']}"
        texts = crate_texts(crate)
        if not crate["license"] and not texts:
            sys.exit(f"third_party.py: {name} names no licence and has no text")
        crates.append(f"    {name}: {crate['license'] or 'see its text'}")
        for text in texts:
            users.setdefault(text.strip(), []).append(name)
    for jar in sorted(options.jars.glob("*.jar")):
        for text in jar_texts(jar):
            users.setdefault(text.strip(), []).append(jar.name)
    jars = [f"    {line.strip()}" for line in options.maven.read_text().splitlines() if line.strip().startswith("(")]
    if not jars or not crates:
        sys.exit(f"third_party.py: {len(jars)} jars in {options.maven}, {len(crates)} crates: there should be some")

    print("Software of others in lib/fhe-spark.jar. Where one may choose between licences (OR, /), the one that is")
    print("compatible with Apache-2.0 is taken.\n\nLinked into the native library, from crates.io:\n")
    print("\n".join(crates))
    print("\nJava libraries, from Maven Central:\n")
    print("\n".join(sorted(jars)))
    for text, names in users.items():
        print("\n" + "=" * 80)
        print(", ".join(dict.fromkeys(names)))
        print("=" * 80 + "\n")
        print(text)


if __name__ == "__main__":
    main()
