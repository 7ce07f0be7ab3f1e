"""Small, short films of a synthetic person with known motion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from mimaface.data.camcorder import Camcorder
from mimaface.data.people import random_person
from mimaface.data.studio import Studio, random_studio
from mimaface.face.pose import FacePose
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import head_angles_to_matrix

SIDE, RATE = 256, 25


@dataclass(frozen=True, eq=False)
class Shot:
    """A filmed person: pictures (T, S, S, 3) uint8 and the true head angles (T, 3) in radians."""

    images: np.ndarray
    angles: np.ndarray
    studio: Studio


def shoot(seed: int, frames: int = 22, sway: float = 18.0, talk: float = 0.5) -> Shot:
    """Films a head that turns by ``sway`` degrees once to either side and nods slightly while the mouth opens twice."""
    random = np.random.default_rng(seed)
    person = random_person(random)
    studio = random_studio(random, SIDE, [])
    phase = 2 * np.pi * np.arange(frames) / frames
    angles = np.radians(np.stack([sway * np.sin(phase), 0.3 * sway * np.cos(phase), 0 * phase], axis=1))
    blendshapes = np.zeros((frames, len(BLENDSHAPE_INDEX)))
    blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]] = talk * np.sin(phase) ** 2
    camcorder = Camcorder(person, studio, np.eye(3), seed)
    images = [
        camcorder.take(FacePose(blendshape, head_angles_to_matrix(angle), studio.translation, np.zeros((2, 2))))
        for blendshape, angle in zip(blendshapes, angles)
    ]
    return Shot(np.stack(images), angles, studio)


def write_film(path: Path, images: np.ndarray, rate: int = RATE) -> Path:
    """Encodes images (T, H, W, 3) uint8 as nearly lossless H.264."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "8", "preset": "ultrafast"})
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def shot() -> Shot:
    return shoot(3)
