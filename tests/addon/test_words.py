"""What the add-on says, read from its source: every refusal names the next step, and one word stands for one thing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mimaface.protocol.errors import ERROR_OF_CODE

ADDON = Path(__file__).resolve().parents[2] / "blender_addon" / "mimaface_addon"
REFUSALS = ("Refused", "fail", "_fail")
NO_ERRORS = ("cancelled", "replaced")  # asked for, and nobody waits for it


def refusals() -> list[tuple[str, str]]:
    """Place and text of every sentence that the panels show in red; what is filled in is an ellipsis."""
    found = []
    for path in sorted(ADDON.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in REFUSALS and isinstance(node.args[0], (ast.JoinedStr, ast.Constant)):
                parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                text = "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)
                found.append((f"{path.relative_to(ADDON)}:{node.lineno}", text))
    return found


def test_every_red_sentence_of_the_add_on_names_the_next_step():
    found = refusals()
    assert len(found) > 20, "they are found at all"
    without = [(place, text) for place, text in found if not text.rpartition(": ")[2].strip() or ": " not in text]
    assert [item for item in without if "…" not in item[1].rpartition(", and ")[2]] == []


@pytest.mark.parametrize("code", sorted(ERROR_OF_CODE))
def test_every_error_of_the_backend_names_the_next_step(code):
    error = ERROR_OF_CODE[code]("something is wrong")
    if code in NO_ERRORS:
        assert str(error) == "something is wrong"
    else:
        assert str(error) == f"something is wrong – {error.hint}"
        assert len(error.hint.split()) >= 3, "a step, not a word"
    assert ERROR_OF_CODE[code]("something is wrong", "do this").hint == "do this"
