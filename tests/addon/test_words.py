"""The sentences of the add-on, read from its source: every refusal names the next step, and every sentence can be translated."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from mimaface.protocol.errors import ERROR_OF_CODE

ADDON = Path(__file__).resolve().parents[2] / "blender_addon" / "mimaface_addon"
REFUSALS = ("Refused", "fail", "_fail")
MARKS = ("rpt_", "iface_", "tip_", "n_")  # translate or mark their constant; Blender's own tools find sentences by these names
BLENDERS = ("text", "name", "description")  # arguments and, with bl_label, attributes that Blender translates by itself
UNREAD = ("exception", "new", "_mesh_object", "_widget", "create", "AssertionError", "FileExistsError")  # logs and data names
DATA = {  # names of data and products, and the report for the add-on's authors
    "Live Link Face", "VTube Studio",
    "MIMAFace bake", "MIMAFace handle", "In the head", "Cheeks and Nose", "Mocap Head", "Mocap Gaze", "Mocap …", "… …", "Blender … on …",
    "Backend …: …", "Problem: …", "Last error: …",
}
NO_ERRORS = ("cancelled", "replaced")  # asked for, and nobody waits for it


def sources() -> list[tuple[str, ast.Module]]:
    """Place and tree of every module of the add-on; the protocol's sentences are the backend's, and English."""
    paths = [path for path in sorted(ADDON.rglob("*.py")) if "protocol" not in path.relative_to(ADDON).parts]
    return [(path.relative_to(ADDON).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


def called(node: ast.AST | None) -> str:
    """Last name of the called function, "" for what is no call."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def text_of(node: ast.AST) -> str:
    """The text of a constant, an f-string or a marked sentence; what is filled in is an ellipsis."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
    if called(node) in MARKS:
        return re.sub(r"{[^}]*}", "…", text_of(node.args[0]))
    if called(node) == "format":
        return text_of(node.func.value)
    return ""


def refusals() -> list[tuple[str, str]]:
    """Place and text of every sentence that the panels show in red."""
    found = []
    for place, tree in sources():
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            named: dict[str, str] = {}
            for node in sorted((node for node in ast.walk(function) if isinstance(node, (ast.Assign, ast.Call))), key=lambda node: node.lineno):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    named[node.targets[0].id] = text_of(node.value)
                elif called(node) in REFUSALS and node.args:
                    given = node.args[0].func.value if called(node.args[0]) == "format" else node.args[0]
                    text = named.get(given.id, "") if isinstance(given, ast.Name) else text_of(given)
                    found += [(f"{place}:{node.lineno}", text)] if text else []
    return found


def untranslated(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every sentence that is written where nothing translates it: two words, or one in an f-string."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        text, parent = text_of(node) if isinstance(node, (ast.Constant, ast.JoinedStr)) else "", parents.get(node)
        words = len(re.findall(r"[^\W\d_]{3,}", text))
        if " " not in text.strip(" …") or words < (1 if isinstance(node, ast.JoinedStr) else 2) or isinstance(parent, (ast.JoinedStr, ast.Expr)):
            continue
        if text in DATA or called(parent) in UNREAD:
            continue
        if isinstance(node, ast.Constant):
            attribute = parent.targets[0] if isinstance(parent, ast.Assign) else None
            item = isinstance(parent, ast.Tuple) and len(parent.elts) > 2 and " " not in text_of(parent.elts[0])  # of an enum
            if called(parent) in MARKS or item or (isinstance(parent, ast.keyword) and parent.arg in BLENDERS):
                continue
            if isinstance(attribute, ast.Name) and attribute.id == "bl_label":
                continue
        yield node.lineno, text


def test_every_sentence_of_the_add_on_can_be_translated():
    assert [(place, *item) for place, tree in sources() for item in untranslated(tree)] == []


@pytest.mark.parametrize("line", [
    'raise Refused(f"{item.name} has no mesh head: add the portrait again")', 'runtime.notice = f"{count} keyed anew"',
    'raise Refused("there is no take: generate one first")', 'rpt_(f"frame {index} was damaged")', 'STATES = {"lost": "Not running"}',
    'layout.label(text=f"Generate {count} Frames")', 'return "nothing has come yet"',
])  # fmt: skip
def test_a_sentence_that_nothing_translates_is_found(line):
    assert len(list(untranslated(ast.parse(line)))) == 1


def test_places_of_a_sentence_are_named_so_that_their_order_is_the_translators():
    marked = [node for _, tree in sources() for node in ast.walk(tree) if called(node) in MARKS and isinstance(node.args[0], ast.Constant)]
    assert len(marked) > 120, "they are found at all"
    names = [name for node in marked for _, name, _, _ in string.Formatter().parse(node.args[0].value) if name is not None]
    assert names and all(name.isidentifier() for name in names)


def test_every_red_sentence_of_the_add_on_names_the_next_step():
    found = refusals()
    assert len(found) > 35, "they are found at all"
    without = [(place, text) for place, text in found if not text.rpartition(": ")[2].strip() or ": " not in text]
    assert [item for item in without if "…" not in item[1].rpartition(", and ")[2]] == []


def test_labels_and_tooltips_are_in_blenders_style():
    """Its style guide: labels in title case, tooltips without a full stop."""
    small, tips, labels = ("to", "of", "from", "at", "in", "and", "for"), [], []
    for place, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and "_OT_" in node.name:
                tips.append((place, ast.get_docstring(node) or "."))
            elif isinstance(node, ast.keyword) and node.arg == "description":
                tips.append((place, text_of(node.value)))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "bl_label":
                labels.append((place, text_of(node.value)))
            elif called(node).endswith("Property"):
                labels += [(place, text_of(keyword.value)) for keyword in node.keywords if keyword.arg == "name"]
    assert len(tips) > 60 and len(labels) > 60, "they are found at all"
    assert [item for item in tips if item[1].endswith(".") or len(item[1]) > 160] == []
    assert [item for item in labels if any(word[0].islower() and word not in small for word in item[1].split())] == []


def filled() -> Iterator[tuple[str, set[str], set[str]]]:
    """Place, names in the sentence, and names that are filled in, of every sentence that is filled where it can be read which one it is."""
    for place, tree in sources():
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            named: dict[str, ast.AST] = {}
            for node in sorted((node for node in ast.walk(function) if isinstance(node, (ast.Assign, ast.Call))), key=lambda node: node.lineno):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    named[node.targets[0].id] = node.value
                elif called(node) == "format":
                    sentence = node.func.value
                    sentence = named.get(sentence.id, sentence) if isinstance(sentence, ast.Name) else sentence
                    text = sentence.args[0].value if called(sentence) in MARKS and isinstance(sentence.args[0], ast.Constant) else ""
                    names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
                    if text:
                        yield f"{place}:{node.lineno}", names, {keyword.arg for keyword in node.keywords}


def test_every_place_of_a_sentence_is_filled():
    found = list(filled())
    assert len(found) > 60, "they are found at all"
    assert [item for item in found if item[1] != item[2]] == []


def test_sentences_of_drivers_name_an_option_as_the_panel_does_too():
    shown = {"--timecode-rate": "Timecode Rate", "--angles": "Angles", "--values": "Values", "--language": "Language"}
    backend = ADDON.parents[1] / "backend" / "mimaface"
    texts = [
        (path.name, text_of(node), option)
        for path in sorted((backend / "drivers").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for option in shown
        if option in text_of(node)
    ]
    assert {option for _, _, option in texts} == set(shown), "they are found at all"
    assert [item for item in texts if f"(Blender: {shown[item[2]]})" not in item[1]] == []


@pytest.mark.parametrize("code", sorted(ERROR_OF_CODE))
def test_every_error_of_the_backend_names_the_next_step(code):
    error = ERROR_OF_CODE[code]("something is wrong")
    if code in NO_ERRORS:
        assert str(error) == "something is wrong"
    else:
        assert str(error) == f"something is wrong – {error.hint}"
        assert len(error.hint.split()) >= 3, "a step, not a word"
    assert ERROR_OF_CODE[code]("something is wrong", "do this").hint == "do this"
