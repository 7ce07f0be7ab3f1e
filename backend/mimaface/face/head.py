"""The embedded head: MakeHuman's mesh with 80 identity components, the 52 ARKit blendshapes and true eyeballs."""

from __future__ import annotations

import functools
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint

ASSETS = Path(__file__).resolve().parent.parent / "assets"
REQUIRED = (
    "vertices", "triangles", "triangle_part", "part_names", "vertex_region", "region_names", "identity_basis", "blendshapes",
    "blendshape_names", "eye_centres", "eye_centre_basis", "eye_radius", "albedo", "mirror", "uv", "uv_triangles",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Head:
    """The arrays of ``assets/head.npz``; V vertices, N triangles, metres, head frame.

    ``parts`` names the label in ``triangle_part`` (N,); ``regions`` the label in ``vertex_region`` (V,).
    ``mirror`` (V,) is each vertex's partner on the other side; ``albedo`` (V, 3) is sRGB 0–1.
    """

    vertices: Array
    triangles: Array
    triangle_part: Array
    parts: tuple[str, ...]
    vertex_region: Array
    regions: tuple[str, ...]
    identity_basis: Array
    blendshapes: Array
    eye_centres: Array
    eye_centre_basis: Array
    eye_radius: float
    albedo: Array
    mirror: Array
    uv: Array
    uv_triangles: Array

    @staticmethod
    @functools.cache
    def load(path: Path = ASSETS / "head.npz") -> Head:
        """Read the asset once. Raises :class:`InvalidCheckpoint` when it is missing or damaged."""
        hint = "install MIMAFace again"
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in REQUIRED}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise InvalidCheckpoint(f"{path}: the head model cannot be read ({error})", hint) from error
        if tuple(arrays.pop("blendshape_names")) != BLENDSHAPE_NAMES:
            raise InvalidCheckpoint(f"{path}: the head model has other blendshapes than this version", hint)
        return Head(
            parts=tuple(str(name) for name in arrays.pop("part_names")),
            regions=tuple(str(name) for name in arrays.pop("region_names")),
            eye_radius=float(arrays.pop("eye_radius")),
            **{name: value.astype(np.float32) if value.dtype == np.float16 else value for name, value in arrays.items()},
        )

    @property
    def identity_size(self) -> int:
        return len(self.identity_basis)

    @property
    def expression_size(self) -> int:
        return len(self.blendshapes)

    def shape(self, identity: ArrayLike, expression: ArrayLike) -> Array:
        """identity (…, 80) in standard deviations, the 52 blendshapes (…, 52) → vertices (…, V, 3) with eyes straight ahead."""
        coefficients = np.asarray(identity, np.float32), np.asarray(expression, np.float32)
        for name, value, size in zip(("identity", "expression"), coefficients, (self.identity_size, self.expression_size)):
            if value.shape[-1:] != (size,):
                raise ValueError(f"{name} has shape {value.shape}, expected (…, {size})")
        grown = self._grown(coefficients[0].tobytes()) if coefficients[0].ndim == 1 else coefficients[0] @ self._flat_identity
        moved = grown + coefficients[1] @ self._flat_blendshapes
        return np.asarray(moved.reshape(*moved.shape[:-1], -1, 3) + self.vertices)

    def eye_centres_for(self, identity: ArrayLike) -> Array:
        """identity (…, 80) → centres of [left, right] eyeball (…, 2, 3)."""
        return np.asarray(np.tensordot(np.asarray(identity, np.float32), self.eye_centre_basis, axes=1) + self.eye_centres)

    def posed(self, identity: ArrayLike, expression: ArrayLike, gaze: ArrayLike) -> Array:
        """Like :meth:`shape`, with each eyeball turned by gaze (…, 2, 2) radians about its centre."""
        vertices = self.shape(identity, expression)
        centres = np.broadcast_to(self.eye_centres_for(identity), (*vertices.shape[:-2], 2, 3))
        turn = gaze_rotation(np.asarray(gaze, np.float32))
        for side, name in enumerate(("eye_left", "eye_right")):
            ball = self.vertices_of(name)
            centre = centres[..., side, None, :]
            vertices[..., ball, :] = (vertices[..., ball, :] - centre) @ np.swapaxes(turn[..., side, :, :], -1, -2) + centre
        return vertices

    @functools.cache
    def part(self, *names: str) -> Array:
        """Indices of the triangles of the named parts."""
        return np.flatnonzero(np.isin(self.triangle_part, [self.parts.index(name) for name in names]))

    @functools.cache
    def drawn(self) -> Array:
        """Indices (N,) of the triangles that pictures of the head show: all but those of its model's hair and lashes."""
        return np.setdiff1d(np.arange(len(self.triangles)), self.part("hair", "lashes"))

    @functools.cache
    def drawn_triangles(self) -> Array:
        """(N, 3) int32: corners of :meth:`drawn`."""
        return np.ascontiguousarray(self.triangles[self.drawn()], np.int32)

    @functools.cache
    def skin_triangles(self) -> Array:
        """(N, 3) int32: corners of the triangles of the skin."""
        return np.ascontiguousarray(self.triangles[self.part("skin")], np.int32)

    @functools.cache
    def vertices_of(self, *names: str) -> Array:
        """Indices of the vertices used by the named parts."""
        return np.unique(self.triangles[self.part(*names)])

    @functools.cache
    def region(self, *names: str) -> Array:
        """(V,) bool: vertices in one of the named regions, eyeballs not among them."""
        labels = [self.regions.index(name) for name in names]
        inside = np.isin(self.vertex_region, labels)
        inside[self.vertices_of("eye_left", "eye_right")] = False
        return inside

    @functools.lru_cache(maxsize=8)  # identities. Higher: more people are drawn in turn without looking through 6 MB a frame anew
    def _grown(self, identity: bytes) -> Array:
        """(3 V,) metres by which one identity (80,) float32 moves the vertices: the same in all frames of a person."""
        return np.asarray(np.frombuffer(identity, np.float32) @ self._flat_identity)

    @functools.cached_property
    def _flat_identity(self) -> Array:
        return np.ascontiguousarray(self.identity_basis.reshape(self.identity_size, -1))

    @functools.cached_property
    def _flat_blendshapes(self) -> Array:
        return np.ascontiguousarray(self.blendshapes.reshape(self.expression_size, -1))


def gaze_rotation(gaze: ArrayLike) -> Array:
    """Yaw and pitch (…, 2) radians → rotations (…, 3, 3) of an eye, Ry(yaw) · Rx(−pitch)."""
    yaw, pitch = np.moveaxis(np.asarray(gaze), -1, 0)
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), -np.sin(pitch)
    zero = np.zeros_like(cy)
    rows = [[cy, sy * sp, sy * cp], [zero, cp, -sp], [-sy, cy * sp, cy * cp]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)
