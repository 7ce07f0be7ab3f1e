"""ARKit blendshapes ↔ the 64 expression coefficients of a Basel face, and gaze → the released network's four gaze values (spec
3.2).

Regularised least squares explains the displacement of each blendshape under every BFM vertex
(:mod:`mimaface.basel.correspondence`) by ``exBase``. Solved once per machine and cached on disk.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import lsq_linear

from mimaface.face.head import ASSETS, Head
from mimaface.geometry.similarity import Similarity
from mimaface.geometry.threads import one_thread
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.protocol.files import replacing

from .bfm import EXPRESSION, BaselFace
from .correspondence import correspond

log = logging.getLogger(__name__)
VERSION = 1  # of the method; caches of other versions are ignored
HEAD_FILE = ASSETS / "head.npz"
# metres, error of a vertex's transferred displacement; effective number of independent errors
NOISE, INDEPENDENT_ERRORS = 0.0005, 400
BLENDSHAPE_SPREAD = 1.0  # standard deviation of blendshapes in the inverse: a weak prior for what the BFM cannot represent
SHAPES = {
    "matrix": (len(BLENDSHAPE_NAMES), EXPRESSION), "metric": (EXPRESSION, EXPRESSION), "unexplained": (len(BLENDSHAPE_NAMES),),
    "scale": (), "rotation": (3, 3), "offset": (3,),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Transfer:
    """Linear map between blendshapes and expression coefficients.

      matrix (52, 64)       β of each blendshape at 1, in standard deviations
      metric (64, 64)       factor from coefficients to metres RMS
      unexplained (52,)     share of each blendshape's displacement outside the BFM's span
      placed                similarity from the BFM's mean face to the head
    """

    matrix: Array
    metric: Array
    unexplained: Array
    placed: Similarity

    def expression(self, blendshapes: ArrayLike) -> Array:
        """Blendshapes, or differences of blendshapes, (…, 52) → β (…, 64); linear."""
        values = np.asarray(blendshapes, np.float64)
        if values.shape[-1:] != (len(BLENDSHAPE_NAMES),):
            raise ValueError(f"blendshapes have shape {values.shape}, expected (…, {len(BLENDSHAPE_NAMES)})")
        return np.asarray(values @ self.matrix)

    def blendshapes(self, expression: ArrayLike) -> Array:
        """β (…, 64) → the blendshapes (…, 52) in [0, 1] with the closest surface, by bounded least squares."""
        values = np.asarray(expression, np.float64)
        if values.shape[-1:] != (EXPRESSION,) or not np.isfinite(values).all():
            raise ValueError(f"expression has shape {values.shape}, expected finite numbers (…, {EXPRESSION})")
        system = np.concatenate([self.metric @ self.matrix.T, np.eye(len(BLENDSHAPE_NAMES)) / BLENDSHAPE_SPREAD])
        rest = np.zeros(len(BLENDSHAPE_NAMES))
        with one_thread():
            found = [
                lsq_linear(system, np.concatenate([self.metric @ each, rest]), (0.0, 1.0), method="bvls").x
                for each in values.reshape(-1, EXPRESSION)
            ]
        return np.clip(np.reshape(found, (*values.shape[:-1], len(BLENDSHAPE_NAMES))), 0.0, 1.0)


def solve(bfm: BaselFace, head: Head) -> Transfer:
    """Computes the transfer in about two seconds. Raises :class:`InvalidCheckpoint` for a BFM that is not a face in the usual
    axes.
    """
    found = correspond(bfm, head)
    moves = found.carry(head.blendshapes.astype(np.float64)).reshape(len(BLENDSHAPE_NAMES), -1)  # in the BFM's unit
    basis = bfm.expression_basis.reshape(EXPRESSION, -1)
    if not np.isfinite(basis).all() or not (np.abs(basis) > 0).any():
        raise InvalidCheckpoint("the face model's exBase is empty or not finite", "use BFM09_model_info.mat of Deep3DFaceRecon")
    weight = np.repeat(found.trust, 3) * (INDEPENDENT_ERRORS / found.trust.sum()) * (found.placed.scale / NOISE) ** 2
    with one_thread():
        gram = (basis * weight) @ basis.T  # β in standard deviations: a Gaussian prior of unit variance regularises
        matrix = np.linalg.solve(gram + np.eye(EXPRESSION), (basis * weight) @ moves.T).T
        left = ((moves - matrix @ basis) ** 2) @ weight
        whole = (moves**2) @ weight
        values, vectors = np.linalg.eigh(gram)
    metric = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    unexplained = np.sqrt(np.where(whole > 0, left / np.where(whole > 0, whole, 1.0), 0.0))
    log.info("BFM aligned, median %.1f mm from our head; %.0f %% of the blendshapes' movement is left unexplained",
             1000 * found.error, 100 * float(np.median(unexplained)))  # fmt: skip
    return Transfer(matrix, metric, unexplained, found.placed)


def transfer(bfm: BaselFace, folder: Path, head_file: Path = HEAD_FILE) -> Transfer:
    """Returns the transfer between this BFM and this head, from the cache in ``folder`` or solved and cached.

    A folder that cannot be written only logs a warning. Raises as :func:`solve`.
    """
    key = f"{VERSION}-{fingerprint(bfm)}-{_file_hash(head_file, head_file.stat().st_mtime_ns)}"
    path = folder / f"bfm-transfer-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
    cached = _read(path, key)
    if cached is not None:
        return cached
    solved = solve(bfm, Head.load(head_file))
    _write(path, key, solved)
    return solved


def fingerprint(bfm: BaselFace) -> str:
    """Returns the SHA-256 of the data on which the transfer depends: mean shape, exBase, triangles and key points, not the
    file."""
    digest = hashlib.sha256()
    for values in (bfm.mean, bfm.expression_basis, bfm.triangles, bfm.keypoints):
        digest.update(f"{values.dtype.str} {values.shape} ".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _file_hash(path: Path, _changed: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path, key: str) -> Transfer | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name], np.float64) for name in SHAPES}
            found = str(file["key"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s is damaged (%s); the transfer is solved again", path, error)
        return None
    whole = all(arrays[name].shape == shape and np.isfinite(arrays[name]).all() for name, shape in SHAPES.items())
    if found != key or not whole:
        log.warning("%s does not hold what its name says; the transfer is solved again", path)
        return None
    placed = Similarity(float(arrays["scale"]), arrays["rotation"], arrays["offset"])
    return Transfer(arrays["matrix"], arrays["metric"], arrays["unexplained"], placed)


def _write(path: Path, key: str, solved: Transfer) -> None:
    arrays: dict[str, Any] = {
        "matrix": solved.matrix, "metric": solved.metric, "unexplained": solved.unexplained,
        "scale": solved.placed.scale, "rotation": solved.placed.rotation, "offset": solved.placed.offset,
    }  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, key=np.array(key), **arrays)
    except OSError as error:
        log.warning("the transfer to the BFM cannot be kept in %s (%s); it is solved again next time", path.parent, error)


@dataclass(frozen=True, eq=False)
class GazeAdapter:
    """Gaze → the released network's four values: g = matrix · [left yaw, left pitch, right yaw, right pitch] + offset.

    The meaning of these values is not published. The default assumes gaze angles in radians, in our order and signs; ``fitted``
    is True after :meth:`fit` has replaced this assumption.
    """

    matrix: Array
    offset: Array
    fitted: bool = False

    @classmethod
    def assumed(cls) -> GazeAdapter:
        """Returns the default: identity."""
        return cls(np.eye(4), np.zeros(4))

    @classmethod
    def fit(cls, gaze: ArrayLike, gaze_d3dfr: ArrayLike, spread: float = 0.02) -> GazeAdapter:
        """Fits by least squares on frames where both are known: gaze (T, 2, 2) radians, gaze_d3dfr (T, 4).

        ``spread`` is the accuracy of our gaze in radians: directions that vary less, such as a squint, get little gain. Raises
        :class:`InvalidInput` for fewer than 8 frames, other shapes, or eyes that never move.
        """
        ours, theirs = np.asarray(gaze, np.float64), np.asarray(gaze_d3dfr, np.float64)
        if ours.ndim != 3 or ours.shape[1:] != (2, 2) or theirs.shape != (len(ours), 4):
            raise InvalidInput(f"gaze {ours.shape} and gaze_d3dfr {theirs.shape} do not fit, expected (T, 2, 2) and (T, 4)")
        ours = ours.reshape(-1, 4)
        seen = np.isfinite(ours).all(1) & np.isfinite(theirs).all(1)
        ours, theirs = ours[seen], theirs[seen]
        if len(ours) < 8 or (ours.std(0) < spread).all():
            raise InvalidInput(
                f"{len(ours)} frames with hardly any movement of the eyes cannot calibrate the gaze",
                "use a video of some seconds in which the person looks around",
            )
        a, b = ours - ours.mean(0), theirs - theirs.mean(0)
        matrix = np.linalg.solve(a.T @ a + 0.01 * len(a) * spread**2 * np.eye(4), a.T @ b).T
        return cls(matrix, theirs.mean(0) - matrix @ ours.mean(0), fitted=True)

    def __call__(self, gaze: ArrayLike) -> Array:
        """gaze (…, 2, 2) radians → (…, 4)."""
        values = np.asarray(gaze, np.float64)
        return np.asarray(values.reshape(*values.shape[:-2], 4) @ self.matrix.T + self.offset)
