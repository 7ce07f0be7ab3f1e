"""Training stage of the refiner: generated latents and reprojections against true pictures."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.data.samples import SIGNALS, Sample, shards_in
from mimaface.engines.torch_engine import TorchEngine, lay_out
from mimaface.model.family import MimaFaceModel
from mimaface.model.refiner import Refiner, refined
from mimaface.protocol.errors import InvalidInput
from mimaface.sampling.conditions import PORTRAIT_CONDITIONS, as_images, rows_of_pictures
from mimaface.sampling.sampler import sample_clips

from .autoencoding import laplacian
from .config import Losses, TrainingConfig
from .latents import LatentStore, conditioning_render, conditions_of, prepare, weights_digest
from .loop import Batch, Stage, item_generator

SHEET_COLUMNS = 8  # pictures per row of the contact sheet


class RefinerStore(LatentStore):
    """The refiner's inputs, with ``truth`` and ``picture`` (F, S, S, 3), 0–255."""

    still = PORTRAIT_CONDITIONS
    moving = ("latents", "render", "provenance", "normals", "picture", "truth")


class RefinerLoss(nn.Module):
    """The refiner's loss, computed on pictures at half size, where errors of position and light are equally visible."""

    def __init__(self, decoder: Refiner, side: int, losses: Losses) -> None:
        super().__init__()
        self.decoder, self.side, self.losses = decoder, side, losses

    def forward(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs of :meth:`Refiner.forward` and truth (N, 3, S, S), RGB in [−1, 1] → losses."""
        truth = functional.avg_pool2d(tensors["truth"], 2)
        change = self.decoder(**{name: value for name, value in tensors.items() if name != "truth"})
        result = refined(functional.avg_pool2d(tensors["picture"], 2), change, self.side)
        of = self.losses
        pixels = _charbonnier(result - truth, of.pixel_edge)
        bands = sum(_charbonnier(a - b, of.band_edge) for a, b in zip(laplacian(result), laplacian(truth)))
        light, photographed = change.gain.log(), 1 - tensors["provenance"][:, 1:2]
        bias = (photographed * change.bias).abs().mean()
        rough = of.flow_roughness * _variation(change.flow) + of.light_roughness * (_variation(light) + _variation(change.bias))
        price = of.gain_price * (photographed * light).abs().mean() + of.bias_price * bias
        return {"loss": pixels + bands + rough + price, "pixels": pixels, "roughness": rough, "price": price, "bias": bias}


def _charbonnier(error: Tensor, edge: float) -> Tensor:
    """Charbonnier loss: mean of √(e² + edge²)."""
    return (error.square() + edge**2).sqrt().mean()


def _variation(values: Tensor) -> Tensor:
    """Returns the total variation of (N, C, y, x), per pixel."""
    return _charbonnier(values.diff(dim=-1), 0.01) + _charbonnier(values.diff(dim=-2), 0.01)


class RefinerStage(Stage):
    """Trains ``refiner`` with all other networks frozen."""

    def __init__(self, model: MimaFaceModel, config: TrainingConfig, data: Path, held_out: Path) -> None:
        if model.refiner is None:
            raise InvalidInput(f"{model.config.name} has no refiner", "train the demo configuration")
        self.model, self.config = model, config
        model.requires_grad_(False)
        model.refiner.requires_grad_(True)
        lay_out(model)
        self.trainee = RefinerLoss(model.refiner, model.config.image_size, config.losses)
        engine = TorchEngine(model)
        suffix = f"drawn-{weights_digest(model.vae, model.unet, model.vision, model.appearance)}"
        self.data, self.held_out = (
            RefinerStore(prepare(shards_in(folder), suffix, lambda sample: refiner_row(engine, sample)))
            for folder in (data, held_out)
        )

    def batch(self, step: int, places: range) -> Batch:
        rows, names = [], []
        for place in places:
            draw = item_generator(self.config.seed, step, place)
            index = int(torch.randint(len(self.data), (1,), generator=draw))
            frames = torch.randperm(self.data.frames(index), generator=draw)[: self.config.frames].tolist()
            rows.append(inputs_of(self.data.item(index, frames)))
            names.append(self.data.names[index])
        return Batch({name: torch.cat([row[name] for row in rows]) for name in rows[0]}, names)

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """Returns PSNR of held-out frames and of their reprojections, and a sheet: reprojection, result, truth."""
        device = next(self.trainee.parameters()).device
        found, rows = [], []
        for index in range(len(self.held_out)):
            inputs = {name: value.to(device) for name, value in inputs_of(self.held_out.item(index, [0])).items()}
            truth, picture = inputs.pop("truth"), inputs["picture"]
            result = refined(picture, self.trainee.decoder(**inputs), self.trainee.side).clamp(-1, 1)
            found.append([-10 * float(((x - truth) / 2).square().mean().log10()) for x in (picture, result)])
            rows.append(torch.cat([picture, result, truth]).cpu())
        before, after = torch.tensor(found).mean(0).tolist()
        return {"psnr_of_render": before, "psnr": after}, rows_of_pictures(list(torch.stack(rows[:SHEET_COLUMNS], 1)))


def inputs_of(item: dict[str, Tensor]) -> dict[str, Tensor]:
    """Converts an item of a ``RefinerStore`` with F frames to the refiner's inputs and "truth", pictures as RGB in [−1, 1] (F, 3,
    S, S).
    """
    frames = len(item["latents"])
    pictures = {name: item[name].movedim(-1, 1) / 127.5 - 1 for name in ("picture", "truth")}
    still = {name: item[name][None].expand(frames, *[-1] * item[name].ndim) for name in PORTRAIT_CONDITIONS}
    return {**{name: item[name] for name in ("latents", "render", "provenance", "normals")}, **pictures, **still}


@torch.inference_mode()
def refiner_row(engine: TorchEngine, sample: Sample) -> dict[str, Tensor]:
    """Returns a sample's row in a ``RefinerStore``: each frame is generated alone, from noise that depends on the sample's
    key."""
    config = engine.config
    conditions = conditions_of(engine.encode_images, sample, config, engine.device)
    # F clips of one frame
    single = {name: value[:, :, None] for name, value in conditions.channels(dict(config.conditions)).items()}
    tokens = engine.encode_source(as_images(sample.source[None]))
    context = engine.context(tokens, {name: torch.from_numpy(sample.signals[name].copy()) for name in SIGNALS})
    draw = torch.Generator().manual_seed(zlib.crc32(sample.key.encode()))
    noise = torch.randn(conditions.latents[:, :, None].shape, generator=draw).to(engine.device)
    *_, latents = sample_clips(engine.denoise, config, noise, single, context)
    still = {name: value[0].half() for name, value in conditions.channels(PORTRAIT_CONDITIONS).items()}
    return {
        "latents": latents[:, :, 0].half(),
        "render": conditions.latents.half(),
        "provenance": conditions.provenance.half(),
        "normals": conditions.normals.half(),
        **still,
        "picture": torch.from_numpy(getattr(sample, conditioning_render(config)).copy()),
        "truth": torch.from_numpy(sample.driven.copy()),
    }
