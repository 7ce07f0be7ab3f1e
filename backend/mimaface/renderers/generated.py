"""The diffusion model as a renderer; ``demo`` is the shipped model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.collector import uncollected
from mimaface.engines import choosing
from mimaface.engines.pool import EnginePool
from mimaface.face.head import ASSETS
from mimaface.face.portrait import Portrait
from mimaface.model.config import qualities_in, quality_in
from mimaface.protocol.settings import RenderSettings
from mimaface.shortage import TORCH, require
from mimaface.weights import checksums

from .reprojected import ReprojectedSession

if TYPE_CHECKING:
    from .generated_session import GeneratedSession

SHIPPED = ASSETS / "demo"  # the model that is installed with the product


class Generated:
    """Renderer of a model folder that is conditioned on the reprojected photograph; see :class:`mimaface.renderers.base.Renderer`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    def state(self) -> str:
        whole = (self.folder / "model_index.json").exists()
        return "" if whole else f"the model is missing in {self.folder}: install MIMAFace again"

    def build(self) -> str:
        return "\0".join([checksums.fingerprint(self.folder), arithmetic_here(), *choosing.runtimes_here(self.folder)])

    def networks(self) -> str:
        return choosing.in_words(self.folder)

    def qualities(self) -> tuple[str, ...]:
        return qualities_in(self.folder)

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> GeneratedSession | ReprojectedSession:
        quality = quality_in(self.folder, settings.quality)
        if quality is not None and quality.steps == 0:  # nothing is sampled, so no network is loaded
            return ReprojectedSession(portrait, settings)
        with uncollected():
            from .generated_session import GeneratedSession, open_engine

        return GeneratedSession(pool.get(self.folder, open_engine), portrait, settings)


def arithmetic_here() -> str:
    """Returns a text that names torch's arithmetic on this machine. Raises :class:`OutOfResources` without the memory to load torch."""
    if "torch" not in sys.modules:
        require(TORCH)
    with uncollected():
        from mimaface.engines.precision import arithmetic

    return arithmetic()
