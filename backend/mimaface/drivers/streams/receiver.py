"""UDP receiver of one stream, with limits on packet size and rate."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mimaface.protocol.errors import InvalidInput

from .base import Decoder, Sample, UnknownPacket
from .senders import Place, Senders

TRACKING_TIMEOUT = 0.5  # seconds without a face after which ``tracking`` is False. Raised: a lost smartphone is noticed later
LARGEST_RATE = 500  # packets decoded per second at most; a smartphone sends 60. Raised: a flood takes more processor time
REQUEST_INTERVAL = 1.0  # seconds between requests to a smartphone, whose subscription expires
BUFFER = 1 << 20  # bytes of the socket's receive buffer

Address = tuple[int, Any]  # its family, and the address as the system has it


class Receiver:
    """Receives samples with :meth:`poll`; use as a context manager."""

    delay = 0.0  # seconds from a packet's coming to its sample: reading one takes less than a millisecond

    def __init__(self, new: Callable[[], Decoder], host: str = "", port: int | None = None, peer: str = "") -> None:
        """Binds ``port`` (None: the stream's default; 0: any) of ``host`` ("": all local addresses), for packets of ``new`` decoders.

        peer: address of a smartphone that sends on request; packets from others are dropped. Raises :class:`InvalidInput`.
        """
        self.decoder, self.ignored, self.packets = new(), 0, 0
        decoder = self.decoder
        self.note = ""  # hint for the user from the last unknown packet
        self._greeted = self._seen = float("-inf")
        self._senders = Senders(new)
        self._budget, self._counted = float(LARGEST_RATE), time.monotonic()
        wanted = decoder.port if port is None else port
        try:
            self._peer = _places(peer, decoder.port)[0] if peer else None
            self._socket = _bound(host, wanted, self._peer)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput(
                f"cannot listen for {decoder.name} at {host or '*'}:{wanted}: {reason}",
                "end the program that listens there, or use another port",
            ) from error

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def name(self) -> str:
        """The stream's name for users."""
        return self.decoder.name

    @property
    def where(self) -> str:
        """The address as text."""
        return f"port {self.port}"

    @property
    def port(self) -> int:
        """The bound port."""
        return int(self._socket.getsockname()[1])

    @property
    def tracking(self) -> bool:
        """Whether a face was received within ``TRACKING_TIMEOUT``."""
        return time.monotonic() - self._seen < TRACKING_TIMEOUT

    @property
    def senders(self) -> list[str]:
        """See :class:`Input`."""
        return self._senders.names(time.monotonic())

    def choose(self, name: str) -> bool:
        """See :meth:`Input.choose`."""
        return self._senders.choose(name)

    def poll(self, timeout: float) -> list[Sample]:
        """Returns the samples received since the last call, in order; waits up to ``timeout`` seconds for the first."""
        self._greet()
        wait = min(timeout, REQUEST_INTERVAL) if self._peer else timeout
        if not select.select([self._socket], [], [], max(wait, 0.0))[0]:
            return []
        samples = []
        for packet, place in self._packets():
            arrived = time.monotonic()
            try:
                sample, heard = self._senders.decode(packet, place, arrived)
            except UnknownPacket as error:
                self.ignored += 1
                self.note = str(error) or self.note
                continue
            if not heard:
                self.ignored += 1
                continue
            self.note = ""
            self.packets += 1
            if sample is not None:
                samples.append(replace(sample, arrived=arrived))
                self._seen = arrived if sample.blendshapes is not None else self._seen
        return samples

    def _greet(self) -> None:
        now = time.monotonic()
        if self._peer and now - self._greeted >= REQUEST_INTERVAL:
            self._greeted = now
            try:
                self._socket.sendto(self.decoder.greeting(self.port), self._peer[1])
            except OSError:  # network temporarily unavailable: the request is repeated
                return

    def _packets(self) -> list[tuple[bytes, Place]]:
        """Returns the received packets within the rate limit and where they come from; of too many, the newest."""
        now = time.monotonic()
        self._budget, self._counted = min(self._budget + (now - self._counted) * LARGEST_RATE, LARGEST_RATE), now
        found: deque[tuple[bytes, Place]] = deque(maxlen=max(int(self._budget), 1))
        for _ in range(2 * LARGEST_RATE):  # bounds one call during a flood
            try:
                packet, (host, port, *_) = self._socket.recvfrom(self.decoder.largest + 1)
            except BlockingIOError:
                break
            except OSError:  # reply of the system to a request that reached no peer
                continue
            stranger = self._peer is not None and host != str(self._peer[1][0])
            if len(packet) > self.decoder.largest or stranger or not self._senders.expects((host, port), now):
                self.ignored += 1
                continue
            self.ignored += len(found) == found.maxlen
            found.append((packet, (host, port)))
        self._budget -= len(found)
        return list(found)


def _places(host: str, port: int) -> list[Address]:
    """Returns the addresses of a host, those of IPv4 first. Raises :class:`OSError` where there is none."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)
    return sorted(((family, address) for family, _, _, _, address in found), key=lambda place: place[0] != socket.AF_INET)


def _bound(host: str, port: int, peer: Address | None) -> socket.socket:
    """Returns a socket at a local address; of "" at all of them, of IPv4 and IPv6 alike unless ``peer`` says which."""
    both = not host and peer is None and socket.has_dualstack_ipv6()
    family, address = (socket.AF_INET6 if both else socket.AF_INET if peer is None else peer[0]), (host, port)
    if host:
        family, address = next((place for place in _places(host, port) if peer is None or place[0] == peer[0]), (family, (host, port)))
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if both:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        made.setblocking(False)
        made.bind(address)
    except (OSError, OverflowError):
        made.close()
        raise
    return made
