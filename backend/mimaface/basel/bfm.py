"""Basel Face Model 2009 from ``BFM09_model_info.mat``: geometry, shading, camera and renders of Deep3DFaceRecon (spec 1.8).

Deng et al. 2019, "Accurate 3D Face Reconstruction with Weakly-Supervised Learning". Lengths are in the model's unit, decimetres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from mimaface.geometry.rasterise import rasterise
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint

from .align import draw, inverted

IDENTITY, EXPRESSION, ALBEDO = 80, 64, 80  # coefficients of each kind
# in the network's output order
SIZES = {"identity": 80, "expression": 64, "albedo": 80, "rotation": 3, "light": 27, "translation": 3}
SIDE, FOCAL, CAMERA_Z = 224, 1015.0 * 256 / 224, 10.0  # the network's crop is 256 wide
CENTRE = 128.0
AMBIENT = 0.8  # added to the constant term of the light
FIELDS = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "point_buf", "keypoints")


def read_mat(path: Path) -> dict[str, Array]:
    """Returns the fields of ``BFM09_model_info.mat`` without executing code from the file. Raises :class:`InvalidCheckpoint`."""
    from scipy.io import loadmat

    try:
        return {key: value for key, value in loadmat(str(path)).items() if not key.startswith("__")}
    except Exception as error:  # SciPy raises many kinds of errors for other files, such as pickles
        raise InvalidCheckpoint(f"{path}: not a readable BFM09_model_info.mat ({error})", "download it again") from error


def split_coefficients(coefficients: ArrayLike) -> dict[str, Array]:
    """Splits coefficients (…, 257) by name, in the network's order; see ``SIZES``."""
    values = np.asarray(coefficients)
    if values.shape[-1] != sum(SIZES.values()):
        raise ValueError(f"coefficients have shape {values.shape}, expected (…, {sum(SIZES.values())})")
    parts = np.split(values, np.cumsum(list(SIZES.values()))[:-1], axis=-1)
    return dict(zip(SIZES, parts))


@dataclass(frozen=True, eq=False)
class BaselFace:
    """A Basel face.

      mean (V, 3)                   decimetres, centred
      identity_basis (80, V, 3), expression_basis (64, V, 3)
      albedo_mean (V, 3), albedo_basis (80, V, 3)    RGB, 0–255
      triangles (N, 3)
      faces_of (V, 8)               triangles around each vertex, padded with N
      keypoints (68,)               vertex indices
    """

    mean: Array
    identity_basis: Array
    expression_basis: Array
    albedo_mean: Array
    albedo_basis: Array
    triangles: Array
    faces_of: Array
    keypoints: Array

    @classmethod
    def from_mat(cls, path: Path) -> BaselFace:
        """Reads ``BFM09_model_info.mat``. Raises :class:`InvalidCheckpoint`."""
        return cls.from_arrays(read_mat(path), path.name)

    @classmethod
    def from_safetensors(cls, path: Path) -> BaselFace:
        """Reads the same fields from a ``.safetensors`` file. Raises :class:`InvalidCheckpoint`."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return cls.from_arrays(load_file(path), str(path))
        except (OSError, SafetensorError) as error:
            raise InvalidCheckpoint(f"{path} cannot be read: {error}", "install the model again") from error

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], name: str = "the face model") -> BaselFace:
        """Builds the model from the file's fields, whose indices start at 1. Raises :class:`InvalidCheckpoint`."""
        missing = [field for field in FIELDS if field not in arrays]
        if missing:
            raise InvalidCheckpoint(
                f"{name}: fields are missing: {', '.join(missing)}", "use BFM09_model_info.mat of Deep3DFaceRecon"
            )
        count = np.asarray(arrays["meanshape"]).size // 3
        wanted = {"idBase": (3 * count, IDENTITY), "exBase": (3 * count, EXPRESSION), "texBase": (3 * count, ALBEDO)}
        for field, shape in wanted.items():
            if np.asarray(arrays[field]).shape != shape:
                raise InvalidCheckpoint(f"{name}: {field} has shape {np.asarray(arrays[field]).shape}, expected {shape}")
        if np.asarray(arrays["meantex"]).size != 3 * count:
            raise InvalidCheckpoint(f"{name}: meantex has {np.asarray(arrays['meantex']).size} numbers, expected {3 * count}")
        last = {"tri": count, "keypoints": count, "point_buf": len(np.asarray(arrays["tri"])) + 1}
        for field, highest in last.items():
            indices = np.asarray(arrays[field])
            if indices.size == 0 or indices.min() < 1 or indices.max() > highest:
                raise InvalidCheckpoint(
                    f"{name}: {field} has indices outside 1 to {highest}", "the file is damaged; copy it again"
                )

        def basis(field: str) -> Array:
            return np.asarray(arrays[field], np.float64).T.reshape(-1, count, 3)

        mean = np.asarray(arrays["meanshape"], np.float64).reshape(count, 3)
        return cls(
            mean - mean.mean(0), basis("idBase"), basis("exBase"), np.asarray(arrays["meantex"], np.float64).reshape(count, 3),
            basis("texBase"), np.asarray(arrays["tri"]).astype(np.int32) - 1, np.asarray(arrays["point_buf"]).astype(np.int32) - 1,
            np.asarray(arrays["keypoints"]).astype(np.int32).ravel() - 1,
        )  # fmt: skip

    def geometry(self, identity: ArrayLike, expression: ArrayLike) -> Array:
        """identity (…, 80), expression (…, 64) in standard deviations → vertices (…, V, 3), decimetres."""
        moved = np.tensordot(np.asarray(identity, np.float64), self.identity_basis, axes=1)
        return np.asarray(self.mean + moved + np.tensordot(np.asarray(expression, np.float64), self.expression_basis, axes=1))

    def normals(self, vertices: ArrayLike) -> Array:
        """Returns unit normals (…, V, 3): the sum of unnormalised cross(v1 − v2, v2 − v3) over each vertex's triangles."""
        points = np.asarray(vertices)
        a, b, c = (points[..., self.triangles[:, corner], :] for corner in range(3))
        faces = np.cross(a - b, b - c)
        padded = np.concatenate([faces, np.zeros((*faces.shape[:-2], 1, 3))], axis=-2)
        total = padded[..., self.faces_of, :].sum(-2)
        return np.asarray(total / np.maximum(np.linalg.norm(total, axis=-1, keepdims=True), 1e-12))

    def albedo(self, coefficients: ArrayLike) -> Array:
        """Albedo coefficients (…, 80) → RGB (…, V, 3), nominal 0–255, not clamped."""
        return np.asarray(self.albedo_mean + np.tensordot(np.asarray(coefficients, np.float64), self.albedo_basis, axes=1))

    @staticmethod
    def posed(vertices: ArrayLike, rotation: ArrayLike, translation: ArrayLike) -> Array:
        """Rotates vertices (…, V, 3) by angles (…, 3) and translates them by (…, 3), before the camera."""
        return np.asarray(np.asarray(vertices) @ row_rotation(rotation) + np.asarray(translation)[..., None, :])

    @staticmethod
    def project(points: ArrayLike) -> Array:
        """Posed points (…, V, 3) → u, v (…, V, 2) in the 256 × 256 picture, v **up**."""
        x, y, z = np.moveaxis(np.asarray(points), -1, 0)
        scale = FOCAL / (CAMERA_Z - z)
        return np.stack([scale * x + CENTRE, scale * y + CENTRE], axis=-1)

    def landmarks68(self, projected: ArrayLike) -> Array:
        """Returns the 68 key points (…, 68, 2) of :meth:`project`'s points, in image pixels with v down."""
        points = np.asarray(projected)[..., self.keypoints, :]
        return np.stack([points[..., 0], 2 * CENTRE - points[..., 1]], axis=-1)


def row_rotation(angles: ArrayLike) -> Array:
    """Angles x, y, z (…, 3) in radians → (Rz · Ry · Rx)ᵀ (…, 3, 3), for multiplication from the right of row vectors."""
    x, y, z = np.moveaxis(np.asarray(angles, np.float64), -1, 0)
    one, zero = np.ones_like(x), np.zeros_like(x)

    def matrix(*rows: tuple[Array, Array, Array]) -> Array:
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)

    about_x = matrix((one, zero, zero), (zero, np.cos(x), -np.sin(x)), (zero, np.sin(x), np.cos(x)))
    about_y = matrix((np.cos(y), zero, np.sin(y)), (zero, one, zero), (-np.sin(y), zero, np.cos(y)))
    about_z = matrix((np.cos(z), -np.sin(z), zero), (np.sin(z), np.cos(z), zero), (zero, zero, one))
    return np.asarray(np.swapaxes(about_z @ about_y @ about_x, -1, -2))


def shade(albedo: ArrayLike, normals: ArrayLike, light: ArrayLike) -> Array:
    """Returns albedo × spherical-harmonic irradiance: albedo (…, V, 3), normals (…, V, 3), light (…, 27) as 3 channels × 9 → (…,
    V, 3).

    Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment Maps"; +0.8 on the constant term.
    """
    x, y, z = np.moveaxis(np.asarray(normals), -1, 0)
    first, second = 2 * np.pi / np.sqrt(3) * np.sqrt(3 / (4 * np.pi)), 2 * np.pi / np.sqrt(8) * 3 * np.sqrt(5 / (12 * np.pi))
    terms = [
        np.pi / np.sqrt(4 * np.pi) * np.ones_like(x), -first * y, first * z, -first * x, second * x * y, -second * y * z,
        second * 0.5 / np.sqrt(3) * (3 * z * z - 1), -second * x * z, second * 0.5 * (x * x - y * y),
    ]  # fmt: skip
    coefficients = np.array(np.asarray(light, np.float64).reshape(*np.shape(light)[:-1], 3, 9))
    coefficients[..., 0] += AMBIENT
    irradiance = np.stack(terms, axis=-1) @ np.swapaxes(coefficients, -1, -2)
    return np.asarray(np.asarray(albedo) * irradiance)


SIDE = 256  # pixels per side of the network's crop


class BaselRenderer:
    """Renderer for one source: identity α (80,), albedo δ (80,) and illumination γ (27,); frames differ in β and pose."""

    def __init__(self, bfm: BaselFace, identity: ArrayLike, albedo: ArrayLike, light: ArrayLike) -> None:
        self.bfm = bfm
        self.shape = bfm.mean + np.tensordot(np.asarray(identity, np.float64), bfm.identity_basis, axes=1)
        self.colours = bfm.albedo(albedo)
        self.light = np.asarray(light, np.float64)

    def crop(self, expression: ArrayLike, rotation: ArrayLike, translation: ArrayLike) -> Array:
        """β (64,), angles (3,), translation (3,) → RGB (256, 256, 3) uint8 in the network's crop, black outside the face."""
        bfm = self.bfm
        vertices = self.shape + np.tensordot(np.asarray(expression, np.float64), bfm.expression_basis, axes=1)
        lit = shade(self.colours, bfm.normals(vertices) @ row_rotation(rotation), self.light)
        posed = bfm.posed(vertices, rotation, translation)
        u, up = bfm.project(posed).T
        raster = rasterise(np.stack([u, 2 * CENTRE - up, CAMERA_Z - posed[:, 2]], axis=1), bfm.triangles, SIDE, SIDE)
        colours = raster.interpolate(bfm.triangles, np.clip(lit, 0, 255))
        return np.asarray(np.rint(colours).astype(np.uint8))

    def canvas(self, expression: ArrayLike, rotation: ArrayLike, translation: ArrayLike, crop: ArrayLike, side: int) -> Array:
        """The same warped by the inverse of ``crop`` (2, 3), canvas → 256² → RGB (side, side, 3) uint8."""
        return draw(self.crop(expression, rotation, translation), inverted(crop), side, side)
