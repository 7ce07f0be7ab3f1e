"""The paper's two stages: image (U-Net, vision encoder and adapter on single frames) and video (motion modules, W_cond)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn

from mimaface.data.samples import SIGNALS
from mimaface.engines.precision import autocast
from mimaface.engines.torch_engine import TorchEngine, lay_out
from mimaface.model.appearance import averaged, drop_context, repeat_frames
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.motion_unet import Affinity, add_residual, affinity_from, is_temporal, sample_affinity
from mimaface.model.vision import VisionTokens
from mimaface.sampling import schedule
from mimaface.sampling.conditions import FRAME_CONDITIONS, PORTRAIT_CONDITIONS, as_images, blanked, rows_of_pictures
from mimaface.sampling.sampler import sample_clips

from .adversary import Adversary, adversarial_losses
from .config import TrainingConfig
from .identity import MemoryBank, augment, identity_loss
from .latents import LatentStore
from .loop import Batch, Stage, item_generator

SHEET_COLUMNS = 8  # pictures per row of the contact sheet


class Denoising(nn.Module):
    """The model with its training losses."""

    channel_weight: Tensor

    def __init__(self, model: MimaFaceModel, config: TrainingConfig) -> None:
        super().__init__()
        self.unet, self.vision, self.appearance = model.unet, model.vision, model.appearance
        self.config = config
        if config.adversary_weight > 0:
            self.adversary = Adversary(model.config.latent_channels, sum(count for _, count in model.config.conditions))
            cast(Any, self.adversary).to(memory_format=torch.channels_last)
        self._model = [model]  # not a submodule: its autoencoder is not trained here
        even = torch.full((model.config.latent_channels,), 1 / model.config.latent_channels)
        self.register_buffer("channel_weight", even, persistent=False)
        sampler = model.config.sampler
        self.alphas = schedule.scaled_linear_schedule(
            sampler.beta_start, sampler.beta_end, sampler.train_steps, sampler.zero_terminal_snr
        )

    def forward(self, tensors: dict[str, Any]) -> dict[str, Tensor]:
        """Computes the losses of a batch from :meth:`DenoisingStage.batch`: B samples of F frames; "remember" (B, D) is for the
        bank.
        """
        model, config = self._model[0], self.config
        clean, timesteps = tensors["driven"].transpose(1, 2), tensors["timesteps"]  # (B, C, F, h, w)
        frames = clean.shape[2]
        tokens = self.encode_source(tensors["portrait"])
        context = self.context(tokens, tensors["signals"], frames)
        context = context * repeat_frames(tensors["keep"].to(context.dtype), frames)[:, None, None]
        noise = tensors["noise"].transpose(1, 2)
        noisy = schedule.add_noise(self.alphas, clean, noise, timesteps)
        conditions = {name: tensors[name] for name, _ in model.config.conditions}
        affinity = Affinity(tensors["known"], tensors["mask"])
        run = _frame_by_frame if config.stage == "image" else MimaFaceModel.network
        output = run(model, noisy, timesteps, conditions, affinity, context)
        prediction = add_residual(output, conditions, model.config.residual_of)
        kind = model.config.sampler.prediction
        target = schedule.training_target(kind, self.alphas, clean, noise, timesteps)
        weight = schedule.min_snr_weight(kind, self.alphas, timesteps, config.snr_gamma)
        error = self._squared(prediction.float() - target)
        if config.huber > 0:
            error = (error + config.huber**2).sqrt() - config.huber
        denoising = (weight * error.mean((1, 2, 3))).mean()
        losses = {"loss": denoising, "denoising": denoising, "remember": tokens.class_token.detach()}
        if model.config.residual_of:
            correction = (self._squared(output.float()) + 1e-6).sqrt()  # bounds the root's slope at 0
            losses["correction"] = (weight * correction.mean((1, 2, 3))).mean()
            losses["loss"] = losses["loss"] + config.correction_weight * losses["correction"]
        if config.adversary_weight > 0:
            losses["generator"], losses["adversary"] = self._adversarial(prediction, clean, conditions, noise)
            losses["loss"] = losses["loss"] + config.adversary_weight * losses["generator"] + losses["adversary"]
        if config.stage == "image" and config.identity_weight > 0:
            again = model.encode_source(tensors["augmented"]).class_token
            with torch.no_grad():
                losses["remember"] = model.encode_source(tensors["partner"]).class_token
            chosen = tensors["from_bank"][:, None]
            positives = torch.where(chosen, tensors["bank_token"].to(again), again)
            identity = identity_loss(tokens.class_token, positives, tensors["negatives"], tensors["own"])
            losses["identity"] = identity
            losses["loss"] = losses["loss"] + config.identity_weight * identity
        return losses

    def _adversarial(
        self, prediction: Tensor, clean: Tensor, conditions: dict[str, Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the losses of generator and adversary per frame; latent channels are weighted for the adversary by their visual
        effect.
        """
        scale = (self.channel_weight * len(self.channel_weight)).sqrt()[:, None, None]
        stacked = torch.cat([conditions[name] for name, _ in self._model[0].config.conditions], dim=1)
        real, fake, stacked, noise = (x.transpose(1, 2).flatten(0, 1) for x in (clean, prediction.float(), stacked, noise))
        return adversarial_losses(self.adversary, scale * real, scale * fake, stacked, noise, self.config.losses)

    def _squared(self, latents: Tensor) -> Tensor:
        """Returns squared norms (B, F, h, w) of latents (B, C, F, h, w) with weighted channels."""
        return torch.einsum("bcfhw,c->bfhw", latents.square(), self.channel_weight)

    def encode_source(self, portraits: Tensor) -> VisionTokens:
        """Source portraits, RGB in [−1, 1] (B, 3, H, W) → tokens."""
        return self._model[0].encode_source(portraits)

    def context(self, tokens: VisionTokens, signals: dict[str, Tensor], frames: int) -> Tensor:
        """Returns the U-Net's context (B·F, L, D), with the configured ablations."""
        if "coefficients" in self.config.without:
            signals = {name: torch.zeros_like(value) for name, value in signals.items()}
        context: Tensor = self.appearance(tokens, signals)
        return averaged(context, frames) if self.config.average_context else context


def _frame_by_frame(
    model: MimaFaceModel, noisy: Tensor, timesteps: Tensor, conditions: dict[str, Tensor], affinity: Affinity, context: Tensor
) -> Tensor:
    """Runs the U-Net on each frame as a clip of its own: (B, C, F, h, w) → output (B, C, F, h, w)."""
    frames = noisy.shape[2]

    def single(x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(0, 1)[:, :, None]

    known = Affinity(single(affinity.latents), single(affinity.mask))
    alone = {name: single(value) for name, value in conditions.items()}
    output = model.network(single(noisy), repeat_frames(timesteps, frames), alone, known, context)
    together: Tensor = output[:, :, 0].unflatten(0, (-1, frames)).transpose(1, 2)
    return together


def freeze(model: MimaFaceModel, stage: str) -> None:
    """Sets the trainable parameters of a stage: image all but motion modules; video those and W_cond; distill the U-Net."""
    model.requires_grad_(False)
    if stage == "distill":
        model.unet.requires_grad_(True)
        return
    if stage == "image":
        model.vision.requires_grad_(True)
        model.appearance.requires_grad_(True)
    for name, parameter in model.unet.named_parameters():
        parameter.requires_grad_(is_temporal(name) == (stage == "video"))
    model.unet.enable_motion(stage == "video")
    if stage == "video":
        weight = model.unet.conv_in.weight
        weight.requires_grad_(True)
        columns = torch.zeros_like(weight)
        columns[:, -model.config.affinity_channels :] = 1
        weight.register_hook(lambda gradient: gradient * columns)


class DenoisingStage(Stage):
    """The paper's stage "image" or "video" on precomputed latents."""

    trainee: Denoising

    def __init__(self, model: MimaFaceModel, config: TrainingConfig, data: LatentStore, held_out: LatentStore) -> None:
        self.model, self.config, self.data, self.held_out = model, config, data, held_out
        freeze(model, config.stage)
        lay_out(model)
        if config.checkpoint_gradients:
            cast(Any, model.unet.enable_gradient_checkpointing)()
        self.trainee = self._trainee()
        if config.pixel_weighted:
            self.trainee.channel_weight.copy_(pixel_weight(model, held_out))
        self.bank = MemoryBank(config.identity_bank, model.config.appearance.token_width)
        self.person = {name: number for number, name in enumerate(dict.fromkeys(data.persons))}
        self._person_of = dict(zip(data.names, data.persons))

    def _trainee(self) -> Denoising:
        return Denoising(self.model, self.config)

    def batch(self, step: int, places: range) -> Batch:
        """Returns latents, signals and all random numbers of items of a step."""
        config = self.config
        rows, names, persons, draws = [], [], [], []
        for place in places:
            draw = item_generator(config.seed, step, place)
            index = int(torch.randint(len(self.data), (1,), generator=draw))
            rows.append(self.data.item(index, self._frames(index, draw)))
            names.append(self.data.names[index])
            persons.append(self.person[self.data.persons[index]])
            draws.append(draw)
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return Batch(self._tensors(stacked, persons, draws), names)

    def _frames(self, index: int, draw: torch.Generator) -> list[int]:
        """Returns the driven frames used of a sample: random ones for the image stage, consecutive ones for video."""
        available, wanted = self.data.frames(index), self.config.frames
        if self.config.stage != "image":
            start = int(torch.randint(max(available - wanted, 0) + 1, (1,), generator=draw))
            return [min(start + i, available - 1) for i in range(wanted)]
        return [int(i) % available for i in torch.randperm(max(available, wanted), generator=draw)[:wanted]]

    def _tensors(self, row: dict[str, Tensor], persons: list[int], draws: list[torch.Generator]) -> dict[str, Any]:
        config, driven = self.config, row["driven"]
        samples = len(driven)
        portrait = as_images(row["portrait"].numpy())
        noise = torch.stack([torch.randn(driven.shape[1:], generator=draw) for draw in draws])
        steps = self.model.config.sampler.train_steps
        affinity = [self._affinity(driven[i : i + 1].transpose(1, 2), draws[i]) for i in range(samples)]
        bank, tokens = self.bank.all()
        remembered = [self.bank.get(person) for person in persons]
        chosen = [float(torch.rand(1, generator=draw)) < self.config.losses.bank_share for draw in draws]
        empty = torch.zeros(self.bank.width)
        return {
            "driven": driven,
            **stored_conditions(row, config.without),
            "signals": {name: row[name] for name in SIGNALS},
            "portrait": portrait,
            "augmented": augment(portrait, draws),
            "partner": as_images(row["partner"].numpy()),
            "noise": noise,
            "timesteps": torch.cat([self._timestep(steps, draw) for draw in draws]),
            "keep": torch.cat([drop_context(torch.ones(1, 1, 1), 1, config.dropout, draw)[:, 0, 0] for draw in draws]),
            "known": torch.cat([each.latents for each in affinity]),
            "mask": torch.cat([each.mask for each in affinity]),
            "negatives": tokens,
            "own": torch.tensor(persons)[:, None] == bank[None],
            "from_bank": torch.tensor([use and token is not None for use, token in zip(chosen, remembered)]),
            "bank_token": torch.stack([empty if token is None else token for token in remembered]),
        }

    def _timestep(self, steps: int, draw: torch.Generator) -> Tensor:
        first = float(torch.rand(1, generator=draw)) < self.config.first_step_share
        anywhere = torch.randint(steps, (1,), generator=draw)
        return torch.full_like(anywhere, steps - 1) if first else anywhere

    def _affinity(self, clean: Tensor, draw: torch.Generator) -> Affinity:
        if self.config.stage == "image" or "affinity" in self.config.without:
            return affinity_from(None, clean)
        return sample_affinity(clean, draw)

    def after_step(self, accelerator: Accelerator, outputs: dict[str, Tensor], batch: Batch) -> None:
        """Adds the tokens of all processes to the bank, sorted by person, so that all banks are equal."""
        pairs = list(zip([self.person[self._person_of[name]] for name in batch.names], outputs["remember"].float().cpu()))
        if accelerator.num_processes > 1:
            pairs = sorted(gather_object(pairs), key=lambda pair: pair[0])
        self.bank.put([person for person, _ in pairs], torch.stack([token for _, token in pairs]))

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """Returns the error of sampled latents on held-out people, and a sheet: source, render, result, truth."""
        row = self._held_out_row()
        frames = row["driven"].shape[1]
        results = sample_latents(self.trainee, self.model.unet, self.model.config, row)
        error = (results - row["driven"]).square().mean()
        render = (row["render"] - row["driven"]).square().mean()
        flat = [x.flatten(0, 1)[:SHEET_COLUMNS] for x in (row["render"], results, row["driven"])]
        sheet = [self.model.decode_latents(x) for x in (row["source"].repeat_interleave(frames, 0)[:SHEET_COLUMNS], *flat)]
        return {"latent_error": float(error), "latent_error_of_render": float(render)}, rows_of_pictures(sheet)

    def _held_out_row(self) -> dict[str, Tensor]:
        """Returns the held-out samples for evaluation, single frames for the image stage, else clips; name → (B, …)."""
        count = min(len(self.held_out), 2 * SHEET_COLUMNS)
        frames = 1 if self.config.stage == "image" else min(self.config.frames, self.held_out.frames(0))
        count = count if self.config.stage == "image" else max(count // frames, 1)
        rows = [self.held_out.item(i, list(range(frames))) for i in range(count)]
        return {name: torch.stack([r[name] for r in rows]) for name in rows[0]}

    def extra_state(self) -> dict[str, Tensor]:
        return self.bank.state()

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        self.bank.load_state(state)

    def save_model(self, folder: Path) -> None:
        """Saves the whole model with motion enabled."""
        if self.config.average_context:
            appearance = replace(self.model.config.appearance, context_per_frame=False)
            self.model.config = self.model.config.but(appearance=appearance)
        self.model.unet.enable_motion(True)
        self.model.save_pretrained(folder)
        self.model.unet.enable_motion(self.config.stage == "video")


@torch.no_grad()
def pixel_weight(model: MimaFaceModel, store: LatentStore) -> Tensor:
    """Returns weights (C,) of sum 1: the mean square error in decoded pictures from noise of deviation 0.5 in one channel,
    over four samples."""
    draw = torch.Generator().manual_seed(0)
    clean = torch.cat([store.item(index % len(store), [0])["driven"] for index in range(4)])
    exact = model.decode_latents(clean)
    change = []
    for channel in range(clean.shape[1]):
        moved = clean.clone()
        moved[:, channel] += 0.5 * torch.randn(moved[:, channel].shape, generator=draw)
        change.append((model.decode_latents(moved) - exact).square().mean())
    weight = torch.stack(change)
    return weight / weight.sum()


@torch.no_grad()
def sample_latents(trainee: Denoising, unet: nn.Module, sampled: MimaFaceConfig, row: dict[str, Tensor], seed: int = 0) -> Tensor:
    """Samples B clips without a previous one from the conditions of ``row`` → latents (B, F, C, h, w) on the device of ``row``.

    unet: the trainee's own, or another with the same inputs; sampled: configuration of its sampler.
    """
    samples, frames = row["driven"].shape[:2]
    device, config = trainee.channel_weight.device, trainee.config

    def network(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        prediction: Tensor = unet(x, timestep, context)
        return prediction.float()

    results = []
    for i in range(samples):
        with autocast(config.precision, device):
            portrait = as_images(row["portrait"][i : i + 1].numpy()).to(device)
            signals = {name: row[name][i : i + 1].to(device) for name in SIGNALS}
            context = trainee.context(trainee.encode_source(portrait), signals, frames)
            stored = stored_conditions({name: value[i : i + 1] for name, value in row.items()}, config.without)
            conditions = {name: stored[name].to(device) for name, _ in sampled.conditions}
            draw = torch.Generator().manual_seed(seed + i)
            noise = torch.randn(row["driven"][i : i + 1].transpose(1, 2).shape, generator=draw).to(device)
            *_, latents = sample_clips(network, sampled, noise, conditions, context)
        results.append(latents.transpose(1, 2).to(row["driven"].device))
    return torch.cat(results)


def stored_conditions(row: dict[str, Tensor], without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Converts stacked items of a ``LatentStore`` (B, …) to conditions (B, c, F, h, w), with the ablations ``without``."""
    frames = row["render"].shape[1]
    conditions = {name: row[name].transpose(1, 2) for name in FRAME_CONDITIONS}
    conditions |= {name: row[name][:, :, None].expand(-1, -1, frames, -1, -1) for name in PORTRAIT_CONDITIONS}
    return blanked(conditions) if "render" in without else conditions


def encoder_of(model: MimaFaceModel) -> Callable[[Tensor], Tensor]:
    """Returns a fast encoder of pictures, (N, 3, H, W) in [−1, 1] → latents float32, for ``prepare_latents``."""
    lay_out(model)
    engine = TorchEngine(model)

    def encode(images: Tensor) -> Tensor:
        with autocast("auto", engine.device):
            return engine.encode_images(images)

    return encode
