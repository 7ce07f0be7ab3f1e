# SPDX-License-Identifier: GPL-3.0-or-later
"""The photograph of a portrait, packed into the .blend, so that it can be sent to any backend again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import bpy

from ..core.words import rpt_
from ..protocol.driver_files import VIDEOS, ends
from .settings import settings_of

TAG, REFERENCES, POINTS = "mimaface_portrait", "mimaface_references", "mimaface_points"


def keep(content: bytes, path: Path, portrait: str) -> bpy.types.Image:
    """Pack the fitted picture file into the .blend, once; ``portrait``: an id of :func:`alone`, SHA-256 and number of the face."""
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
    """Returns the number of the portrait's face in its picture; 0 is the largest."""
    number = portrait.split("-")[1:2]
    return int(number[0]) if number and number[0].isdecimal() else 0


def alone(portrait: str) -> str:
    """Returns a portrait's id without its references and placed points."""
    return "-".join(portrait.split("-")[:2])


def references(portrait: str) -> list[str]:
    """Returns the paths of a portrait's reference photos, which are stored on a rig."""
    return list(_remembered(REFERENCES, portrait) or [])


def points(portrait: str) -> dict[str, list[float]]:
    """Returns the placed points of a portrait, name → pixels, which are stored on a rig."""
    return dict(_remembered(POINTS, portrait) or {})


def given(portrait: str) -> dict[str, Any]:
    """Returns the fields of ``portrait.fit`` with which the portrait was fitted."""
    return {"face": face(portrait), "references": references(portrait), "points": points(portrait)}


def remember(item: bpy.types.Object, portrait: str, paths: list[str], placed: dict[str, list[float]]) -> None:
    """Store the reference photos and placed points of ``portrait`` on a rig, beside those of earlier ids, which takes may need."""
    for key, value in ((REFERENCES, paths), (POINTS, placed)):
        item[key] = json.dumps({**json.loads(item.get(key, "{}")), portrait: value})


def _remembered(key: str, portrait: str) -> Any:
    known = (json.loads(item.get(key, "{}")) for item in bpy.data.objects)
    return next((found[portrait] for found in known if portrait in found), None)


def find(portrait: str) -> bytes | None:
    """Returns the content of a portrait's picture file: packed, at its path, or beside the .blend; None if it is not found."""
    for image in bpy.data.images:
        if image.packed_file is not None and _fits(image.packed_file.data, portrait):
            return bytes(image.packed_file.data)
    for path in places():
        if ends(path.name, VIDEOS):  # of a rig that acts a film anew: its photograph is packed
            continue
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if _fits(content, portrait):
            return content
    return None


def name(portrait: str) -> str:
    """Returns the file name of the photograph, for messages."""
    for image in bpy.data.images:
        if image.get(TAG) == alone(portrait):
            return Path(image.filepath).name
    return next((path.name for path in places()), rpt_("the photo"))


def places() -> list[Path]:
    """Yields paths that may be the photograph: those of scenes and images, and the same names beside the .blend and its libraries."""
    texts = [settings_of(scene).portrait for scene in bpy.data.scenes] + [image.filepath for image in bpy.data.images]
    found = [Path(bpy.path.abspath(text)) for text in dict.fromkeys(texts) if text]
    files = [bpy.data.filepath, *(bpy.path.abspath(library.filepath) for library in bpy.data.libraries)]
    names = [path.name.replace("\\", "/").rpartition("/")[2] for path in found]  # also of paths from Windows
    found += [Path(file).parent / name for file in files if file for name in names]
    return list(dict.fromkeys(found))


def _fits(content: bytes, portrait: str) -> bool:
    return hashlib.sha256(content).hexdigest() == portrait.partition("-")[0]
