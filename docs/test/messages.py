"""Messages of errors that a user can meet, as the Java and Rust sources have them."""

import re
from pathlib import Path

REFUSALS = re.compile(r"new (InvalidInputException|ParameterException)\(")
NATIVE_REFUSALS = re.compile(r"Error::invalid\(")
NATIVE_TESTS = "\n#[cfg(test)]\nmod "
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
PLACEHOLDER = re.compile(r"\{[^{}]*\}")
CONTINUED = re.compile(r"\\\n\s*")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)+\'|[()\[\]{},]|[^"\'()\[\]{},]+', re.DOTALL)

# Fewer literal characters name no cause: the message is another's, with a path before it.
SHORTEST = 12


def arguments(source: str, start: int) -> list[str]:
    """Of the call whose opening bracket is just before ``start``."""
    found, depth = [""], 1
    for token in TOKEN.finditer(source, start):
        text = token[0]
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        if depth == 0:
            break
        if text == "," and depth == 1:
            found.append("")
        else:
            found[-1] += text
    return found


def message(expression: str) -> str:
    """The literals of a concatenation, with … for all that is between."""
    parts = LITERAL.split(expression)
    text = parts[0].strip(" \n+") and "…"
    for literal, between in zip(parts[1::2], parts[2::2]):
        text += literal.replace('\\"', '"') + ("…" if between.strip(" \n+") else "")
    return text


def native_messages(expression: str) -> list[str]:
    """The formats in an expression, with … for what is filled in."""
    return [PLACEHOLDER.sub("…", CONTINUED.sub("", literal)) for literal in LITERAL.findall(expression)]


def messages(root: Path) -> dict[str, str]:
    """Each message, and the place of one that says it."""
    found = {}

    def add(text: str, file: Path, source: str, start: int) -> None:
        if len(text.replace("…", "")) >= SHORTEST:
            found.setdefault(text, f"{file.relative_to(root)}:{source.count(chr(10), 0, start) + 1}")

    for file in sorted(root.glob("*/src/main/java/**/*.java")):
        source = file.read_text()
        for refusal in REFUSALS.finditer(source):
            expression = arguments(source, refusal.end())[refusal[1] == "ParameterException"]
            add(message(expression), file, source, refusal.start())
    for file in sorted(root.glob("native/crates/*/src/**/*.rs")):
        source = file.read_text().split(NATIVE_TESTS)[0]
        for refusal in NATIVE_REFUSALS.finditer(source):
            for text in native_messages(" ".join(arguments(source, refusal.end()))):
                add(text, file, source, refusal.start())
    return found


def explains(pattern: str, text: str) -> bool:
    """Whether a pattern of the page, in which … stands for anything, is part of a message."""
    return re.search(".*".join(map(re.escape, pattern.split("…"))), text) is not None
