"""Live face capture from the network or a webcam, opened by address: ``livelink://:11111``, ``webcam:0``."""

from __future__ import annotations

import re
from collections.abc import Callable

from mimaface.protocol.errors import InvalidInput

from .base import Decoder, Input, Sample, newest_of
from .ifacialmocap import IFacialMocap
from .live_link import LiveLinkFace
from .openseeface import OpenSeeFace
from .receiver import Receiver
from .recording import Recording, moves_from
from .vmc import Vmc
from .vtube_studio import VTubeStudio

__all__ = ["KINDS", "MICROPHONE", "WEBCAM", "Input", "Receiver", "Recording", "Sample", "moves_from", "newest_of", "open_stream"]

KINDS: dict[str, Callable[[], Decoder]] = {
    "livelink": LiveLinkFace, "ifacialmocap": IFacialMocap, "vts": VTubeStudio, "meowface": lambda: VTubeStudio(eyes=False), "vmc": Vmc,
    "openseeface": OpenSeeFace,
}  # fmt: skip
MICROPHONE = "microphone"  # followed by its name, or nothing
WEBCAM = "webcam"  # followed by the camera's number or name
ON_REQUEST = ("vts", "meowface")  # smartphone apps that send only on request
ADDRESS = re.compile(r"([a-z]+):(?://)?(\[[^/\[\]\s]+\]|[^:/\[\]\s]*)(?::(\d{1,5}))?/?")


def open_stream(address: str) -> Input:
    """Returns a receiver for ``KIND:``, ``KIND://HOST`` or ``KIND://HOST:PORT``, where the port is the local one to listen on, a webcam
    for ``webcam:NUMBER`` or ``webcam:NAME``, or a microphone for ``microphone:`` or ``microphone:NAME``.

    The host of ``vts``, ``meowface`` and ``ifacialmocap`` is the smartphone, which receives a request to send; that of other kinds is
    the local address to listen on, empty for all. Raises :class:`InvalidInput` and :class:`NotInstalled`.
    """
    if address.strip().partition(":")[0] == MICROPHONE:
        from .microphone import Microphone  # imports readers of speech, and cameras those of faces

        return Microphone(address.strip().partition(":")[2].removeprefix("//"))
    if address.strip().partition(":")[0] == WEBCAM:
        from .webcam import Webcam

        return Webcam(address.strip().partition(":")[2].removeprefix("//") or "0")
    found = ADDRESS.fullmatch(address.strip())
    if found is None or found[1] not in KINDS or int(found[3] or 0) > 65_535:
        raise InvalidInput(
            f"{address[:80]}: not the address of a stream",
            f"use one of {', '.join(f'{kind}:' for kind in (*KINDS, WEBCAM, MICROPHONE))}, as livelink://:11111 or webcam:0",
        )
    kind, host, port = found[1], found[2], int(found[3]) if found[3] else None
    if kind in ON_REQUEST and not host:
        raise InvalidInput(f"{kind}: the address of the smartphone is missing", f"give it as {kind}://192.168.0.20; the app shows it")
    if kind in (*ON_REQUEST, "ifacialmocap") and host:
        return Receiver(KINDS[kind], "", port if port is not None else 0 if kind in ON_REQUEST else None, peer=host)
    return Receiver(KINDS[kind], host, port)
