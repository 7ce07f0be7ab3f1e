"""The small shipped networks (LiteRT): opened once, checked against their checksums."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint

from .head import ASSETS

CHECKSUMS = {
    "face_detector.tflite": "b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
    "face_landmarks.tflite": "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5",
    "person.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
}
SIDE = 256  # pixels a side of what :class:`PersonSegmenter` sees


def open_network(path: Path) -> Any:
    """A LiteRT interpreter, for one thread at a time. Raises :class:`InvalidCheckpoint` when the file is missing or damaged."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidCheckpoint(f"{path}: cannot be read ({error.strerror})", "install MIMAFace again") from error
    if hashlib.sha256(content).hexdigest() != CHECKSUMS[path.name]:
        raise InvalidCheckpoint(f"{path}: the file is damaged (checksum differs)", "install MIMAFace again")
    with _quiet():
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


def run_network(interpreter: Any, values: Array) -> list[Array]:
    """All outputs for one input."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return [np.array(interpreter.get_tensor(item["index"])) for item in interpreter.get_output_details()]


class PersonSegmenter:
    """MediaPipe's selfie segmentation. Safe from several threads: one call runs at a time."""

    def __init__(self, folder: Path = ASSETS) -> None:
        self._lock = threading.Lock()
        self._network = open_network(folder / "person.tflite")

    @staticmethod
    @functools.cache
    def load() -> PersonSegmenter:
        """The shared instance. Raises :class:`InvalidCheckpoint` when the network is missing or damaged."""
        return PersonSegmenter()

    def __call__(self, image: Array) -> Array:
        """Returns the probability (256, 256) float32 that a pixel of ``image`` (H, W, 3) uint8 is a person."""
        small = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        with self._lock:
            return np.asarray(run_network(self._network, small[None].astype(np.float32) / 255)[0][0, ..., 0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress LiteRT's message about its delegate on the process's error stream, which no option turns off."""
    sys.stderr.flush()
    standard_error, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(nowhere)
