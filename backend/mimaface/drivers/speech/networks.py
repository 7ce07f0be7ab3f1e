"""Speech by a network with the user's own weights: SadTalker (``basel/speaking.py``), LAM-A2E (``arkit_network.py``) or
Audio2Face-3D (``audio2face.py``).

Channels that it does not predict are as without it: blinks at pauses, and with the latter two head turns by phrase.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from mimaface.drivers.reading import Progress, ReadingSettings
from mimaface.optional import optional
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, NotInstalled
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion
from mimaface.protocol.texts import shown

from .accents import accent_motion
from .arkit_network import RATE as ARKIT_RATE
from .arkit_network import SHAPES, SOUND, ArkitNetwork
from .audio2face import INPUTS, OUTPUTS, Audio2FaceNetwork
from .mel import mel_spectrogram, mel_windows
from .phones import Phone, fill_with_rest
from .sound import RATE

KNOWN = (
    "SadTalker's checkpoints (a folder, or SadTalker_V0.0.2_256.safetensors), wav2arkit_cpu.onnx of LAM-A2E, or network.onnx of Audio2Face-3D v2.3"
)
ORIGIN = {"format": "coefficients", "neutral": "auto"}  # of Basel expressions, whose rest is unknown
FACE = "BFM09_model_info.mat"
UNSHOWN = f"its expressions are the Basel face's: only the engine Released shows them; with {FACE} beside the weights every engine does"


def network_steps(samples: Array, pieces: list[tuple[int, int]], reading: ReadingSettings, progress: Progress) -> Iterator[MotionClip | None]:
    """Yields None in between, then the motion of a face that speaks ``samples`` (N,); ``pieces`` are speech intervals in steps of
    10 ms.

    Raises :class:`InvalidInput` for files other than :data:`KNOWN`, and :class:`NotInstalled`.
    """
    path = Path(reading.speech_model)
    if not path.exists():
        raise InvalidInput(f"no speech model lies at {shown(path)}", f"name {KNOWN}")
    spoken = fill_with_rest([Phone("E", begin / 100, end / 100) for begin, end in pieces], len(samples) / RATE)
    exported = [path] if path.suffix.lower() == ".onnx" else sorted(path.glob("*.onnx")) if path.is_dir() else []
    if exported:
        yield from _by_arkit(exported[0], samples, spoken, reading, progress)
    elif path.is_dir() or path.suffix.lower() in (".safetensors", ".pth", ".pt"):
        yield from _by_basel(path, samples, spoken, reading, progress)
    else:
        raise InvalidInput(f"{shown(path.name)} is not a known speech model", f"name {KNOWN}")


def open_network(path: Path) -> ArkitNetwork | Audio2FaceNetwork:
    """Returns the network in an ONNX file, on the CPU, recognised by its inputs and outputs. Raises :class:`InvalidCheckpoint` for another
    file, and :class:`NotInstalled` without ONNX Runtime.
    """
    onnxruntime = optional("onnxruntime", "reading a speech model in ONNX needs ONNX Runtime", "onnx")
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # errors are reported by this module
    try:
        session: Any = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime raises its own kinds of errors for unusable files
        words = str(error).splitlines()[0]
        hint = "download it again, with the .onnx.data beside it"
        raise InvalidCheckpoint(f"{path.name}: not a readable ONNX model ({words})", hint) from error
    inputs, outputs = ([each.name for each in ends()] for ends in (session.get_inputs, session.get_outputs))
    if (inputs, outputs) == ([SOUND], [SHAPES]):
        return ArkitNetwork(session, path)
    if (inputs, outputs) == (INPUTS, OUTPUTS):
        return Audio2FaceNetwork(session, path)
    problem = f"{path.name}: a model with the inputs {', '.join(inputs)} and the outputs {', '.join(outputs)} is not known"
    raise InvalidCheckpoint(problem, f"name {KNOWN}")


def _by_arkit(path: Path, samples: Array, spoken: list[Phone], reading: ReadingSettings, progress: Progress) -> Iterator[MotionClip | None]:
    parts, done, total = list[Array](), 0, int(len(samples) / RATE * ARKIT_RATE)
    for part in open_network(path).shapes(samples):
        parts.append(part)
        done += len(part)
        progress("hearing", min(done, total), total)
        yield None
    shapes = np.concatenate(parts)
    time = np.arange(len(shapes)) / ARKIT_RATE
    beside, angles = accent_motion(spoken, [], time - reading.delay, reading.accents)
    shapes = _delayed(shapes, time, reading.delay)
    quaternions = matrix_to_quaternion(head_angles_to_matrix(angles))
    yield MotionClip.at_rest(time).but(blendshapes=np.maximum(shapes, beside), head_quat=quaternions)


def _by_basel(path: Path, samples: Array, spoken: list[Phone], reading: ReadingSettings, progress: Progress) -> Iterator[MotionClip | None]:
    try:
        from mimaface.basel import speaking
    except ImportError as error:
        raise NotInstalled(f"this speech model needs {error.name}", "install MIMAFace again") from error
    networks = speaking.SpeakingNetworks.load(path)
    mel = mel_spectrogram(samples)
    count = max(int(len(samples) / RATE * speaking.RATE), 1)
    time = np.arange(count) / speaking.RATE
    beside, _ = accent_motion(spoken, [], time, reading.accents)
    parts, done = list[Array](), 0
    windows = partial(mel_windows, mel, speaking.RATE)
    for part in networks.expressions(windows, beside[:, BLENDSHAPE_INDEX["eyeBlinkLeft"]]):
        parts.append(part)
        done += len(part)
        progress("hearing", done, count)
        yield None
    expression = _delayed(np.concatenate(parts), time, reading.delay)
    angles = np.zeros((count, 3))
    if reading.accents:
        angles = reading.accents * _delayed(networks.poses(windows, count), time, reading.delay)
    head = Rotation.from_euler("ZYX", angles[:, ::-1]).as_matrix()
    clip = MotionClip.at_rest(time).but(head_quat=matrix_to_quaternion(head), expression_bfm=expression)
    face = _face_beside(path)
    if face is None:
        yield clip.but(meta={**ORIGIN, "warnings": [UNSHOWN]})
        return
    from mimaface.basel.bfm import BaselFace
    from mimaface.basel.transfer import solve
    from mimaface.face.head import Head

    table, shapes = solve(BaselFace.from_mat(face), Head.load()), list[Array]()
    for first in range(0, count, speaking.AT_ONCE):
        shapes.append(table.blendshapes(expression[first : first + speaking.AT_ONCE]))
        progress("following", min(first + speaking.AT_ONCE, count), count)
        yield None
    yield clip.but(blendshapes=np.concatenate(shapes), meta=ORIGIN)


def _face_beside(path: Path) -> Path | None:
    """Returns the Basel face beside the weights, or below them as in SadTalker's folder, or None."""
    folder = path if path.is_dir() else path.parent
    return next(iter(sorted(folder.rglob(FACE) if path.is_dir() else folder.glob(FACE))), None)


def _delayed(values: Array, time: Array, delay: float) -> Array:
    """Delays ``values`` (T, n) by ``delay`` seconds, repeating both ends."""
    if delay == 0:
        return values
    return np.stack([np.interp(time - delay, time, column) for column in values.T], axis=1)
