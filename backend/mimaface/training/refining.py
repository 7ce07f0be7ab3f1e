"""The stage that trains the refiner: generated latents and the posed photograph of a frame, against its true picture."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from mimaface.data.samples import SIGNALS, Sample, shards_in
from mimaface.engines.torch_engine import TorchEngine, lay_out
from mimaface.model.family import MimaFaceModel
from mimaface.model.refiner import Refiner, refined
from mimaface.protocol.errors import InvalidInput
from mimaface.sampling.conditions import PORTRAIT_CONDITIONS
from mimaface.sampling.images import as_images
from mimaface.sampling.sampler import sample_clips

from .autoencoding import laplacian
from .config import Losses, TrainingConfig
from .latents import LatentStore, conditioning_render, conditions_of, prepare, weights_digest
from .loop import Batch, item_generator
from .pictures import rows_of_pictures

SHEET = 8  # pictures in a row of the contact sheet


class RefinerStore(LatentStore):
    """What the refiner is given, and ``truth`` and ``picture`` (F, S, S, 3), 0 to 255."""

    still = PORTRAIT_CONDITIONS
    moving = ("latents", "render", "provenance", "normals", "picture", "truth")


class RefinerLoss(nn.Module):
    """The refiner with its loss, on pictures at half their size, where errors in place and light show just as well."""

    def __init__(self, decoder: Refiner, side: int, losses: Losses) -> None:
        super().__init__()
        self.decoder, self.side, self.losses = decoder, side, losses

    def forward(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Inputs of :meth:`Refiner.forward` and truth (N, 3, S, S), RGB in [−1, 1] → losses."""
        truth = functional.avg_pool2d(tensors["truth"], 2)
        change = self.decoder(**{name: value for name, value in tensors.items() if name != "truth"})
        result = refined(functional.avg_pool2d(tensors["picture"], 2), change, self.side)
        of = self.losses
        pixels = _robust(result - truth, of.pixel_edge)
        bands = sum(_robust(a - b, of.band_edge) for a, b in zip(laplacian(result), laplacian(truth)))
        light, photographed = change.gain.log(), 1 - tensors["provenance"][:, 1:2]
        bias = (photographed * change.bias).abs().mean()
        rough = of.flow_roughness * _variation(change.flow) + of.light_roughness * (_variation(light) + _variation(change.bias))
        price = of.gain_price * (photographed * light).abs().mean() + of.bias_price * bias
        return {"loss": pixels + bands + rough + price, "pixels": pixels, "roughness": rough, "price": price, "bias": bias}


def _robust(error: Tensor, edge: float) -> Tensor:
    """Charbonnier's loss: √(e² + edge²), averaged."""
    return (error.square() + edge**2).sqrt().mean()


def _variation(values: Tensor) -> Tensor:
    """Total variation of (N, C, y, x), per place."""
    return _robust(values.diff(dim=-1), 0.01) + _robust(values.diff(dim=-2), 0.01)


class RefinerStage:
    """Trains ``refiner``; all other networks are finished."""

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

    def after_step(self, accelerator: Accelerator, outputs: dict[str, Tensor], batch: Batch) -> None:
        """Nothing to remember."""

    def evaluate(self) -> tuple[dict[str, float], Any]:
        """PSNR of held-out frames and of their posed photographs, and a sheet: posed photograph, result, truth."""
        device = next(self.trainee.parameters()).device
        found, rows = [], []
        for index in range(len(self.held_out)):
            inputs = {name: value.to(device) for name, value in inputs_of(self.held_out.item(index, [0])).items()}
            truth, picture = inputs.pop("truth"), inputs["picture"]
            result = refined(picture, self.trainee.decoder(**inputs), self.trainee.side).clamp(-1, 1)
            found.append([-10 * float(((x - truth) / 2).square().mean().log10()) for x in (picture, result)])
            rows.append(torch.cat([picture, result, truth]).cpu())
        before, after = torch.tensor(found).mean(0).tolist()
        return {"psnr_of_render": before, "psnr": after}, rows_of_pictures(list(torch.stack(rows[:SHEET], 1)))

    def extra_state(self) -> dict[str, Tensor]:
        return {}

    def load_extra_state(self, state: dict[str, Tensor]) -> None:
        """Nothing was remembered."""

    def save_model(self, folder: Path) -> None:
        self.model.save_pretrained(folder)


def inputs_of(item: dict[str, Tensor]) -> dict[str, Tensor]:
    """An item of a ``RefinerStore`` of F frames → inputs of the refiner, and "truth", pictures as RGB in [−1, 1] (F, 3, S, S)."""
    frames = len(item["latents"])
    pictures = {name: item[name].movedim(-1, 1) / 127.5 - 1 for name in ("picture", "truth")}
    still = {name: item[name][None].expand(frames, *[-1] * item[name].ndim) for name in PORTRAIT_CONDITIONS}
    return {**{name: item[name] for name in ("latents", "render", "provenance", "normals")}, **pictures, **still}


@torch.inference_mode()
def refiner_row(engine: TorchEngine, sample: Sample) -> dict[str, Tensor]:
    """What a ``RefinerStore`` holds of a sample: every frame generated by itself, from noise that depends on the sample's name."""
    config = engine.config
    shown = conditions_of(engine.encode_images, sample, config, engine.device)
    single = {name: value[:, :, None] for name, value in shown.channels(dict(config.conditions)).items()}  # F clips of one frame
    tokens = engine.encode_source(as_images(sample.source[None]))
    context = engine.context(tokens, {name: torch.from_numpy(sample.signals[name].copy()) for name in SIGNALS})
    draw = torch.Generator().manual_seed(zlib.crc32(sample.key.encode()))
    noise = torch.randn(shown.latents[:, :, None].shape, generator=draw).to(engine.device)
    *_, latents = sample_clips(engine.denoise, config, noise, single, context)
    still = {name: value[0].half() for name, value in shown.channels(PORTRAIT_CONDITIONS).items()}
    return {
        "latents": latents[:, :, 0].half(),
        "render": shown.latents.half(),
        "provenance": shown.provenance.half(),
        "normals": shown.normals.half(),
        **still,
        "picture": torch.from_numpy(getattr(sample, conditioning_render(config)).copy()),
        "truth": torch.from_numpy(sample.driven.copy()),
    }
