"""The renderers that users choose, by their names in settings, command line and Blender; what they need is loaded when they open a portrait."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface import __version__
from mimaface.collector import uncollected
from mimaface.engines import choosing
from mimaface.engines.pool import EnginePool
from mimaface.face.head import ASSETS
from mimaface.face.portrait import Portrait
from mimaface.model.config import qualities_in, quality_in
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.settings import RenderSettings
from mimaface.shortage import TORCH, require
from mimaface.weights import checksums, library

from .base import Renderer
from .reprojected import Reprojected, ReprojectedSession

if TYPE_CHECKING:
    from .generated_session import GeneratedSession
    from .released_session import ReleasedSession

NOT_INSTALLED = "not installed"  # how a state begins of what nobody has installed, so that nothing is wrong
SHIPPED = ASSETS / "demo"  # the model that is installed with the product


class Released:
    """See :class:`mimaface.renderers.base.Renderer`."""

    name = "released"

    def state(self) -> str:
        found = [model.state for model in library.installed() if model.name == library.RELEASED]
        return found[0] if found else f"{NOT_INSTALLED}: mimaface models pull released"

    def build(self) -> str:
        folder = library.find(library.RELEASED).folder
        parts = [checksums.fingerprint(folder)]
        if library.gaze_file().exists():
            parts.append(checksums.digest(library.gaze_file()))
        if (decoder := library.draft_decoder_folder()) is not None:
            parts.append(checksums.fingerprint(decoder))
        return "\0".join([*parts, arithmetic_here()])

    def runtimes(self, earlier: Mapping[str, str] | None = None) -> dict[str, str]:
        return runtimes_of(library.find(library.RELEASED).folder, earlier)

    def networks(self) -> str:
        return choosing.in_words(library.find(library.RELEASED).folder) if not self.state() else ""

    def measure(self) -> Iterator[str]:
        return iter(()) if self.state() else measured(library.find(library.RELEASED).folder)

    def qualities(self) -> tuple[str, ...]:
        return qualities_in(library.find(library.RELEASED).folder)

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> ReleasedSession:
        """Raises :class:`InvalidInput` for transparency."""
        with uncollected():
            from .released_session import ReleasedSession, open_released

        if settings.transparent:
            raise InvalidInput("the released model does not support transparency", "switch Transparent off")
        return ReleasedSession(pool.get(library.find(library.RELEASED).folder, open_released), portrait, settings)


class Generated:
    """Renderer of a model folder that is conditioned on the reprojected photograph; see :class:`mimaface.renderers.base.Renderer`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    def state(self) -> str:
        whole = (self.folder / "model_index.json").exists()
        return "" if whole else f"the model is missing in {self.folder}: install MIMAFace again"

    def build(self) -> str:
        return "\0".join([checksums.fingerprint(self.folder), arithmetic_here()])

    def runtimes(self, earlier: Mapping[str, str] | None = None) -> dict[str, str]:
        return runtimes_of(self.folder, earlier)

    def networks(self) -> str:
        return choosing.in_words(self.folder)

    def measure(self) -> Iterator[str]:
        return measured(self.folder)

    def qualities(self) -> tuple[str, ...]:
        return qualities_in(self.folder)

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> GeneratedSession | ReprojectedSession:
        """A drawing in flat colours is only reprojected: networks that know photographs alone draw stains and halos on it."""
        quality = quality_in(self.folder, settings.quality)
        if portrait.flat or (quality is not None and quality.steps == 0):  # nothing is sampled, so no network is loaded
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


def runtimes_of(checkpoint: Path, earlier: Mapping[str, str] | None) -> dict[str, str]:
    """See :meth:`mimaface.renderers.base.Renderer.runtimes`."""
    return choosing.chosen(checkpoint) if earlier is None else choosing.still_there(checkpoint, earlier)


def measured(checkpoint: Path) -> Iterator[str]:
    """Measures the runtimes of a checkpoint folder's networks where that is outdated; see :meth:`mimaface.renderers.base.Renderer.measure`."""
    if choosing.is_outdated(checkpoint):
        from mimaface.engines import chosen_engine
        from mimaface.engines.precision import best_device

        yield from chosen_engine.measure(checkpoint, best_device())


RENDERERS: dict[str, Renderer] = {renderer.name: renderer for renderer in (Generated("demo", SHIPPED), Reprojected(), Released())}


def states() -> dict[str, str]:
    """Returns the state of every renderer by name: "" if it works on this machine, else the reason why not."""
    return {name: renderer.state() for name, renderer in RENDERERS.items()}


def usable(name: str) -> Renderer:
    """Returns the renderer ``name``. Raises :class:`InvalidInput` if there is none, or if it does not work on this machine."""
    if name not in RENDERERS:
        raise InvalidInput(f"engine {name!r} is unknown", f"use one of: {', '.join(RENDERERS)}")
    reason = RENDERERS[name].state()
    if reason:
        raise InvalidInput(f"engine {name} cannot be used: {reason}", "or choose another engine")
    return RENDERERS[name]


def build(name: str, earlier: str | None = None) -> str:
    """Returns a SHA-256 of what a renderer's frames depend on besides their inputs: version, weights, arithmetic and runtimes; these follow it,
    if there are others than torch: those chosen here, or as far as they are still there those of an ``earlier`` build."""
    renderer = RENDERERS[name]
    by = renderer.runtimes(None if earlier is None else runtimes_in(earlier))
    whole = "\0".join([__version__, renderer.build(), *choosing.in_texts(by)])
    return " ".join([hashlib.sha256(whole.encode()).hexdigest(), *([json.dumps(by, sort_keys=True)] if by else [])])


def runtimes_in(build: str) -> dict[str, str]:
    """Returns network → runtime of a build, without those that torch runs."""
    found: dict[str, str] = json.loads(build.partition(" ")[2] or "{}")
    return found
