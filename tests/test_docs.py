"""What the documents name exists: tests, files and their headings, and commands with their options."""

import re
import shlex
from pathlib import Path

import pytest

from mimaface.cli import parser

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CASES = (ROOT / "docs" / "CASES.md").read_text(encoding="utf-8")


def test_every_test_that_a_case_names_exists():
    files = list((ROOT / "tests").rglob("test_*.py"))
    names = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)}
    named = set(re.findall(r"(test_\w+|…\w+)(?![\w.])(…?)", " ".join(re.findall(r"`([^`]*)`", CASES))))
    assert len(named) > 150, "they are found at all"
    shortened = {(name, more) for name, more in named if more or name.startswith("…")}
    assert {name for name, _ in named - shortened} - names == set()
    assert {name for name, _ in shortened if not any(name.lstrip("…") in other for other in names)} == set()
    here = {path.relative_to(ROOT / "tests").as_posix() for path in files}
    paths = {path.removeprefix("tests/") for path in re.findall(r"[\w/]+\.py", CASES) if "test_" in path}
    assert {path for path in paths if not any(other.endswith(path) for other in here)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_headings_that_a_document_names_exist(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = link.partition("#")
        if "://" in link:
            continue
        target = document.parent / path if path else document
        assert target.exists(), link
        lines = [line.lstrip("# ") for line in target.read_text("utf-8").splitlines() if line.startswith("#")] if heading else []
        assert not heading or heading in {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}, link
    for path in re.findall(r"(?<![\w/.])((?:tests|docs|backend|blender_addon|export)/[\w/]+\.\w+)", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_a_document_have_these_options(document, capsys):
    text = document.read_text(encoding="utf-8").replace("\\\n", " ")  # joins continued lines
    lines = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.S) for line in block.splitlines()]
    lines += re.findall(r"^    (.*)$", text, re.M)
    commands = [line.strip() for line in lines if line.strip().startswith("mimaface ")]
    assert commands or document.name != "README.md"
    for command in commands:
        words = [word for word in shlex.split(re.sub(r"[][]", "", command.partition(" #")[0])) if not word.startswith("$")]
        if "|" in words:  # several commands in one line
            continue
        try:
            parser().parse_args(words[1:])
        except SystemExit:
            pytest.fail(f"{command}: {capsys.readouterr().err.splitlines()[-1]}")
