"""What runs the blocks of pages fails where it should."""

from pathlib import Path

import pytest
from page import Page
from pages import Block, blocks, check_syntax, run
from services import SERVICES
from services.service import Service
from sybil import Document


@pytest.fixture
def page():
    opened = Page(Path("test.md"), needs_python=False)
    yield opened
    opened.close()


def found(text: str) -> list[Block]:
    return [region.parsed for region in blocks(Document(text, "test.md"))]


def test_blocks_share_a_shell_and_folders_are_redirected(page):
    assert run(page, Block("sh", "X=5; cd conf; echo $X > /tmp/x\n")) is None
    assert run(page, Block("sh", "test $X = 5; test -f jvm-options\n")) is None
    assert (page.folder / "tmp" / "x").read_text() == "5\n"


def test_a_failing_command_fails_its_block_and_those_behind_it(page):
    assert "no such" in run(page, Block("sh", "echo no such; false | true\necho not reached\n"))
    assert "a block before has failed" in run(page, Block("sh", "true\n"))


def test_a_failing_program_fails_its_block(page):
    assert "ZeroDivisionError" in run(page, Block("python", "1 / 0\n"))


@pytest.mark.parametrize("language", ["", "ruby", "bash"])
def test_a_block_of_no_known_language_fails(page, language):
    assert "no way to run" in run(page, Block(language, "true\n"))


def test_a_fragment_that_does_not_compile_fails(page):
    assert "cannot find symbol" in run(page, Block("java", "int x = y;\n"))


def test_what_runs_beside_others_has_to_print_what_is_expected_and_to_go_on(page):
    assert run(page, Block("sh", "mkfifo /tmp/end; echo ready; read < /tmp/end\n", "background", "ready")) is None
    assert run(page, Block("sh", "echo > /tmp/end\nuntil test -e block1/end; do sleep 0.1; done\n")) is None
    assert "has ended" in run(page, Block("sh", "true\n"))


def test_what_runs_beside_others_and_ends_before_fails(page):
    assert "other" in run(page, Block("sh", "echo other\n", "background", "ready"))


def test_questions_on_a_terminal_are_answered(page):
    asking = "read -rsp 'Secret: ' first </dev/tty; read -rsp 'Again: ' second </dev/tty; test $first$second = ab"
    assert run(page, Block("sh", "echo b > /tmp/answer\n")) is None
    assert run(page, Block("sh", asking, "terminal", "a @/tmp/answer")) is None
    assert "failed" in run(page, Block("sh", asking, "terminal", "b a"))


def test_a_terminal_that_asks_too_little_fails(page):
    assert "terminal.py" in run(page, Block("sh", "true\n", "terminal", "a"))


def test_a_service_that_nobody_knows_fails(page):
    assert "no service 'a mainframe'" in run(page, Block("sh", "true\n", "needs", "a mainframe"))


def test_a_service_that_cannot_start_fails_its_block(page, monkeypatch):
    class Broken(Service):
        closed = False

        def start(self, page):
            raise FileNotFoundError("broken is not installed")

        def close(self):
            Broken.closed = True

    monkeypatch.setitem(SERVICES, "broken", Broken)
    assert "broken is not installed" in run(page, Block("sh", "true\n", "needs", "broken"))
    page.close()
    assert Broken.closed


def test_places_of_a_page_become_those_of_its_services(page):
    page.places |= {"spark://HOST:7077": "spark://127.0.0.1:1", "/opt/spark": "/here/spark", "15443": "2"}
    assert page.redirect("spark://HOST:7077 /opt/spark/bin sc://h:15443") == "spark://127.0.0.1:1 /here/spark/bin sc://h:2"
    assert page.redirect("/opt/fhe-spark /x/opt/spark 154430 spark://HOST:70770") == "/opt/fhe-spark /x/opt/spark 154430 spark://HOST:70770"


def test_marks_are_read_and_text_is_left_alone():
    text = "```text\nx\n```\n\n<!-- not run: needs nginx -->\n```sh\nnginx\n```\n\n<!-- background -->\n```sh\nserve\n```\n"
    assert found(text) == [Block("sh", "nginx\n", "not run", "needs nginx"), Block("sh", "serve\n", "background")]


@pytest.mark.parametrize("text", ["<!-- not run -->\n```sh\nx\n```\n", "<!-- later -->\n```sh\nx\n```\n", "a\n\n    x\n"])
def test_marks_without_a_reason_and_blocks_without_a_fence_are_refused(text):
    with pytest.raises(ValueError, match="test.md, line"):
        found(text)


def test_the_syntax_of_what_is_not_run_is_checked():
    assert check_syntax(Block("sh", "true\n")) is None
    assert "syntax error" in check_syntax(Block("sh", "if then\n"))
    with pytest.raises(SyntaxError):
        check_syntax(Block("python", "def\n"))
    assert check_syntax(Block("sql", "SELECT 1\n"))
