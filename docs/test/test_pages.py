"""Links between pages lead somewhere, and each message of an error is explained."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from messages import explains, messages

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*/README.md")})
TROUBLES = ROOT / "docs" / "troubleshooting.md"
# Where messages are that messages() does not read, of native code and scripts.
OTHER_SOURCES = ("native/crates/*/src/**/*.rs", "bin/fhe-spark", "spark-jobs/src/main/java/**/FheSpark.java")


def inline_tokens(page: Path):
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        yield from token.children or ()


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    tokens = MarkdownIt("commonmark").parse(page.read_text())
    headings = (text.content for heading, text in zip(tokens, tokens[1:]) if heading.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(page):
    targets = [token.attrs.get("href") or token.attrs["src"] for token in inline_tokens(page) if token.type in ("link_open", "image")]
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT) and file.exists(), f"{page}: {target} leads to no file"
        assert not anchor or anchor in anchors(file), f"{page}: {target} leads to no heading"


def patterns() -> list[str]:
    rows = (line for line in TROUBLES.read_text().splitlines() if line.startswith("| `"))
    return [pattern for row in rows for pattern in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def test_each_message_of_an_error_is_explained():
    known = patterns()
    missing = [f"{place}: {text}" for text, place in messages(ROOT).items() if not any(explains(p, text) for p in known)]
    assert not missing, "docs/troubleshooting.md does not have\n" + "\n".join(missing)


def test_each_explained_message_is_one_of_the_sources():
    of_java = messages(ROOT)
    others = "".join(file.read_text() for glob in OTHER_SOURCES for file in ROOT.glob(glob))
    unknown = [
        pattern
        for pattern in patterns()
        if not any(explains(pattern, text) for text in of_java) and not all(part in others for part in pattern.split("…"))
    ]
    assert not unknown, f"docs/troubleshooting.md explains what nothing says: {unknown}"
