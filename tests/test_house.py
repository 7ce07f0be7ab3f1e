"""The size of files and functions. What has to be larger says why, on the line of its ``def``: ``def name(  # house: the reason``."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES_OF_A_FILE, LINES_OF_A_FUNCTION, PARAMETERS = 350, 60, 8
REASON = re.compile(r"# house: \w+")


def too_large(text: str) -> Iterator[str]:
    """What of a module is too large without a reason beside it, such as "name: 61 lines"; the module itself has no name."""
    lines = text.splitlines()
    if len(lines) > LINES_OF_A_FILE:
        yield f": {len(lines)} lines"
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or REASON.search(lines[node.lineno - 1]):
            continue
        given = node.args
        taken = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
        count = sum(1 for argument in taken if argument.arg not in ("self", "cls"))
        length = node.end_lineno - node.lineno + 1
        if length > LINES_OF_A_FUNCTION:
            yield f" {node.name}: {length} lines"
        if count > PARAMETERS:
            yield f" {node.name}: {count} parameters"


def test_no_file_and_no_function_is_too_large():
    paths = [path for folder in ("backend", "blender_addon", "export") for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 100
    found = {
        f"{path.relative_to(ROOT).as_posix().removeprefix('backend/')}{what}"
        for path in [*paths, ROOT / "run.py"]
        for what in too_large(path.read_text(encoding="utf-8"))
    }
    assert sorted(found) == []


def test_what_counts():
    body = "    pass\n" * 60
    nine = "self, a, b, /, c, d, *, e, f, g, h"
    assert list(too_large(f"def f({nine}):\n    pass\n")) == []
    assert list(too_large(f"def f({nine}, **rest):\n    pass\n")) == [" f: 9 parameters"]
    assert list(too_large(f"class A:\n    async def f(self):\n{body.replace('    ', '        ')}")) == [" f: 61 lines"]
    assert list(too_large(f"def f(  # house: one table\n):\n{body}")) == []
    assert list(too_large(f"def f(  # house:\n):\n{body}")) == [" f: 62 lines"], "a reason has words"
    assert list(too_large("\n" * 351)) == [": 351 lines"]
