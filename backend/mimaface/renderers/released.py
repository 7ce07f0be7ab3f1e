"""The ``released`` engine: photographs animated with the authors' checkpoint, as :mod:`mimaface.weights.library` installed it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mimaface.basel.transfer import transfer
from mimaface.engines.pool import EnginePool
from mimaface.engines.precision import best_device
from mimaface.engines.torch_engine import TorchEngine
from mimaface.face.portrait import Portrait
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.gaze_calibration import kept
from mimaface.reprojection.renderer import choose_frame, cut_out
from mimaface.sampling.clips import Memory
from mimaface.weights.convert import FaceNetworks
from mimaface.weights.library import models_folder

from .released_shot import ReleasedEngine

Array = NDArray[Any]


def open_released(folder: Path) -> ReleasedEngine:
    """All networks of the converted release, on the GPU where torch has one. Raises :class:`InvalidCheckpoint`.

    The transfer from ARKit actions is solved once and kept beside the models.
    """
    device = best_device()
    networks = FaceNetworks.load(folder, device)
    identity = networks.identity.float()

    def identify(images: Tensor) -> Tensor:
        side = identity.config.side
        if images.shape[-1] != side:  # the release's is 112, as the crop
            images = functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
        deep: Tensor = identity(images).deep
        return deep

    solved = transfer(networks.face, models_folder() / ".transfer")
    engine = TorchEngine.open(folder, device)
    return ReleasedEngine(engine, networks.face, networks.reconstruction.float(), identify, solved)


def released_pictures(
    folder: Path,
    portrait: Portrait,
    motion: MotionClip,
    settings: RenderSettings,
    start: int,
    memory: Memory,
    pool: EnginePool,
) -> Iterator[tuple[int, Array] | None]:
    """(index, picture) from ``start`` on; None after every other step. Raises :class:`InvalidInput` for transparency."""
    if settings.transparent:
        raise InvalidInput("the released model paints whole pictures, it knows no transparency", "switch Transparent off")
    yield None
    engine: ReleasedEngine = pool.get(folder, open_released)
    shot = engine.shot(portrait, motion, settings.absolute, kept())
    frame = choose_frame(portrait, settings.size, settings.framing)
    for done in engine.frames([shot], settings.seed, start=start, memory=memory):
        yield None if done is None else (done[0], cut_out(done[1], frame))
