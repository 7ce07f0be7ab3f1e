"""Step distillation: a student samples in ``student_steps`` what its teacher samples in many steps with guidance.

Consistency distillation (Song et al. 2023; of latents: Luo et al. 2023) with folded-in guidance (Meng et al. 2023) on one segment
of the trajectory per student step (Heek et al. 2024; Wang et al. 2024): from any point of a segment the student predicts its end
in one step. Both take DDIM steps, so the student is sampled like other models.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.motion_unet import Affinity
from mimaface.sampling import schedule
from mimaface.sampling.sampler import conditional

from .config import TrainingConfig
from .denoising import Denoising, DenoisingStage, sample_latents
from .latents import LatentStore
from .loop import Batch


def student_of(teacher: MimaFaceConfig, steps: int) -> MimaFaceConfig:
    """Returns a student's configuration: its own steps, evenly spaced from the last timestep, without guidance."""
    return teacher.but(sampler=replace(teacher.sampler, steps=steps, spacing="trailing"), guidance=1.0, qualities={})


class Distillation(Denoising):
    """Student, teacher and their loss. The trajectory has ``length`` points and then the clean latents; a segment has ``each``
    points.
    """

    signal: Tensor
    noise: Tensor
    timestep: Tensor

    def __init__(self, model: MimaFaceModel, config: TrainingConfig) -> None:
        super().__init__(model, config)
        self.teacher = copy.deepcopy(model.unet).requires_grad_(False)
        self.teacher_config = model.config
        sampler = model.config.sampler
        self.each = max(min(-(-sampler.steps // config.student_steps), sampler.train_steps // config.student_steps), 1)
        self.length = self.each * config.student_steps
        places = schedule.ddim_points(self.alphas, schedule.trailing_timesteps(self.length, sampler.train_steps))
        for name in schedule.Point._fields:
            values = torch.tensor([getattr(place, name) for place in places], dtype=torch.float32)
            self.register_buffer(name, values, persistent=False)

    def forward(self, tensors: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the loss of a batch from :meth:`DistillingStage.batch`; its "timesteps" (B,) are points of the trajectory."""
        clean, now = tensors["driven"].transpose(1, 2), tensors["timesteps"]  # (B, C, F, h, w)
        with torch.no_grad():
            context = self.context(self.encode_source(tensors["portrait"]), tensors["signals"], clean.shape[2])
        conditions = {name: tensors[name] for name, _ in self.teacher_config.conditions}
        inputs = (conditions, Affinity(tensors["known"], tensors["mask"]), context)
        x = _at(self.signal, now) * clean + _at(self.noise, now) * tensors["noise"].transpose(1, 2)
        end, after = (now // self.each + 1) * self.each, now + 1
        with torch.no_grad():
            nearer = self._ddim_step(x, now, after, self._clean(self.teacher, x, now, inputs, self.teacher_config.guidance))
            onward = self._ddim_step(nearer, after.clamp(max=self.length - 1), end, self._clean(self.unet, nearer, after, inputs, 1.0))
            target = torch.where((after < end)[:, None, None, None, None], onward, nearer)
        reached = self._ddim_step(x, now, end, self._clean(self.unet, x, now, inputs, 1.0))
        error = self._squared(reached - target)
        if self.config.huber > 0:
            error = (error + self.config.huber**2).sqrt() - self.config.huber
        loss = error.mean()
        return {"loss": loss, "distillation": loss}

    def _clean(self, unet: nn.Module, x: Tensor, place: Tensor, inputs: tuple[dict[str, Tensor], Affinity, Tensor], scale: float) -> Tensor:
        """Returns the clean latents that a network predicts at x (B, C, F, h, w) and trajectory points (B,); inputs: conditions,
        affinity, context.
        """
        conditions, affinity, context = inputs
        place = place.clamp(max=self.length - 1)

        def network(stacked: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
            output: Tensor = unet(stacked, timestep.repeat(len(stacked) // len(timestep)), context)
            return output.float()

        guided = schedule.guidance(conditional(network, self.teacher_config, conditions, affinity), context, scale)
        prediction = self.teacher_config.sampler.prediction
        return schedule.clean_of(prediction, guided(x, self.timestep[place]), x, _at(self.signal, place), _at(self.noise, place))

    def _ddim_step(self, x: Tensor, now: Tensor, after: Tensor, clean: Tensor) -> Tensor:
        """Returns x after a DDIM step (Song et al. 2020, Eq. 12) from trajectory points ``now`` (B,) to ``after`` (B,)."""
        epsilon = (x - _at(self.signal, now) * clean) / _at(self.noise, now)
        return _at(self.signal, after) * clean + _at(self.noise, after) * epsilon


def _at(values: Tensor, places: Tensor) -> Tensor:
    return values[places][:, None, None, None, None]


class DistillingStage(DenoisingStage):
    """Trains a model's U-Net to sample in ``student_steps`` steps without guidance; the opened model is the teacher."""

    trainee: Distillation

    def __init__(self, model: MimaFaceModel, config: TrainingConfig, data: LatentStore, held_out: LatentStore) -> None:
        super().__init__(model, config, data, held_out)
        model.config = student_of(model.config, config.student_steps)
        self._of_teacher: Tensor | None = None

    def _trainee(self) -> Distillation:
        return Distillation(self.model, self.config)

    def _timestep(self, steps: int, draw: torch.Generator) -> Tensor:
        """Returns a point of the teacher's trajectory instead of one of all timesteps."""
        return self.trainee.length - 1 - super()._timestep(self.trainee.length, draw)

    def after_step(self, accelerator: Accelerator, outputs: dict[str, Tensor], batch: Batch) -> None:
        """This stage has no state."""

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """Like other stages, plus the teacher's error with all its steps and guidance."""
        numbers, sheet = super().evaluate()
        row = self._held_out_row()
        if self._of_teacher is None:
            self._of_teacher = sample_latents(self.trainee, self.trainee.teacher, self.trainee.teacher_config, row)
        numbers["latent_error_of_teacher"] = float((self._of_teacher - row["driven"]).square().mean())
        return numbers, sheet

    def save_model(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
