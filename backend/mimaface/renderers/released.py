"""The authors' checkpoint as a renderer; ``mimaface models`` installs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimaface.collector import uncollected
from mimaface.engines import choosing
from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.model.config import qualities_in
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.settings import RenderSettings
from mimaface.weights import checksums, library

from .generated import arithmetic_here

if TYPE_CHECKING:
    from .released_session import ReleasedSession


class Released:
    """See :class:`mimaface.renderers.base.Renderer`."""

    name = "released"

    def state(self) -> str:
        found = [model.state for model in library.installed() if model.name == library.RELEASED]
        return found[0] if found else "not installed: mimaface models pull released"

    def build(self) -> str:
        folder = library.find(library.RELEASED).folder
        parts = [checksums.fingerprint(folder)]
        if library.gaze_file().exists():
            parts.append(checksums.digest(library.gaze_file()))
        if (decoder := library.draft_decoder_folder()) is not None:
            parts.append(checksums.fingerprint(decoder))
        return "\0".join([*parts, arithmetic_here(), *choosing.runtimes_here(folder)])

    def networks(self) -> str:
        return choosing.in_words(library.find(library.RELEASED).folder) if not self.state() else ""

    def qualities(self) -> tuple[str, ...]:
        return qualities_in(library.find(library.RELEASED).folder)

    def open(self, portrait: Portrait, settings: RenderSettings, pool: EnginePool) -> ReleasedSession:
        """Raises :class:`InvalidInput` for transparency."""
        with uncollected():
            from .released_session import ReleasedSession, open_released

        if settings.transparent:
            raise InvalidInput("the released model does not support transparency", "switch Transparent off")
        return ReleasedSession(pool.get(library.find(library.RELEASED).folder, open_released), portrait, settings)
