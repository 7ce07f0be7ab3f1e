"""Opens the networks of the authors' checkpoint, and crops its frames to the framing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from mimaface.basel.transfer import transfer
from mimaface.engines import chosen_engine
from mimaface.engines.precision import best_device
from mimaface.face.portrait import Portrait
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import DRAFT, RenderSettings
from mimaface.renderers.gaze_calibration import load_calibration
from mimaface.reprojection.crops import choose_window, cut_out
from mimaface.sampling.clips import Memory
from mimaface.weights import draft_decoder
from mimaface.weights.convert import FaceNetworks
from mimaface.weights.library import draft_decoder_folder, models_folder

from .base import Frame
from .released_shot import ReleasedEngine


def open_released(folder: Path, by: Mapping[str, str] | None = None) -> ReleasedEngine:
    """Open all networks of the converted release, on the GPU where torch has one, ``by`` as in ``open_engine``. Raises :class:`InvalidCheckpoint`.

    The transfer from ARKit blendshapes is solved once and stored beside the models.
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
    engine = chosen_engine.open_engine(folder, device, by)
    return ReleasedEngine(engine, networks.face, networks.reconstruction.float(), identify, solved)


class ReleasedSession:
    """One portrait at one output size; see :class:`mimaface.renderers.base.Session`."""

    def __init__(self, engine: ReleasedEngine, portrait: Portrait, settings: RenderSettings) -> None:
        if settings.only:
            raise InvalidInput("the released model moves all of the face", "leave out the regions, or choose the engine proxy or demo")
        self._engine, self._portrait, self._settings = engine, portrait, settings

    def shot(self, motion: MotionClip, start: int, memory: Memory) -> Iterator[Frame | None]:
        portrait, settings = self._portrait, self._settings
        quality = self._engine.engine.config.quality(settings.quality)
        shot = self._engine.shot(portrait, motion, settings.absolute, load_calibration())
        window = choose_window(portrait, settings.size, settings.framing)
        frames = self._with_decoder().frames(
            [shot], settings.seed, start=start, steps=quality.steps, guidance=quality.guidance, memory=memory
        )
        for done in frames:
            yield None if done is None else Frame(done[0], cut_out(done[1], window))

    def _with_decoder(self) -> ReleasedEngine:
        """The engine; for drafts with TAESD in place of its own decoder, where that is installed."""
        engine, folder = self._engine, draft_decoder_folder()
        if self._settings.quality != DRAFT or folder is None:
            return engine
        decode = draft_decoder.load(folder, engine.engine.device, engine.engine.config.latent_channels, engine.side)
        return engine.with_decoder(decode)
