"""Training loop on accelerate: one or several processes, resumable bit for bit on one device.

Every random number of a step is a function of (seed, step, place in the global batch), so checkpoints contain no generator state,
and any number of processes uses the same numbers.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from mimaface.engines.precision import mixed_precision
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InternalError, InvalidCheckpoint

from . import checkpoints
from .adversary import players
from .config import TrainingConfig

log = logging.getLogger(__name__)
BAD_STEPS = 3  # consecutive skipped steps after which a run stops


@dataclass(frozen=True, eq=False)
class Batch:
    """Tensors for the trainee, and the names of their samples."""

    tensors: dict[str, Any]
    names: list[str]


class Stage(Protocol):
    """A training stage of a ``model``. ``trainee(tensors)`` returns {"loss": scalar, other losses, "remember": …}."""

    model: MimaFaceModel
    trainee: nn.Module

    def batch(self, step: int, places: range) -> Batch:
        """Returns the items ``places`` of a step's global batch, on the CPU."""
        ...

    def after_step(self, accelerator: Accelerator, outputs: dict[str, Tensor], batch: Batch) -> None:
        """Updates state for later steps, identically in every process; without state does nothing."""
        return

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """Returns numbers and a contact sheet (H, W, 3) uint8 for the current weights."""
        ...

    def extra_state(self) -> dict[str, Tensor]:
        """Returns the state for a checkpoint."""
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Restores the state from a checkpoint."""
        return

    def save_model(self, folder: Path) -> None:
        """Writes the finished model with the current weights."""
        self.model.save_pretrained(folder)


def train(stage: Stage, config: TrainingConfig, output: Path, minutes: float | None = None) -> int:
    """Trains until ``config.steps``, or for ``minutes``; returns the number of steps done in total.

    Resumes from the newest checkpoint in ``output``. Raises :class:`InvalidCheckpoint` for one of another configuration, and
    :class:`InternalError` after three consecutive steps without a finite gradient.
    """
    run = _Run(make_accelerator(config), stage, config, output)
    try:
        return _train(run, minutes)
    finally:
        run.close()


def _train(run: _Run, minutes: float | None) -> int:
    accelerator, config = run.accelerator, run.config
    step, deadline = run.resume(), time.monotonic() + 60 * minutes if minutes else float("inf")
    last_saved, began, seen = step, time.monotonic(), 0
    while step < config.steps and _all_continue(accelerator, time.monotonic() < deadline):
        run.step(step)
        step, seen = step + 1, seen + config.batch
        if step % 50 == 0 and accelerator.is_main_process:
            run.note({"samples_per_second": seen / (time.monotonic() - began)}, step)
            began, seen = time.monotonic(), 0
        if step % config.evaluate_every == 0 or step == config.steps:
            run.evaluate(step)
        if step % config.save_every == 0 or step == config.steps:
            run.save(step)
            last_saved = step
    if step != last_saved:
        run.save(step)
    if step == config.steps and accelerator.is_main_process:
        with run.averaged_weights():
            run.stage.save_model(run.output / "model")
    accelerator.wait_for_everyone()
    return step


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Returns an accelerator of the configured precision that allows unused parameters.

    Accelerate keeps a process's first precision for all later accelerators and rejects another; the state is reset here, so that
    one process can train again in a different precision. The process group persists: it can be joined only once.
    """
    AcceleratorState._reset_state()
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    set_seed(config.seed)
    cpu = not torch.cuda.is_available()  # explicit, for otherwise several CPU processes would not form a group
    precision = mixed_precision(config.precision, "cpu" if cpu else "cuda")
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[unused])


class _Run:
    """State of a run."""

    def __init__(self, accelerator: Accelerator, stage: Stage, config: TrainingConfig, output: Path) -> None:
        self.accelerator, self.stage, self.config, self.output = accelerator, stage, config, output
        self.players = players(stage.trainee)
        trained = [parameter for player in self.players for parameter in player]
        groups = [{"params": player} for player in self.players]
        optimiser = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=0.0, betas=(0.9, 0.99))
        self.model, self.optimiser = accelerator.prepare(stage.trainee, optimiser)
        self.average = EMAModel(trained, decay=config.ema_decay, use_ema_warmup=True, power=0.75)
        self.trained, self.bad_steps = trained, 0
        self.board: Any = None
        if accelerator.is_main_process:
            from torch.utils.tensorboard import SummaryWriter

            output.mkdir(parents=True, exist_ok=True)
            self.board = SummaryWriter(str(output / "curves"))

    def step(self, step: int) -> None:
        """Performs an optimiser step on this process's share of the batch."""
        accelerator, config = self.accelerator, self.config
        for group, rate in zip(self.optimiser.param_groups, (config.rate_at(step), config.losses.adversary_pace * config.learning_rate)):
            group["lr"] = rate
        share = range(accelerator.process_index, config.batch, accelerator.num_processes)
        parts = [share[i :: config.accumulate] for i in range(config.accumulate) if len(share[i :: config.accumulate])]
        losses: dict[str, float] = {}
        done: list[tuple[dict[str, Tensor], Batch]] = []
        for number, places in enumerate(parts):
            batch = self.stage.batch(step, places)
            hold = number + 1 < len(parts)
            with accelerator.no_sync(self.model) if hold else nullcontext():
                outputs = self.model(_moved(batch.tensors, accelerator.device))
                accelerator.backward(outputs["loss"] * len(places) / len(share))
            done.append((outputs, batch))
            for name, value in outputs.items():
                if value.ndim == 0:
                    losses[name] = losses.get(name, 0.0) + float(value.detach()) * len(places) / len(share)
        norm = sum(float(accelerator.clip_grad_norm_(player, config.clip_norm)) for player in self.players)
        names = [name for _, batch in done for name in batch.names]
        if self._finite(norm, step, names):
            self.optimiser.step()
            self.average.step(self.trained)
            for outputs, batch in done:
                self.stage.after_step(accelerator, outputs, batch)
        self.optimiser.zero_grad(set_to_none=True)
        if step % 10 == 0:
            self.note({**losses, "gradient_norm": norm, "learning_rate": config.rate_at(step)}, step)

    def _finite(self, norm: float, step: int, names: list[str]) -> bool:
        """Returns whether to take the step; the norm is equal in all processes, so they agree."""
        if norm == norm and norm != float("inf"):
            self.bad_steps = 0
            return True
        self.bad_steps += 1
        log.warning("step %d: the gradient is not finite, skipped; samples %s", step, ", ".join(names))
        if self.bad_steps >= BAD_STEPS:
            raise InternalError(
                f"training stopped at step {step}: {BAD_STEPS} steps in a row without a finite gradient, last samples {', '.join(names)}",
                "look at these samples, or lower the learning rate; the last checkpoint is good",
            )
        return False

    def note(self, values: dict[str, float], step: int) -> None:
        """Writes values to TensorBoard and the log."""
        if self.board is None:
            return
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        log.info("step %d  %s", step, "  ".join(f"{name} {value:.4g}" for name, value in values.items()))

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Context in which the exponential moving average replaces the weights."""
        self.average.store(self.trained)
        self.average.copy_to(self.trained)
        try:
            yield
        finally:
            self.average.restore(self.trained)

    def evaluate(self, step: int) -> None:
        """Writes numbers and contact sheet of the averaged weights."""
        if self.accelerator.is_main_process:
            from PIL import Image

            with self.averaged_weights(), torch.no_grad():
                numbers, sheet = self.stage.evaluate()
            self.note({f"held_out/{name}": value for name, value in numbers.items()}, step)
            self.board.add_image("held_out", sheet, step, dataformats="HWC")
            (self.output / "sheets").mkdir(exist_ok=True)
            Image.fromarray(sheet).save(self.output / "sheets" / f"{step:07d}.jpg", quality=90)
        self.accelerator.wait_for_everyone()

    def save(self, step: int) -> None:
        """Writes a checkpoint atomically."""
        if self.accelerator.is_main_process:
            state = {
                "weights": dict(self._named()),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.state_dict(),
                "extra": self.stage.extra_state(),
            }
            checkpoints.write(self.output / "checkpoints", step, state, self.config)
            self.board.flush()
        self.accelerator.wait_for_everyone()

    def _named(self) -> list[tuple[str, Tensor]]:
        model = self.accelerator.unwrap_model(self.model)
        return [(name, value.detach()) for name, value in model.named_parameters() if value.requires_grad]

    def resume(self) -> int:
        """Loads the newest checkpoint, if any; returns its step. Raises :class:`InvalidCheckpoint` for one of other networks."""
        found = checkpoints.read_newest(self.output / "checkpoints", self.config)
        if found is None:
            return 0
        step, state = found
        if list(state["weights"]) != [name for name, _ in self._named()]:  # by whose order the optimiser's numbers are found
            raise InvalidCheckpoint(
                f"{self.output}: the run was begun by a version whose networks have other layers, or in another order",
                "continue it with that version, or begin a new run with --model and the folder of its model",
            )
        with torch.no_grad():
            for name, value in self._named():
                value.copy_(state["weights"][name])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.accelerator.device)
        self.stage.load_extra_state(state["extra"])
        log.info("resumed at step %d", step)
        return step

    def close(self) -> None:
        if self.board is not None:
            self.board.close()


def item_generator(seed: int, step: int, place: int) -> torch.Generator:
    """Returns the generator of one item of one step, equal in every process."""
    digest = hashlib.sha256(f"{seed}/{step}/{place}/".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _moved(tensors: dict[str, Any], device: torch.device) -> dict[str, Any]:
    def move(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: move(item) for name, item in value.items()}
        return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value

    return {name: move(value) for name, value in tensors.items()}


def _all_continue(accelerator: Accelerator, going: bool) -> bool:
    """Returns whether every process continues, so that none waits for one that has stopped."""
    if accelerator.num_processes == 1:
        return going
    flags = accelerator.gather(torch.tensor([int(going)], device=accelerator.device))
    return bool(flags.min())
