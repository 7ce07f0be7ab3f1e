"""Few steps: a student learns to sample in ``student_steps`` what its teacher samples in many, under guidance.

Consistency distillation (Song et al. 2023; of latents: Luo et al. 2023) with the teacher's guidance folded in (Meng et al. 2023), one
stretch of the way from noise to picture for every step of the student (Heek et al. 2024; Wang et al. 2024): from any place of a stretch the
student goes to its end in one step. Teacher and student take DDIM's steps, so the student is sampled as every other model.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mimaface.model.conditioning import Affinity
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.sampling import schedule
from mimaface.sampling.sampler import conditional

from .config import TrainingConfig
from .denoising import Denoising, DenoisingStage, sample_latents
from .latents import LatentStore
from .loop import Batch


def student_of(teacher: MimaFaceConfig, steps: int) -> MimaFaceConfig:
    """The configuration of a student: its own steps, evenly from the last timestep on, in one pass each."""
    return teacher.but(sampler=replace(teacher.sampler, steps=steps, spacing="trailing"), guidance=1.0, qualities={})


class Distillation(Denoising):
    """Student and teacher with their loss. The teacher's way has ``length`` places, then the clean latents; a stretch has ``each``."""

    signal: Tensor
    noise: Tensor
    timestep: Tensor

    def __init__(self, model: MimaFaceModel, config: TrainingConfig) -> None:
        super().__init__(model, config)
        self.teacher = copy.deepcopy(model.unet).requires_grad_(False)
        self.of_teacher = model.config
        sampler = model.config.sampler
        self.each = max(min(-(-sampler.steps // config.student_steps), sampler.train_steps // config.student_steps), 1)
        self.length = self.each * config.student_steps
        places = schedule.ddim_points(self.alphas, schedule.trailing_timesteps(self.length, sampler.train_steps))
        for name in schedule.Point._fields:
            values = torch.tensor([getattr(place, name) for place in places], dtype=torch.float32)
            self.register_buffer(name, values, persistent=False)

    def forward(self, tensors: dict[str, Any]) -> dict[str, Tensor]:
        """One batch as :meth:`DistillingStage.batch` makes it, its "timesteps" (B,) places of the way → the loss."""
        clean, now = tensors["driven"].transpose(1, 2), tensors["timesteps"]  # (B, C, F, h, w)
        with torch.no_grad():
            context = self.context(self.encode_source(tensors["portrait"]), tensors["signals"], clean.shape[2])
        conditions = {name: tensors[name] for name, _ in self.of_teacher.conditions}
        given = (conditions, Affinity(tensors["known"], tensors["mask"]), context)
        x = _at(self.signal, now) * clean + _at(self.noise, now) * tensors["noise"].transpose(1, 2)
        end, after = (now // self.each + 1) * self.each, now + 1
        with torch.no_grad():
            nearer = self._moved(x, now, after, self._clean(self.teacher, x, now, given, self.of_teacher.guidance))
            onward = self._moved(nearer, after.clamp(max=self.length - 1), end, self._clean(self.unet, nearer, after, given, 1.0))
            target = torch.where((after < end)[:, None, None, None, None], onward, nearer)
        reached = self._moved(x, now, end, self._clean(self.unet, x, now, given, 1.0))
        error = self._squared(reached - target)
        if self.config.huber > 0:
            error = (error + self.config.huber**2).sqrt() - self.config.huber
        loss = error.mean()
        return {"loss": loss, "distillation": loss}

    def _clean(self, unet: nn.Module, x: Tensor, place: Tensor, given: tuple[dict[str, Tensor], Affinity, Tensor], scale: float) -> Tensor:
        """What a network takes x (B, C, F, h, w), each at its ``place`` (B,) of the way, for; ``given``: conditions, affinity, context."""
        conditions, affinity, context = given
        place = place.clamp(max=self.length - 1)

        def network(stacked: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
            output: Tensor = unet(stacked, timestep.repeat(len(stacked) // len(timestep)), context)
            return output.float()

        guided = schedule.guidance(conditional(network, self.of_teacher, conditions, affinity), context, scale)
        prediction = self.of_teacher.sampler.prediction
        return schedule.clean_of(prediction, guided(x, self.timestep[place]), x, _at(self.signal, place), _at(self.noise, place))

    def _moved(self, x: Tensor, now: Tensor, after: Tensor, clean: Tensor) -> Tensor:
        """DDIM's step (Song et al. 2020, Eq. 12) of x from the places ``now`` (B,) of the way to the places ``after`` (B,)."""
        epsilon = (x - _at(self.signal, now) * clean) / _at(self.noise, now)
        return _at(self.signal, after) * clean + _at(self.noise, after) * epsilon


def _at(values: Tensor, places: Tensor) -> Tensor:
    return values[places][:, None, None, None, None]


class DistillingStage(DenoisingStage):
    """Trains the U-Net of a model to need ``student_steps`` steps and no guidance; the model as it was opened is the teacher."""

    trainee: Distillation

    def __init__(self, model: MimaFaceModel, config: TrainingConfig, data: LatentStore, held_out: LatentStore) -> None:
        super().__init__(model, config, data, held_out)
        model.config = student_of(model.config, config.student_steps)
        self._of_teacher: Tensor | None = None

    def _trainee(self) -> Distillation:
        return Distillation(self.model, self.config)

    def _timestep(self, steps: int, draw: torch.Generator) -> Tensor:
        """A place of the teacher's way, in the place of one of all the timesteps."""
        return self.trainee.length - 1 - super()._timestep(self.trainee.length, draw)

    def after_step(self, accelerator: Accelerator, outputs: dict[str, Tensor], batch: Batch) -> None:
        """Nothing to remember."""

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """As for the other stages, and the teacher's own error, in all its steps and under guidance."""
        numbers, sheet = super().evaluate()
        row = self._held_out_row()
        if self._of_teacher is None:
            self._of_teacher = sample_latents(self.trainee, self.trainee.teacher, self.trainee.of_teacher, row)
        numbers["latent_error_of_teacher"] = float((self._of_teacher - row["driven"]).square().mean())
        return numbers, sheet

    def save_model(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
