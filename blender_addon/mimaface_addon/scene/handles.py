# SPDX-License-Identifier: GPL-3.0-or-later
"""The handles of a face: locations, directions with their blendshapes, shapes, and the bones that move them with the face.

A handle's shape is drawn where its place on the face is now – moved by sliders, mocap or itself –, by a bone beside it that rides on the face.
"""

from __future__ import annotations

from typing import Any, cast

import bpy
import numpy as np

from ..protocol.arkit import BLENDSHAPE_NAMES

RADIUS = 0.005  # metres, length of a handle's arrows. Higher: handles touch on a small face
RING = 0.4  # radius of the handle's ring as a share of RADIUS
BENT = 0.45  # radians, half of each bent arrow of the head. Higher: longer arrows
AHEAD = 0.45  # distance of the head's arrows in front of the head's axis, as a share of their radius. Higher: a turned head hides them later
RIDING = "face."  # prefix of the bones that move with the face
LEAST = 0.0005  # metres, least motion by a whole blendshape that gets a driver. Higher: fewer drivers, and handles that lag
MOST = 10  # blendshapes that one driver sums: an expression has at most 255 characters
SHAPES = "MIMAFace"  # first word of the names of all shapes

# handle bones: about where in the head frame each is, metres from between the eyes' height; placement.py puts it on this person's landmark
HANDLES = {
    "jaw": (0.0, -0.115, 0.115), "lip.upper": (0.0, -0.056, 0.135), "lip.lower": (0.0, -0.078, 0.132), "mouth": (0.0, -0.066, 0.155),
    "mouth.L": (0.032, -0.066, 0.12), "mouth.R": (-0.032, -0.066, 0.12), "cheek.L": (0.055, -0.035, 0.1), "cheek.R": (-0.055, -0.035, 0.1),
    "lid.L": (0.032, 0.012, 0.125), "lid.R": (-0.032, 0.012, 0.125), "brow": (0.0, 0.03, 0.13), "brow.L": (0.038, 0.032, 0.125),
    "brow.R": (-0.038, 0.032, 0.125),
}  # fmt: skip
# (handle, axis, direction, blendshapes): metres of travel for 1.0 is TRAVEL
TRAVEL = {"jaw": 0.03, "brow": 0.012, "brow.L": 0.012, "brow.R": 0.012, "lid.L": 0.012, "lid.R": 0.012}
DEFAULT_TRAVEL = 0.015
MOVES = (
    ("jaw", "Y", -1, ("jawOpen",)), ("jaw", "X", 1, ("jawLeft",)), ("jaw", "X", -1, ("jawRight",)), ("jaw", "Z", 1, ("jawForward",)),
    ("lip.upper", "Y", 1, ("mouthUpperUpLeft", "mouthUpperUpRight")), ("lip.upper", "Z", -1, ("mouthRollUpper",)),
    ("lip.lower", "Y", -1, ("mouthLowerDownLeft", "mouthLowerDownRight")), ("lip.lower", "Y", 1, ("mouthShrugLower",)),
    ("lip.lower", "Z", -1, ("mouthRollLower",)), ("mouth", "X", 1, ("mouthLeft",)), ("mouth", "X", -1, ("mouthRight",)),
    ("mouth", "Z", 1, ("mouthFunnel",)), ("mouth", "Z", -1, ("mouthPucker",)), ("brow", "Y", 1, ("browInnerUp",)),
    *(move for side, name, out in (("L", "Left", 1), ("R", "Right", -1)) for move in (
        (f"mouth.{side}", "Y", 1, (f"mouthSmile{name}",)), (f"mouth.{side}", "Y", -1, (f"mouthFrown{name}",)),
        (f"mouth.{side}", "X", out, (f"mouthStretch{name}",)), (f"mouth.{side}", "X", -out, (f"mouthPress{name}",)),
        (f"cheek.{side}", "Y", 1, (f"cheekSquint{name}",)), (f"cheek.{side}", "Z", 1, ("cheekPuff",)),
        (f"lid.{side}", "Y", -1, (f"eyeBlink{name}",)), (f"lid.{side}", "Y", 1, (f"eyeWide{name}",)),
        (f"lid.{side}", "Z", -1, (f"eyeSquint{name}",)), (f"brow.{side}", "Y", 1, (f"browOuterUp{name}",)),
        (f"brow.{side}", "Y", -1, (f"browDown{name}",)),
    )),
)  # fmt: skip


def directions_of(handle: str) -> str:
    """Returns the directions of a handle, such as "+X-X-Y"."""
    return "".join(sorted({f"{'+' if direction > 0 else '-'}{axis}" for name, axis, direction, _ in MOVES if name == handle}))


def shape_of(directions: str) -> bpy.types.Object:
    """Returns a shape of a ring with an arrow for every direction across the face, and a second ring for depth."""
    lines = [_arc(radius, 0, 2 * np.pi) for radius in ((RING, RING / 2) if "Z" in directions else (RING,))]
    for axis, along, across in (("X", (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ("Y", (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))):
        for sign in (1, -1):
            if f"{'+' if sign > 0 else '-'}{axis}" in directions:
                tip, side = np.array(along) * sign, 0.25 * np.array(across)
                lines += [np.stack([RING * tip, tip]), np.stack([0.65 * tip + side, tip, 0.65 * tip - side])]
    return _drawn(f"handle {directions}", lines)


def head_shape() -> bpy.types.Object:
    """Returns a shape of bent arrows around the face, of radius 1: beside it for pitch and roll, above it for yaw; below it the jaw has space."""
    lines = []
    for middle in (0, np.pi / 2, np.pi):
        lines.append(_arc(1, middle - BENT, middle + BENT))
        for sign in (1, -1):
            barb, (tip,) = middle + sign * (BENT - 0.13), _arc(1, middle + sign * BENT, 0, 1)
            lines.append(np.stack([_arc(1.08, barb, 0, 1)[0], tip, _arc(0.92, barb, 0, 1)[0]]))
    return _drawn("head", [line + np.array([0, 0, AHEAD]) for line in lines])


def ball() -> bpy.types.Object:
    """Returns a shape of two circles across each other, of radius 1."""
    circle = _arc(1, 0, 2 * np.pi)
    return _drawn("ball", [circle[:, [0, 2, 1]], circle])


def _arc(radius: float, start: float, end: float, count: int = 17) -> np.ndarray:
    """Returns points (count, 3) of a circle about z between two angles, radians."""
    turns = np.linspace(start, end, count)
    return radius * np.stack([np.cos(turns), np.sin(turns), np.zeros(count)], axis=1)


def _drawn(name: str, lines: list[np.ndarray]) -> bpy.types.Object:
    """Returns a shape of ``lines`` (N, 3), created once; all rigs share it, no scene contains it."""
    name = f"{SHAPES} {name}"
    found: bpy.types.Object | None = bpy.data.objects.get(name)
    if found is None:
        mesh = bpy.data.meshes.new(name)
        starts = np.cumsum([0, *map(len, lines)]).tolist()
        edges = [(start + index, start + index + 1) for start, line in zip(starts, lines) for index in range(len(line) - 1)]
        mesh.from_pydata(np.concatenate(lines).tolist(), edges, [])
        found = bpy.data.objects.new(name, mesh)
    return found


def ride(rig: bpy.types.Object, handle: str, moves: np.ndarray) -> None:
    """Add drivers that move a handle's bone with the face: ``moves`` (52, 3) metres, head frame, per whole blendshape."""
    bone = rig.pose.bones[RIDING + handle]
    for axis in range(3):
        strongest = np.argsort(-np.abs(moves[:, axis]))[:MOST]
        terms = [index for index in strongest if abs(moves[index, axis]) >= LEAST]
        if not terms:
            continue
        driver = bone.driver_add("location", axis).driver
        driver.type = "SCRIPTED"
        for number, index in enumerate(terms):
            variable = driver.variables.new()
            variable.name = "abcdefghij"[number]
            variable.targets[0].id = rig
            variable.targets[0].data_path = f'["out_{BLENDSHAPE_NAMES[index]}"]'
        driver.expression = "".join(f"{moves[index, axis]:+.5f}*{'abcdefghij'[number]}" for number, index in enumerate(terms))
    rig.pose.bones[handle].custom_shape_transform = bone


def limit(rig: bpy.types.Object, bone: str, reach: Any) -> None:
    """Limit a bone's location to ((low, high), …) metres along x, y, z; drivers read the limited location."""
    constraint = cast(bpy.types.LimitLocationConstraint, rig.pose.bones[bone].constraints.new("LIMIT_LOCATION"))
    constraint.owner_space, constraint.use_transform_limit = "LOCAL", True
    for axis, (low, high) in zip("xyz", reach):
        for side, value in (("min", low), ("max", high)):
            setattr(constraint, f"use_{side}_{axis}", True)
            setattr(constraint, f"{side}_{axis}", value)


def reaches() -> dict[str, list[list[float]]]:
    """Limit each handle to the range of its blendshapes, and to 0 in directions without any."""
    reach = {name: [[0.0, 0.0] for _ in "XYZ"] for name in HANDLES}
    for name, axis, direction, _ in MOVES:
        reach[name]["XYZ".index(axis)][direction > 0] = direction * TRAVEL.get(name, DEFAULT_TRAVEL)
    return reach
