"""Which of several programs that send to one port is heard: the first, until it is silent or another one is chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .base import Decoder, Sample

# Seconds of silence after which packets of another sender are accepted. Raised: a second smartphone waits longer; lowered: it takes over when
# the network is slow
SILENCE = 0.5
MOST = 64  # places remembered at a time, which bounds memory; those of a sender that changes its port with every packet are as many
LISTED = 8  # names told at most. Raised: a flood from many ports makes a longer list

Place = tuple[str, int]  # address and port that packets come from
Key = tuple[Place, str]  # and the device, where several send from one place


@dataclass
class Sender:
    """subject: its own name for users, or ""; packets that were read; heard: monotonic seconds of the last one."""

    subject: str
    heard: float
    packets: int = 0


class Senders:
    """Decodes the packets of each place by a decoder of its own, so that those of two senders do not mix. Safe from any thread."""

    def __init__(self, new: Callable[[], Decoder]) -> None:
        self._new, self._lock = new, threading.Lock()
        self._decoders: dict[Place, tuple[Decoder, float]] = {}  # with the monotonic seconds of the place's last packet
        self._known: dict[Key, Sender] = {}
        self._current: Key | None = None
        self._chosen: Key | None = None

    def expects(self, place: Place, now: float) -> bool:
        """Whether a packet from a place is to be read: from that of the heard sender, from an unknown one, or from any while none is heard."""
        with self._lock:
            self._drop_silent(now)
            if place not in self._decoders:
                return len(self._decoders) < MOST
            if place in [key[0] for key in (self._current, self._chosen) if key is not None] or not self._holds(now):
                return True
            self._decoders[place] = self._decoders[place][0], now
            for key, sender in self._known.items():
                if key[0] == place:
                    sender.heard = now
            return False

    def decode(self, packet: bytes, place: Place, now: float) -> tuple[Sample | None, bool]:
        """Returns the sample that a packet completes, if any, and whether its sender is heard. Raises :class:`UnknownPacket`."""
        with self._lock:
            decoder, _ = self._decoders.get(place, (None, now))
            decoder = self._new() if decoder is None else decoder
            self._decoders[place] = decoder, now
            sample = decoder.decode(packet, now)
            key = place, "" if sample is None else sample.device
            if key not in (self._current, self._chosen) and self._holds(now) and not self._changes_ports(key):
                heard = False
            else:
                heard, self._current = True, key
            sender = self._known.setdefault(key, Sender("", now))
            sender.heard, sender.packets = now, sender.packets + 1
            sender.subject = sender.subject if sample is None else sample.subject
            return sample, heard

    def names(self, now: float) -> list[str]:
        """Returns the names of those that send, and of the heard one, which is first."""
        with self._lock:
            self._drop_silent(now)
            return list(self._named())[:LISTED]

    def choose(self, name: str) -> bool:
        """Hear this sender of :meth:`names` whenever it sends; returns whether there is one of this name."""
        with self._lock:
            found = self._named().get(name)
            if found is not None:
                self._current = self._chosen = found
            return found is not None

    def _named(self) -> dict[str, Key]:
        """Returns the senders by name, the heard one first; a subject that several have is told apart by its place."""
        shown = [
            (key, sender) for key, sender in self._known.items() if key == self._current or sender.packets > 1 or not self._changes_ports(key)
        ]  # fmt: skip
        subjects = [sender.subject for _, sender in shown]
        found = {}
        for key, sender in sorted(shown, key=lambda item: item[0] != self._current):
            place = f"{key[0][0].removeprefix('::ffff:')}:{key[0][1]}"
            name = sender.subject if subjects.count(sender.subject) == 1 else f"{sender.subject} ({place})"
            found[name if sender.subject else place] = key
        return found

    def _holds(self, now: float) -> bool:
        return self._current in self._known and now - self._known[self._current].heard <= SILENCE

    def _changes_ports(self, key: Key) -> bool:
        """Whether the heard sender may be this one, from another port: nothing has come twice from its port."""
        if self._current is None:
            return False
        (place, device), ((host, _), other) = self._current, key
        return (place[0], device) == (host, other) and self._known[self._current].packets == 1

    def _drop_silent(self, now: float) -> None:
        for key in [key for key, sender in self._known.items() if now - sender.heard > SILENCE and key != self._current]:
            del self._known[key]
        held = self._current[0] if self._current is not None else None
        for place in [place for place, (_, came) in self._decoders.items() if now - came > SILENCE and place != held]:
            del self._decoders[place]
