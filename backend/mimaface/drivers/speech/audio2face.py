"""NVIDIA's Audio2Face-3D v2.3 (Mark, Claire, James): a network that predicts components of a face's surface from speech, as ONNX.

Published files of one actor in one folder:
  network.onnx          ``input`` (N, 1, 8320) float32, 16 kHz, a window around the frame, and ``emotion`` (N, 1, 26) → ``result``
                        (N, 1, 301): coefficients of the skin first, then of tongue, jaw and eyes, which are not used
  network_info.json     sizes: ``params``, ``audio_params``
  model_data.npz        ``shapes_matrix_skin`` (272, V, 3) and ``shapes_mean_skin`` (V, 3), centimetres
  bs_skin.npz           ``poseNames`` (53,), "neutral" first, ``neutral`` (V, 3), ``frontalMask`` (M,) vertices of the face, and ARKit's
                        blendshapes by name, (V, 3), as displacements
  implicit_emo_db.npz   ``emo_db`` (K, 16), with ``emo_spec_names`` and ``emo_spec_start`` of the recordings in it; optional

An emotion is 16 implicit values, then one per name of ``explicit_emotions``. Here the explicit ones are 0 and the implicit ones are the
mean of the neutral recording (without that file 0). The surface becomes blendshapes by bounded least squares. Its lids do not blink.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from mimaface.geometry.least_squares import bounded_solve
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, NotFinite

from .arkit_network import LIDS, RATE
from .sound import RATE as HEARD

INPUTS, OUTPUTS = ["input", "emotion"], ["result"]
AT_ONCE = 16  # windows per run of the network. Raised: more memory, and later progress
# share of the mean squared displacement of a blendshape that a weight of 1 costs. Raised: shapes that hardly differ are shared out more
# evenly, and all are smaller; a known mixture comes back within 0.02
PRIOR = 1e-3
# what files that are not whole, or of another kind, raise
DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error)
HINT = "use the folder of an actor of Audio2Face-3D v2.3 as published, with network.onnx, network_info.json, model_data.npz and bs_skin.npz"


class Audio2FaceNetwork:
    """Runs the network of a session of ONNX Runtime, with the files beside it. Raises :class:`InvalidCheckpoint` for other files."""

    def __init__(self, session: Any, path: Path) -> None:
        self._session, self._name = session, path.name
        try:
            info = json.loads((path.parent / "network_info.json").read_text(encoding="utf-8"))
            sizes, sound = info["params"], info["audio_params"]
            self._skin, self._length, self._before = (int(each) for each in (sizes["num_shapes_skin"], sound["buffer_len"], sound["buffer_ofs"]))
            if sound["samplerate"] != HEARD or not 0 < self._length <= HEARD or not 0 <= self._before <= self._length:
                raise ValueError(f"a window of {self._length} samples at {sound['samplerate']} Hz")
            implicit = _implicit(path.parent / "implicit_emo_db.npz", int(sizes["implicit_emotion_len"]))
            self._emotion = np.concatenate([implicit, np.zeros(len(sizes["explicit_emotions"]))]).astype(np.float32)
            self._gram, self._mixture, self._rest, self._columns = _surface(path.parent, self._skin)
        except DAMAGE as error:
            words = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InvalidCheckpoint(f"{path.name}: the files beside it are not those of Audio2Face-3D v2.3 ({words})", HINT) from error

    def shapes(self, samples: Array) -> Iterator[Array]:
        """As :meth:`.arkit_network.ArkitNetwork.shapes`."""
        count = max(int(np.ceil(len(samples) / HEARD * RATE - 1e-6)), 1)
        for first in range(0, count, AT_ONCE):
            starts = np.round(np.arange(first, min(first + AT_ONCE, count)) * HEARD / RATE).astype(int) - self._before
            windows = np.zeros((len(starts), 1, self._length), np.float32)
            for window, start in zip(windows[:, 0], starts):
                part = samples[max(start, 0) : max(start + self._length, 0)]
                window[max(-start, 0) : max(-start, 0) + len(part)] = part
            emotions = np.broadcast_to(self._emotion, (len(starts), 1, len(self._emotion)))
            (found,) = self._session.run(OUTPUTS, dict(zip(INPUTS, (windows, np.ascontiguousarray(emotions)))))
            if found.ndim != 3 or found.shape[:2] != (len(starts), 1) or found.shape[2] < self._skin:
                raise InvalidCheckpoint(f"{self._name}: its output has the shape {found.shape}", HINT)
            if not np.isfinite(found).all():
                raise NotFinite(f"{self._name} predicts a value that is not a number", "download its weights again")
            right = found[:, 0, : self._skin].astype(float) @ self._mixture + self._rest
            low, high = np.zeros(len(self._gram)), np.ones(len(self._gram))
            ordered = np.zeros((len(starts), len(BLENDSHAPE_NAMES)), np.float32)
            ordered[:, self._columns] = [bounded_solve(self._gram, each, low, high) for each in right]
            yield ordered


def _implicit(path: Path, length: int) -> Array:
    """Returns the implicit emotion (length,) of the neutral recording, 0 without the file."""
    if not path.exists():
        return np.zeros(length)
    with np.load(path, allow_pickle=False) as file:
        names = [_text(name) for name in file["emo_spec_names"]]
        starts = np.append(file["emo_spec_start"], len(file["emo_db"])).astype(int)
        neutral = next((index for index, name in enumerate(names) if "neutral" in name), 0)
        rows = file["emo_db"][starts[neutral] : starts[neutral + 1]]
    return np.asarray(np.reshape(rows, (-1, length)).mean(axis=0), float)


def _surface(folder: Path, skin: int) -> tuple[Array, Array, Array, list[int]]:
    """Returns the least-squares problem of K blendshapes: matrix (K, K), right sides (skin, K) of the components and (K,) of their mean,
    and the columns of the blendshapes.
    """
    with ExitStack() as stack:
        shapes, data = (stack.enter_context(np.load(folder / name, allow_pickle=False)) for name in ("bs_skin.npz", "model_data.npz"))
        names = [name for name in map(_text, shapes["poseNames"]) if name in BLENDSHAPE_INDEX and name not in LIDS and not name.startswith("eyeLook")]
        if "jawOpen" not in names:
            raise ValueError("bs_skin.npz has no jawOpen")
        seen = shapes["frontalMask"].astype(int).ravel() if "frontalMask" in shapes else np.arange(len(shapes["neutral"]))
        moves = np.stack([shapes[name][seen].astype(float).ravel() for name in names])
        components = data["shapes_matrix_skin"]
        if len(components) != skin:
            raise ValueError(f"model_data.npz has {len(components)} components of the skin, network_info.json {skin}")
        components = components[:, seen].reshape(skin, -1).astype(float)
        rest = (data["shapes_mean_skin"][seen] - shapes["neutral"][seen]).astype(float).ravel()
    if not all(np.isfinite(values).all() for values in (moves, components, rest)):
        raise ValueError("a value is not a number")
    gram = moves @ moves.T
    unit = np.trace(gram) / len(gram)
    columns = [BLENDSHAPE_INDEX[name] for name in names]
    return gram / unit + PRIOR * np.eye(len(gram)), components @ moves.T / unit, moves @ rest / unit, columns


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
