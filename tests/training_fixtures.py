"""Tiny models and random latents: training as it is, in seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from mimaface.model.config import SamplerConfig
from mimaface.model.family import MimaFaceModel
from mimaface.training.config import TrainingConfig
from mimaface.training.denoising import DenoisingStage
from mimaface.training.latents import LatentStore
from model import conftest as models


def tiny_model(seed: int = 3) -> MimaFaceModel:
    torch.manual_seed(seed)
    model = MimaFaceModel(
        models.tiny_configuration(
            conditions=(("render", 4), ("source", 4), ("normals", 4), ("source_normals", 4)),
            residual_of="render",
            sampler=SamplerConfig(method="ddim", steps=2, prediction="sample", zero_terminal_snr=True),
            unet=models.tiny_unet(in_channels=25, **models.ONE_LEVEL),
        )
    )
    models.awaken(model)
    return model


def write_latents(path: Path, samples: int = 6, frames: int = 6, side: int = 8, seed: int = 0) -> Path:
    """Latents whose driven frames are their renders, brightened: something that can be learned."""
    draw = torch.Generator().manual_seed(seed)
    render = torch.randn(samples, frames, 4, side, side, generator=draw)
    tensors = {
        "driven": (0.7 * render + 0.3).half(),
        "render": render.half(),
        "source": torch.randn(samples, 4, side, side, generator=draw).half(),
        "normals": torch.rand(samples, frames, 4, side, side, generator=draw).half(),
        "source_normals": torch.rand(samples, 4, side, side, generator=draw).half(),
        "portrait": torch.randint(0, 255, (samples, 16, 16, 3), generator=draw, dtype=torch.uint8),
        "partner": torch.randint(0, 255, (samples, 16, 16, 3), generator=draw, dtype=torch.uint8),
    }
    for name, size in {"rotation": 3, "translation": 3, "expression": 52, "gaze": 4}.items():
        tensors[name] = torch.randn(samples, frames, size, generator=draw)
    names = [f"sample-{seed}-{i}" for i in range(samples)]
    save_file(tensors, path, metadata={"names": json.dumps(names), "persons": json.dumps(names)})
    return path


def settings(**changes: object) -> TrainingConfig:
    values = {"stage": "image", "steps": 6, "batch": 4, "frames": 2, "learning_rate": 1e-3, "warmup": 0, "precision": "no"}
    return TrainingConfig(**{**values, "evaluate_every": 100, "save_every": 3, "seed": 5, **changes})


def stage(config: TrainingConfig, store: LatentStore, seed: int = 3) -> DenoisingStage:
    return DenoisingStage(tiny_model(seed), config, store, store)


def weights(model: torch.nn.Module) -> np.ndarray:
    return np.concatenate([value.detach().float().numpy().ravel() for value in model.parameters()])
