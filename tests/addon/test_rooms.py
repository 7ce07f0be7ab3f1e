"""The add-on's rooms: what may import what. ``core/`` runs without Blender; the import contract holds for installed packages only."""

import ast
from collections.abc import Iterator
from pathlib import Path

ADDON = Path(__file__).resolve().parents[2] / "blender_addon" / "mimaface_addon"
BLENDER = {"bpy", "bpy_extras", "bmesh", "mathutils", "gpu", "gpu_extras", "blf", "addon_utils"}
# room → what of the add-on it may import, besides itself
ROOMS = {
    "core": {"protocol"},
    "scene": {"core", "protocol"},
    "ui": {"core", "scene", "protocol", "session", "sending", "interpreter"},
}


def imports(path: Path, root: Path) -> Iterator[str]:
    """First names of what a module imports, anywhere in it; of its own package those below ``root``, such as "scene"."""
    package = path.relative_to(root).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            parts = [*base, *(node.module.split(".") if node.module else [])]
            yield from ((*parts, alias.name)[0] for alias in node.names)


def forbidden(root: Path) -> list[str]:
    """Every import that leads from a room to one above it, or from ``core/`` to Blender."""
    own = {path.stem for path in root.iterdir()}
    return [
        f"{path.relative_to(root).as_posix()} imports {name}"
        for room, allowed in ROOMS.items()
        for path in sorted((root / room).rglob("*.py"))
        for name in imports(path, root)
        if (name in own and name not in {room, *allowed}) or (room == "core" and name in BLENDER)
    ]


def test_rooms_know_only_those_below():
    assert forbidden(ADDON) == []


def test_what_is_forbidden_is_found(tmp_path):
    files = {"session.py": "", "core/a.py": "def f():\n    import bpy\n", "core/b.py": "from ..scene import rig\n", "scene/rig.py": "import bpy\n",
             "scene/c.py": "from ..session import session\n", "ui/operators/d.py": "from ... import session\nfrom .base import x\n"}  # fmt: skip
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert forbidden(tmp_path) == ["core/a.py imports bpy", "core/b.py imports scene", "scene/c.py imports session"]
