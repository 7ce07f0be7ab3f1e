"""Live face capture from the network or a webcam, by the address that a user types: ``livelink://:11111``, ``webcam:0``."""

from __future__ import annotations

import re
from collections.abc import Callable

from mimaface.protocol.errors import InvalidInput

from .base import Decoder, Input, Sample
from .ifacialmocap import IFacialMocap
from .live_link import LiveLinkFace
from .openseeface import OpenSeeFace
from .receiver import Receiver
from .recording import Recording, moves_from
from .vmc import Vmc
from .vtube_studio import VTubeStudio
from .webcam import Webcam

__all__ = ["KINDS", "WEBCAM", "Input", "Receiver", "Recording", "Sample", "moves_from", "open_stream"]

KINDS: dict[str, Callable[[], Decoder]] = {
    "livelink": LiveLinkFace, "ifacialmocap": IFacialMocap, "vts": VTubeStudio, "meowface": lambda: VTubeStudio(eyes=False), "vmc": Vmc,
    "openseeface": OpenSeeFace,
}  # fmt: skip
WEBCAM = "webcam"  # its camera follows: a number, or a name
ASKED = ("vts", "meowface")  # telephones that send only to who asks them
ADDRESS = re.compile(r"([a-z]+):(?://)?(\[[0-9a-f:]+\]|[^:/\[\]\s]*)(?::(\d{1,5}))?/?")


def open_stream(address: str) -> Input:
    """A receiver for ``KIND:``, ``KIND://HOST`` or ``KIND://HOST:PORT``, the port being the one of this computer that is listened at; or a webcam
    for ``webcam:NUMBER`` or ``webcam:NAME``.

    The host of ``vts``, ``meowface`` and ``ifacialmocap`` is the telephone, which is asked to send; that of the others is the address of
    this computer to listen at, empty for all of them. Raises :class:`InvalidInput` and :class:`NotInstalled`.
    """
    if address.strip().partition(":")[0] == WEBCAM:
        return Webcam(address.strip().partition(":")[2].removeprefix("//") or "0")
    found = ADDRESS.fullmatch(address.strip())
    if found is None or found[1] not in KINDS or int(found[3] or 0) > 65_535:
        raise InvalidInput(
            f"{address[:80]}: not the address of a stream",
            f"use one of {', '.join(f'{kind}:' for kind in (*KINDS, WEBCAM))}, as livelink://:11111 or webcam:0",
        )
    kind, host, port = found[1], found[2], int(found[3]) if found[3] else None
    if kind in ASKED and not host:
        raise InvalidInput(f"{kind}: the telephone must be asked", f"add its address, as {kind}://192.168.0.20; the app shows it")
    decoder = KINDS[kind]()
    if kind in (*ASKED, "ifacialmocap") and host:
        return Receiver(decoder, "", port if port is not None else 0 if kind in ASKED else None, peer=host)
    return Receiver(decoder, host, port)
