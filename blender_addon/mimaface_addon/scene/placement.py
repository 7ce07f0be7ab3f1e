# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a portrait stands: the photograph as a plane at working size, and each handle in front of its landmark.

All is in the rig's own metres, head frame (x subject's left, y up, z out of the face), whose origin is where the camera sees the head's:
so bones keep the travel that drivers know, and the scale of the rig makes the photograph as high as it is to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import gazing
from .handles import HANDLES

HEIGHT = 2.0  # metres, height of the photograph in the scene: about a person's. Higher: Blender's default view cuts it off
# MediaPipe's landmarks (of 478) under each handle; between two where there are two. Those of the lips are just off them, so that handles stand
# apart and show the lips
LANDMARKS = {
    "jaw": (152,), "lip.upper": (164,), "lip.lower": (18,), "mouth": (13, 14), "mouth.L": (291,), "mouth.R": (61,),
    "cheek.L": (425,), "cheek.R": (205,), "lid.L": (386,), "lid.R": (159,), "brow": (9,), "brow.L": (334,), "brow.R": (105,),
}  # fmt: skip

NEAR = 12  # vertices around a landmark of which the foremost is used. Higher: one farther from the landmark


@dataclass(frozen=True, eq=False)
class Placement:
    """scale: metres of the scene for one of the head. photo: width and height of the photograph, centre: its middle (x, y), both in
    metres of the head. bones: name → place (3,) of every handle and of the bones for the gaze; moves: handle → (52, 3), how far
    each whole blendshape moves the face under it, all in metres of the head."""

    scale: float
    photo: tuple[float, float]
    centre: tuple[float, float]
    bones: dict[str, np.ndarray]
    moves: dict[str, np.ndarray]


def place(mesh: dict[str, np.ndarray], width: int, height: int) -> Placement:
    """Returns the placement from the arrays of ``portrait.fit`` and the photograph's size in pixels."""
    size, rotation = np.array([width, height]), mesh["rotation"]
    eyes = mesh["eye_centres"] @ rotation.T  # metres, in the camera's orientation
    seen = np.array([mesh["uv"][mesh["eye_vertices"] == label].mean(axis=0) * size for label in (1, 2)])  # pixels, up
    metres = float(np.linalg.norm((eyes[0] - eyes[1])[:2]) / np.linalg.norm(seen[0] - seen[1]))  # of one pixel
    origin = seen.mean(axis=0) - eyes.mean(axis=0)[:2] / metres
    ahead = np.array([0, 0, gazing.DISTANCE])
    bones = {gazing.GAZE: eyes.mean(axis=0) + ahead}
    for side, eye, camera in zip(gazing.SIDES.values(), eyes, gazing.camera_places(mesh)):
        bones |= {gazing.EYE + side: eye + ahead, gazing.SEEN + side: eye + ahead, gazing.CAMERA + side: camera}
    for name, generic in HANDLES.items():
        flat = (mesh["landmarks"][list(LANDMARKS[name])].mean(axis=0) * size - origin) * metres
        depth = (rotation @ np.array([generic[0], mesh["eye_centres"][:, 1].mean() + generic[1], generic[2]]))[2]
        bones[name] = np.array([*flat, depth])
    centre = (size / 2 - origin) * metres
    moves = {name: _moves_at(mesh, mesh["landmarks"][list(LANDMARKS[name])].mean(axis=0)) for name in HANDLES}
    return Placement(HEIGHT / (height * metres), (width * metres, height * metres), (float(centre[0]), float(centre[1])), bones, moves)


def _moves_at(mesh: dict[str, np.ndarray], place: np.ndarray) -> np.ndarray:
    """Returns (52, 3) metres, in the camera's orientation: how far each whole blendshape moves the skin at a ``place`` of the photograph."""
    skin = np.unique(mesh["triangles"])
    near = skin[np.argsort(np.linalg.norm(mesh["uv"][skin] - place, axis=1))[:NEAR]]
    front = near[np.argmax((mesh["vertices"][near] @ mesh["rotation"].T)[:, 2])]  # the back of the head projects there, too
    return np.asarray(mesh["actions"][:, front].astype(float) @ mesh["rotation"].T)
