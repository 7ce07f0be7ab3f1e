"""Basel face coefficients in MATLAB files of Deep3DFaceRecon (Deng et al. 2019) and SadTalker (Zhang et al. 2023).

Angles are in radians, R = Rz · Ry · Rx about the axes of docs/CONVENTIONS.md: x + down, y + to the subject's left, z + toward the
subject's right shoulder. The 64 expression coefficients are passed on unchanged to the released checkpoint; no mapping to ARKit
exists.
"""

from __future__ import annotations

import io

import numpy as np

from mimaface.drivers.reading import ReadingSettings
from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion import MotionClip

from .base import Reader, Recorded, at_rate

DEFAULT_RATE = 25.0  # frames per second of both projects' videos
EXPRESSION = 64


def _recognises(name: str, start: bytes) -> bool:
    return start.startswith(b"MATLAB 5.0 MAT-file") or name.lower().endswith(".mat")  # version 4 has no signature


def _read(content: bytes, name: str, settings: ReadingSettings) -> MotionClip:
    from scipy.io import loadmat

    if content.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise InvalidMotion(f"{name}: a .mat of version 7.3 is not read", "save it with scipy.io.savemat, or in MATLAB with -v7")
    found = loadmat(io.BytesIO(content))
    warnings = ["its expressions are the Basel face's: only the engine Released shows them"]
    if "coeff_3dmm" in found:
        values = np.atleast_2d(np.asarray(found["coeff_3dmm"], float))
        if values.ndim != 2 or values.shape[1] < EXPRESSION + 6:
            raise InvalidMotion(f"{name}: coeff_3dmm is {values.shape}, not (frames, 70) or (frames, 73)", "use SadTalker's own file")
        expression, angles = values[:, :EXPRESSION], values[:, EXPRESSION : EXPRESSION + 3]
    elif {"exp", "angle"} <= found.keys():
        expression, angles = (np.atleast_2d(np.asarray(found[key], float)) for key in ("exp", "angle"))
        if expression.shape[1:] != (EXPRESSION,) or angles.shape != (len(expression), 3):
            raise InvalidMotion(f"{name}: exp is {expression.shape} and angle {angles.shape}, not (frames, 64) and (frames, 3)", "use its own file")
    else:
        raise InvalidMotion(f"{name}: neither coeff_3dmm nor exp and angle is in it", "use a .mat of SadTalker or Deep3DFaceRecon")
    if not np.isfinite(expression).all():
        raise InvalidMotion(f"{name}: a coefficient is not a number", "export it again")
    time, notes = at_rate(len(angles), 0.0, settings, DEFAULT_RATE)
    face = np.ones(len(angles), bool)
    from scipy.spatial.transform import Rotation  # 0.3 s: only when one is read

    head = Rotation.from_euler("ZYX", angles[:, ::-1]).as_matrix()
    return Recorded(time, face, None, head, None, None, [*warnings, *notes], expression.astype(np.float32)).clip(name, "coefficients")


READER = Reader("Deep3DFaceRecon or SadTalker", _recognises, _read)
