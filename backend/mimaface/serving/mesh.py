"""The fitted head and the decoded photograph of a portrait, as they are sent to Blender."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from mimaface.face.head import Head
from mimaface.face.portrait import Portrait
from mimaface.pictures import encode_png
from mimaface.protocol.arrays import Array

REFERENCE_SIZE = 2048  # pixels, longest side of a reference picture: sharp on a head that fills a screen. Higher: larger files


def reference_picture(image: Array) -> bytes:
    """Returns the photograph (H, W, 3), upright, sRGB, 8 bits, as PNG for programs that cannot read its file."""
    picture = Image.fromarray(image)
    picture.thumbnail((REFERENCE_SIZE, REFERENCE_SIZE), Image.Resampling.LANCZOS)
    return encode_png(np.asarray(picture))


def head_mesh(portrait: Portrait) -> bytes:
    """Returns the fitted head for Blender, as npz.

    vertices (V, 3) neutral, head frame, metres; triangles (N, 3) without hair and lashes; part (N,); uv (V, 2) in the
    photograph, 0–1, v up; actions (52, V, 3), how each blendshape moves them; source_actions (52,), the portrait's own weights;
    eye_centres (2, 3); landmarks (478, 2) in the photograph, as uv; eye_vertices (V,) 0 none, 1 left, 2 right; rotation (3, 3) and
    translation (3,) of the fit; picture: bytes of :func:`reference_picture`.
    """
    head, fit = Head.load(), portrait.fit
    posed = head.posed(fit.identity, fit.blendshapes, fit.gaze) @ fit.rotation.T + fit.translation
    place = fit.camera.project(posed)
    height, width = portrait.image.shape[:2]
    eyes = np.zeros(len(head.vertices), np.uint8)
    for label, name in ((1, "eye_left"), (2, "eye_right")):
        eyes[head.vertices_of(name)] = label
    arrays: dict[str, Any] = {
        "vertices": head.shape(fit.identity, np.zeros(head.expression_size)), "triangles": head.drawn_triangles(),
        "part": head.triangle_part[head.drawn()], "part_names": np.array(head.parts), "eye_vertices": eyes,
        "uv": np.stack([place[:, 0] / width, 1 - place[:, 1] / height], axis=1).astype(np.float32),
        "actions": head.blendshapes.astype(np.float16), "source_actions": fit.blendshapes, "source_gaze": fit.gaze,
        "landmarks": (fit.landmarks[:, :2] / [width, height] * [1, -1] + [0, 1]).astype(np.float32),
        "eye_centres": head.eye_centres_for(fit.identity), "rotation": fit.rotation, "translation": fit.translation,
        "picture": np.frombuffer(reference_picture(portrait.image), np.uint8),
    }  # fmt: skip
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()
