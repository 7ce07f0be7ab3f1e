"""The shipped model on this machine: training, one U-Net call, and what of ``animate`` is not spent in the networks.

python tests/bench/bench_model.py [OUTPUT.json]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import median_ms, report

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import COLLINS, nod
from mimaface.animation import animate
from mimaface.data.samples import write_shard
from mimaface.data.synthetic import SyntheticConfig, make_samples
from mimaface.engines.torch_engine import TorchEngine
from mimaface.face.portrait import Portrait
from mimaface.model.family import MimaFaceModel
from mimaface.model.refiner import refined
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers.registry import SHIPPED
from mimaface.training.config import TrainingConfig
from mimaface.training.denoising import DenoisingStage, encoder_of
from mimaface.training.latents import prepare_latents
from mimaface.training.loop import train

FRAMES, BATCH, STEPS = 48, 8, 6


def training_speed(folder: Path) -> dict[str, float]:
    """Frames a second of both stages, on a few samples."""
    write_shard(folder / "a.tar", make_samples(1, 0, 4, SyntheticConfig(frames=12, stride=(1 / 24, 1 / 24)), 1))
    figures = {}
    for stage, batch, frames in (("image", BATCH, 2), ("video", 2, 12)):
        model = MimaFaceModel.from_pretrained(SHIPPED, torch.float32)
        data = prepare_latents(model, [folder / "a.tar"], encoder_of(model))
        config = TrainingConfig(stage, 2, batch, frames, evaluate_every=1000, save_every=1000)
        learner = DenoisingStage(model, config, data, data)
        learner.evaluate = lambda: ({}, torch.zeros(8, 8, 3, dtype=torch.uint8).numpy())  # type: ignore[method-assign]
        train(learner, config, folder / stage)  # warm-up
        longer = TrainingConfig(stage, 2 + STEPS, batch, frames, evaluate_every=1000, save_every=1000)
        started = time.perf_counter()
        train(learner, longer, folder / stage)
        figures[f"train_{stage}_frames_per_second"] = STEPS * batch * frames / (time.perf_counter() - started)
    return figures


def network_share(portrait: Portrait) -> dict[str, float]:
    """Time of ``animate`` with the shipped model, and how much of it passes inside the networks."""
    inside = 0.0

    def timed(name: str) -> None:
        original = getattr(TorchEngine, name)

        def call(self: TorchEngine, *arguments: object, **named: object) -> object:
            nonlocal inside
            started = time.perf_counter()
            result = original(self, *arguments, **named)
            inside += time.perf_counter() - started
            return result

        setattr(TorchEngine, name, call)

    for name in ("denoise", "encode_images", "refine", "encode_source", "context"):
        timed(name)
    list(animate(portrait, nod(3), RenderSettings(engine="demo")))
    inside, started = 0.0, time.perf_counter()
    count = sum(1 for _ in animate(portrait, nod(FRAMES), RenderSettings(engine="demo")))
    whole = time.perf_counter() - started
    return {"animate_fps_512": count / whole, "share_outside_the_networks": 1 - inside / whole}


def unet_ms(engine: TorchEngine, runs: int = 15) -> float:
    """Median milliseconds of one U-Net call on a clip, per frame."""
    config, side = engine.config, engine._model.latent_size
    frames = config.clip_length
    sample = torch.randn(1, config.input_channels, frames, side, side)
    tokens = engine.encode_source(torch.zeros(1, 3, config.image_size, config.image_size))
    signals = {signal.name: torch.zeros(frames, signal.size) for signal in config.appearance.signals}
    context, step = engine.context(tokens, signals), torch.tensor(500.0)
    return median_ms(lambda: engine.denoise(sample, step, context), runs, 1) / frames


def main() -> None:
    engine = TorchEngine.open(SHIPPED)
    model = engine._model
    others = {dtype: unet_ms(TorchEngine.open(SHIPPED, dtype=dtype), 3) for dtype in (torch.float32, torch.bfloat16)}
    side, size = model.latent_size, engine.config.image_size
    picture = torch.zeros(1, 3, size, size)
    latents = engine.encode_images(picture)
    inputs = {
        **dict.fromkeys(("latents", "render", "source"), latents),
        "picture": picture,
        "provenance": torch.full((1, 3, 2 * side, 2 * side), 1 / 3),
        "normals": torch.zeros(1, 4, 2 * side, 2 * side),
        "source_normals": torch.zeros(1, 4, side, side),
    }
    change, large = engine.refine(**inputs), torch.zeros(1, 3, 512, 512)
    with tempfile.TemporaryDirectory() as folder:
        training = training_speed(Path(folder))
    report(
        "model",
        {
            "dtype": str(model.unet.conv_in.weight.dtype).removeprefix("torch."),
            "unet_ms_per_frame_and_step": unet_ms(engine),
            "unet_speed_of_bfloat16_over_float32": others[torch.float32] / others[torch.bfloat16],
            "encode_ms": median_ms(lambda: engine.encode_images(picture)),
            "refiner_ms": median_ms(lambda: engine.refine(**inputs)),
            "redraw_512_ms": median_ms(lambda: refined(large, change, size)),
            "plain_decoder_ms": median_ms(lambda: engine.decode_latents(latents)),
            **training,
            **network_share(Portrait.open(COLLINS)),
        },
    )


if __name__ == "__main__":
    main()
