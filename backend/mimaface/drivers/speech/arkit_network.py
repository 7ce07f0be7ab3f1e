"""LAM-A2E (He et al. 2025), a wav2vec network that predicts ARKit's 52 blendshapes from speech at 30 frames per second, as ONNX.

The supported export is ``wav2arkit_cpu.onnx`` with its ``.onnx.data``: ``audio_waveform`` (1, N) float32, 16 kHz, in [−1, 1], not
normalised, → ``blendshapes`` (1, T, 52), columns in alphabetical order; 34133 samples give 64 frames. Its eyelids are omitted, as
by its authors.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidCheckpoint, NotFinite

from .sound import RATE as HEARD

RATE = 30.0  # frames per second
SOUND, SHAPES = "audio_waveform", "blendshapes"
FRAMES, SAMPLES = 64, 34133  # of a window, as in training
KEPT = 32  # central frames of a window that are used: each has half a second of sound on either side
COLUMNS = tuple(BLENDSHAPE_NAMES.index(name) for name in sorted(BLENDSHAPE_NAMES))
LIDS = ("eyeBlinkLeft", "eyeBlinkRight")


class ArkitNetwork:
    """Runs the network of a session of ONNX Runtime."""

    def __init__(self, session: Any, path: Path) -> None:
        self._session, self._name = session, path.name

    def shapes(self, samples: Array) -> Iterator[Array]:
        """Samples (N,) in [−1, 1] at 16 kHz → blendshapes (n, 52), 0–1, of consecutive frames, N / 16000 · 30 in total, in
        ``BLENDSHAPE_NAMES`` order.
        """
        count = max(int(np.ceil(len(samples) / HEARD * RATE - 1e-6)), 1)
        before = (FRAMES - KEPT) // 2
        for first in range(0, count, KEPT):
            begin = round((first - before) * HEARD / RATE)
            window = np.zeros((1, SAMPLES), np.float32)
            part = samples[max(begin, 0) : begin + SAMPLES]
            window[0, max(-begin, 0) : max(-begin, 0) + len(part)] = part
            (found,) = self._session.run([SHAPES], {SOUND: window})
            if found.shape != (1, FRAMES, len(BLENDSHAPE_NAMES)):
                problem = f"{self._name}: its output has the shape {found.shape}, not (1, {FRAMES}, 52)"
                raise InvalidCheckpoint(problem, "use wav2arkit_cpu.onnx of LAM-A2E")
            if not np.isfinite(found).all():
                raise NotFinite(f"{self._name} predicts a value that is not a number", "download its weights again")
            ordered = np.zeros((min(KEPT, count - first), len(BLENDSHAPE_NAMES)), np.float32)
            ordered[:, COLUMNS] = np.clip(found[0, before : before + len(ordered)], 0, 1)
            for lid in LIDS:
                ordered[:, BLENDSHAPE_NAMES.index(lid)] = 0
            yield ordered
