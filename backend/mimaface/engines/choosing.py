"""Which runtime runs which network here: chosen once, by measuring, and kept beside the exports; until then, and where it fails, torch.

``choice.json`` in :func:`mimaface.engines.exported.exports_folder` holds what :func:`mimaface.engines.chosen_engine.measure` found on this
machine. It counts only for the same weights, versions and device; frames of one take are made by the same runtimes, or the take says why
not.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mimaface.protocol.files import write_whole
from mimaface.weights import checksums

from .exported import exports_folder
from .runtimes import runtimes

log = logging.getLogger(__name__)
NAME = "choice.json"
TORCH = "torch"
# of torch's time that a network has to save to be run by another runtime: less changes a take's bytes for what nobody notices
WORTH = 0.1
# largest difference to torch in float32, relative to the output's deviation: what its own half precision differs by at most
TRUSTED = 5e-2


@dataclass(frozen=True)
class Measured:
    """One network by one runtime: ``runtime`` as :class:`Runtime` names itself, the ``difference`` to torch in float32, ``milliseconds`` a
    call, or in ``failed`` why it does not run here."""

    runtime: str
    difference: float = 0.0
    milliseconds: float = 0.0
    failed: str = ""


@dataclass(frozen=True)
class Choice:
    """here: what the measurements hold for; measured: network → all that was tried; withdrawn: runtime → why it is used no more."""

    here: str
    measured: Mapping[str, tuple[Measured, ...]]
    withdrawn: Mapping[str, str]

    def best(self, network: str) -> str:
        """The runtime of a network: the fastest that is right, or torch where none is :data:`WORTH` it."""
        tried = {one.runtime: one for one in self.measured.get(network, ())}
        if TORCH not in tried:
            return TORCH
        limit = tried[TORCH].milliseconds * (1 - WORTH)
        right = [
            one
            for one in tried.values()
            if not one.failed and one.difference <= TRUSTED and one.milliseconds <= limit and one.runtime not in self.withdrawn
        ]
        return min(right, key=lambda one: one.milliseconds).runtime if right else TORCH


def here() -> str:
    """What decides a network's bytes and speed on this machine, whatever runs it."""
    from .precision import arithmetic  # torch is loaded only where something was exported

    return arithmetic()


def read_choice(folder: Path) -> Choice | None:
    """What was measured in an exports folder, here or elsewhere; None where nothing was."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        measured = {name: tuple(Measured(**one) for one in every) for name, every in content["measured"].items()}
        return Choice(str(content["here"]), measured, {str(name): str(why) for name, why in content["withdrawn"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write_choice(folder: Path, choice: Choice) -> None:
    """Raises :class:`OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NAME, json.dumps(asdict(choice), indent=1).encode())


def chosen(checkpoint: Path) -> dict[str, str]:
    """network → runtime, of those networks of a checkpoint folder that another runtime than torch runs here. Nothing is loaded."""
    folder = exports_of(checkpoint)
    choice = read_choice(folder) if folder else None
    if folder is None or choice is None or choice.here != here():
        return {}
    usable = {one.name for one in runtimes(folder)}
    best = {name: choice.best(name) for name in choice.measured}
    return {name: runtime for name, runtime in best.items() if runtime in usable}


def runtimes_here(checkpoint: Path) -> list[str]:
    """Which networks of a checkpoint folder another runtime than torch runs here, and which: names what decides a frame's bytes."""
    return [f"{network} by {runtime}" for network, runtime in sorted(chosen(checkpoint).items())]


def exports_of(checkpoint: Path) -> Path | None:
    """The folder of exports of a checkpoint folder; None where there is none, which is found out quickly."""
    if not exports_folder("").is_dir():
        return None
    folder = exports_folder(checksums.fingerprint(checkpoint))
    return folder if folder.is_dir() else None


def in_words(checkpoint: Path) -> str:
    """What runs the networks of a checkpoint folder, and what failed here; "" where nothing was ever exported. Without torch."""
    folder = exports_of(checkpoint)
    choice = read_choice(folder) if folder else None
    if folder is None or choice is None:
        return ""
    if "torch" in sys.modules and choice.here != here():
        return "networks by torch; exports were measured with another device or version: repeat mimaface export"
    usable = {one.name for one in runtimes(folder)}
    by: dict[str, list[str]] = {}
    for network in choice.measured:
        best = choice.best(network)
        by.setdefault(best if best in usable else TORCH, []).append(network)
    words = [f"{', '.join(networks)} by {runtime}" for runtime, networks in by.items()]
    return "; ".join([*words, *(f"{runtime} failed and is used no more ({why})" for runtime, why in choice.withdrawn.items())])


def withdraw(checkpoint: Path, runtime: str, error: BaseException) -> str:
    """Use a runtime no more for what was exported of a checkpoint folder, until it is measured again. Returns why; the log says it, too."""
    first = next(iter(str(error).strip().splitlines()), "no words")
    why = f"{type(error).__name__}: {first}"
    log.warning("%s fails here, so torch runs these networks from now on (%s)", runtime, why)
    folder = exports_of(checkpoint)
    choice = read_choice(folder) if folder else None
    if folder is not None and choice is not None:
        write_choice(folder, replace(choice, withdrawn={**choice.withdrawn, runtime: why}))
    return why
