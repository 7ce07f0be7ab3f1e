# SPDX-License-Identifier: GPL-3.0-or-later
"""The photograph of a portrait: the .blend carries it, so that any backend on any computer can be given it again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import bpy

from .settings import settings_of

TAG, REFERENCES, POINTS = "mimaface_portrait", "mimaface_references", "mimaface_points"


def keep(content: bytes, path: Path, portrait: str) -> bpy.types.Image:
    """Pack the very file that was fitted into the .blend, once; ``portrait`` is its SHA-256 and the number of the face: an id of :func:`alone`."""
    found = next((image for image in bpy.data.images if image.get(TAG) == portrait), None)
    if found is not None:
        return found
    image = bpy.data.images.new(f"{path.name} (portrait)", 1, 1)
    image.source, image.filepath = "FILE", str(path)
    image.pack(data=content, data_len=len(content))
    image[TAG] = portrait
    image.use_fake_user = True
    return image


def face(portrait: str) -> int:
    """Which face of the picture the portrait is."""
    number = portrait.split("-")[1:2]
    return int(number[0]) if number and number[0].isdecimal() else 0


def alone(portrait: str) -> str:
    """The id of a portrait without its references and placed points."""
    return "-".join(portrait.split("-")[:2])


def references(portrait: str) -> list[str]:
    """Paths of the further photos of a portrait, as a rig remembers them."""
    return list(_remembered(REFERENCES, portrait) or [])


def points(portrait: str) -> dict[str, list[float]]:
    """The points of a portrait that were placed by hand, pixels, as a rig remembers them."""
    return dict(_remembered(POINTS, portrait) or {})


def given(portrait: str) -> dict[str, Any]:
    """The fields of ``portrait.fit`` that make a portrait of its photo."""
    return {"face": face(portrait), "references": references(portrait), "points": points(portrait)}


def remember(item: bpy.types.Object, portrait: str, paths: list[str], placed: dict[str, list[float]]) -> None:
    """Note on a rig which further photos and placed points the id ``portrait`` stands for; takes may have been made with earlier ones."""
    for key, value in ((REFERENCES, paths), (POINTS, placed)):
        item[key] = json.dumps({**json.loads(item.get(key, "{}")), portrait: value})


def _remembered(key: str, portrait: str) -> Any:
    known = (json.loads(item.get(key, "{}")) for item in bpy.data.objects)
    return next((found[portrait] for found in known if portrait in found), None)


def find(portrait: str) -> bytes | None:
    """The picture file of a portrait: packed, where it was, or beside the .blend; None when there is none."""
    for image in bpy.data.images:
        if image.packed_file is not None and _fits(image.packed_file.data, portrait):
            return bytes(image.packed_file.data)
    for path in places():
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if _fits(content, portrait):
            return content
    return None


def name(portrait: str) -> str:
    """How the artist knows the photograph."""
    for image in bpy.data.images:
        if image.get(TAG) == alone(portrait):
            return Path(image.filepath).name
    return next((path.name for path in places()), "the photo")


def places() -> list[Path]:
    """Files that may be the photograph: where scenes and images say, and under the same names beside the .blend and its libraries."""
    texts = [settings_of(scene).portrait for scene in bpy.data.scenes] + [image.filepath for image in bpy.data.images]
    found = [Path(bpy.path.abspath(text)) for text in dict.fromkeys(texts) if text]
    files = [bpy.data.filepath, *(bpy.path.abspath(library.filepath) for library in bpy.data.libraries)]
    names = [path.name.replace("\\", "/").rpartition("/")[2] for path in found]  # as another system wrote them, too
    found += [Path(file).parent / name for file in files if file for name in names]
    return list(dict.fromkeys(found))


def _fits(content: bytes, portrait: str) -> bool:
    return hashlib.sha256(content).hexdigest() == portrait.partition("-")[0]
