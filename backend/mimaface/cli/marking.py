"""Options and messages about marks and consent, for commands that write frames."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

from .terminal import warn

if TYPE_CHECKING:
    from mimaface.drivers.film import Film
    from mimaface.face.portrait import Portrait
    from mimaface.marking.marker import Marker
    from mimaface.protocol.settings import RenderSettings


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options about marks and consent."""
    command.add_argument(
        "--consent", choices=("self", "given", "not-needed"),
        help="whether the person in the photograph agreed: it is you, they did, or nobody alive is shown; stored, and written into every frame",
    )  # fmt: skip
    command.add_argument("--no-watermark", action="store_true", help="leave out the imperceptible watermark, for intermediate work")


def marker_for(portrait: Portrait | Film, settings: RenderSettings, consent: str | None, name: str) -> Marker:
    """Store the answer about ``consent`` and return the marker of a shot; print what its frames will lack.

    Without an answer a warning is printed, once per photograph. ``name``: of the photograph in that warning.
    """
    from mimaface.face.portrait import Portrait
    from mimaface.marking.consent import NOT_STATED, keep_consent, was_asked
    from mimaface.marking.marker import Marker
    from mimaface.protocol.connection import default_folder
    from mimaface.protocol.errors import DiskFull, NotWritable
    from mimaface.reprojection.crops import face_box

    home = default_folder()
    face = face_box(portrait, settings.size, settings.framing) if isinstance(portrait, Portrait) else portrait.face_box(settings.size)
    if consent is not None:
        keep_consent(home, portrait.sha256, consent)
    elif not was_asked(home, portrait.sha256):
        with contextlib.suppress(NotWritable, DiskFull):  # then the next run asks again
            keep_consent(home, portrait.sha256, NOT_STATED)
        warn(f"did the person in {name} agree? Answer once with --consent self, given or not-needed; until then frames contain “{NOT_STATED}”")
    marker = Marker(portrait.sha256, settings, home, face)
    if not settings.watermark:
        warn("frames have no watermark (--no-watermark): they are for intermediate work, which their credentials state")
    if marker.problem:
        warn(marker.problem)
    return marker
