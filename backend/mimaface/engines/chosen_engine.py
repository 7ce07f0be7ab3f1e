"""Runs each network of a model by its selected runtime, see :mod:`mimaface.engines.choosing`, and measures the runtimes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from mimaface.model.refiner import Refinement
from mimaface.model.vision import VisionTokens
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.shortage import shortage
from mimaface.weights import checksums

from .base import Engine
from .choosing import TORCH, Choice, Measured, chosen, exports_of, here, in_words, withdraw, write_choice
from .exported import CONTEXT, DECODE, DENOISE, ENCODE, REFINE, VISION, exports_folder
from .parity import COUNTS, difference, latent_size, networks_of, random_inputs, seconds
from .runtimes import runtimes
from .torch_engine import TorchEngine

log = logging.getLogger(__name__)
Result = TypeVar("Result")


def measure(checkpoint: Path, device: torch.device) -> Iterator[str]:
    """Run every network of a checkpoint folder by every installed runtime, compare it with torch in float32, and at last store the results.

    Yields a sentence after each network and runtime. Nothing is stored if it is closed before the end.
    """
    folder = exports_folder(checksums.fingerprint(checkpoint))
    reference, usual = TorchEngine.open(checkpoint, device, torch.float32), TorchEngine.open(checkpoint, device)
    clip = reference.config.clip_length
    tests = [
        random_inputs(reference.config, latent_size(reference), *count, seed=seed)
        for seed, count in enumerate((*COUNTS, (1, clip)))
    ]

    def tried(name: str, opened: Callable[[], Engine], network: str) -> Measured:
        try:
            engine = opened()
            worst = max(difference(engine, reference, network, inputs) for inputs in tests)
            return Measured(name, worst, 1000 * seconds(engine, network, tests[-1]))
        except Exception as error:  # the runtimes' errors have no common base
            return Measured(name, failed=f"{type(error).__name__}: {error}"[:200])

    measured: dict[str, list[Measured]] = {network: [] for network in networks_of(reference)}
    for network, rows in measured.items():
        by: dict[str, Callable[[], Engine]] = {TORCH: lambda: usual}
        by |= {one.name: partial(one.open, (network,)) for one in runtimes(folder)}
        for name, opened in by.items():
            rows.append(tried(name, opened, network))
            row = rows[-1]
            yield f"{network} by {name}: " + (row.failed or f"{row.milliseconds:.1f} ms, differs by {row.difference:.1e}")
    write_choice(folder, Choice(here(), {network: tuple(rows) for network, rows in measured.items()}, {}))


def open_engine(checkpoint: Path, device: torch.device, by: Mapping[str, str] | None = None) -> Engine:
    """Open the networks of a checkpoint folder, each by its runtime in ``by``, which is :func:`chosen` without one, else by torch.

    A runtime whose networks cannot be loaded is withdrawn. Raises :class:`InvalidCheckpoint`, and the errors of a lack of memory.
    """
    wanted, folder = chosen(checkpoint) if by is None else by, exports_of(checkpoint)
    if folder is None or not wanted:
        return TorchEngine.open(checkpoint, device)
    loaded: dict[str, tuple[str, Engine]] = {}
    for runtime in runtimes(folder):
        mine = tuple(network for network, name in wanted.items() if name == runtime.name)
        if not mine:
            continue
        try:
            engine = runtime.open(mine)
        except Exception as error:
            if shortage(error) is not None:
                raise
            withdraw(checkpoint, runtime.name, error)
            continue
        loaded |= dict.fromkeys(mine, (runtime.name, engine))
    usual = TorchEngine.open(checkpoint, device)
    log.info("%s: %s", checkpoint.name, in_words(checkpoint))
    return ChosenEngine(usual, loaded, checkpoint) if loaded else usual


class ChosenEngine:
    """Each network of a model by its own runtime; see :class:`mimaface.engines.base.Engine`.

    A runtime that fails during a take ends the take with an error, because other runtimes give other bytes, and is withdrawn. A lack of
    memory is raised unchanged, so that the caller can continue later.
    """

    def __init__(self, usual: Engine, loaded: Mapping[str, tuple[str, Engine]], checkpoint: Path) -> None:
        self._usual, self._loaded, self._checkpoint = usual, loaded, checkpoint
        self.config, self.device, self.has_refiner = usual.config, usual.device, usual.has_refiner

    def _by(self, network: str, call: Callable[[Engine], Result]) -> Result:
        name, engine = self._loaded.get(network, (TORCH, self._usual))
        try:
            return call(engine)
        except Exception as error:
            if name == TORCH or isinstance(error, InvalidInput) or shortage(error) is not None:
                raise
            why = withdraw(self._checkpoint, name, error)
            raise InvalidCheckpoint(
                f"{name} failed while frames were made ({why}); torch takes its place",
                "make the take anew: press Generate, or repeat it",
            ) from error

    def encode_images(self, images: Tensor) -> Tensor:
        return self._by(ENCODE, lambda engine: engine.encode_images(images).to(self.device))

    def encode_source(self, image: Tensor) -> VisionTokens:
        return self._by(VISION, lambda engine: VisionTokens(*(value.to(self.device) for value in engine.encode_source(image))))

    def context(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        return self._by(CONTEXT, lambda engine: engine.context(source, signals).to(self.device))

    def denoise(self, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        return self._by(DENOISE, lambda engine: engine.denoise(sample, timestep, context).to(self.device))

    def decode_latents(self, latents: Tensor) -> Tensor:
        return self._by(DECODE, lambda engine: engine.decode_latents(latents).to(self.device))

    def refine(self, **inputs: Tensor) -> Refinement:
        return self._by(REFINE, lambda engine: Refinement(*(value.to(self.device) for value in engine.refine(**inputs))))
