"""A followed film as bytes: where its person's face is in each frame, so that it need not be followed again."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mimaface.face.fit import FittedFace
from mimaface.geometry.camera import Camera

from .film import Film

ARRAYS = ("identity", "blendshapes", "rotation", "translation", "gaze", "landmarks", "error", "confidence")  # of a fit


def pack_film(film: Film) -> bytes:
    """All of a film but its frames, as npz."""
    fits = [film.fits[index] for index in sorted(film.fits)]
    arrays: dict[str, Any] = {name: np.stack([getattr(fit, name) for fit in fits]) for name in ARRAYS}
    cameras = np.array([[fit.camera.focal, *fit.camera.centre, fit.camera.width, fit.camera.height] for fit in fits])
    words = {"rate": str(film.rate), "tick": str(film.tick), "size": film.size, "sha256": film.sha256, "warnings": film.warnings}
    out = io.BytesIO()
    np.savez(out, frames=sorted(film.fits), times=film.times, cameras=cameras, words=json.dumps(words), **arrays)
    return out.getvalue()


def unpack_film(content: bytes, path: Path) -> Film:
    """The film at ``path`` of what :func:`pack_film` gave. Raises :class:`ValueError` or :class:`KeyError` for other bytes."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        found = {name: archive[name] for name in archive.files}
    words = json.loads(str(found["words"]))
    fits = {}
    for place, index in enumerate(found["frames"].tolist()):
        focal, u, v, width, height = found["cameras"][place].tolist()
        values: dict[str, Any] = {name: found[name][place] for name in ARRAYS}
        values |= {name: float(values[name]) for name in ("error", "confidence")}
        fits[index] = FittedFace(**values, camera=Camera(focal, (u, v), int(width), int(height)))
    height, width = words["size"]
    return Film(
        path, found["times"], Fraction(words["rate"]), Fraction(words["tick"]), (height, width), fits, words["sha256"], tuple(words["warnings"])
    )
