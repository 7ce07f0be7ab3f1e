"""``released-sd15`` at full size from random weights: memory while loading in bfloat16, and one call of its U-Net at 512².

python tests/bench/bench_released.py [OUT.json]     about 7 GB of disk in TMPDIR, minutes; MIMAFACE_BENCH=small tries it small

The weights are on disk in float32, as published. Loading is measured in a process of its own, whose peak counts from after the
imports: the kernel's VmHWM, which includes mapped files. A U-Net call is one denoising step of one clip without guidance.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import report
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.checkpoint import without_memory
from mimaface.model.family import MimaFaceModel
from mimaface.weights.convert import RELEASE
from release import SMALL

STATUS = Path("/proc/self/status")
CHILD = "--load"


def memory(field: str) -> int:
    """Bytes of a field of this process: VmRSS now, VmHWM at its peak."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def write_random(folder: Path, small: bool) -> None:
    """A checkpoint folder of the whole size, float32."""
    model = without_memory(lambda: MimaFaceModel((SMALL if small else RELEASE).base))
    nn.Module.to_empty(model, device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.02, generator=generator)
    model.save_pretrained(folder)


def load_and_run(folder: Path) -> dict[str, float]:
    """In a process of its own: what loading takes, and a call of the U-Net with a clip of the model's length."""
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    started = time.perf_counter()
    engine = TorchEngine.open(folder, dtype=torch.bfloat16)
    seconds, peak = time.perf_counter() - started, memory("VmHWM")
    weights = sum(value.numel() * value.element_size() for value in engine._model.parameters())
    config = engine.config
    side, frames = engine._model.latent_size, config.clip_length
    sample = torch.randn(1, config.input_channels, frames, side, side)
    tokens = 7 + 1 + (config.vision["image_size"] // config.vision["patch_size"]) ** 2
    context = torch.randn(frames, tokens, config.appearance.context_width)
    started = time.perf_counter()
    engine.denoise(sample, torch.tensor(500.0), context)
    return {
        "weights_gb": weights / 1e9,
        "load_s": seconds,
        "imports_gb": before / 1e9,
        "peak_while_loading_gb": peak / 1e9,
        "peak_over_weights": (peak - before) / weights,
        "peak_with_imports_over_weights": peak / weights,
        "frames": frames,
        "image_size": config.image_size,
        "unet_call_s": time.perf_counter() - started,
        "peak_with_call_gb": memory("VmHWM") / 1e9,
    }


def main() -> None:
    if CHILD in sys.argv:
        print(json.dumps(load_and_run(Path(sys.argv[-1]))))
        return
    small = os.environ.get("MIMAFACE_BENCH") == "small"
    with tempfile.TemporaryDirectory() as folder:
        write_random(Path(folder), small)
        command = [sys.executable, __file__, CHILD, folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    figures = {"size": "small" if small else "full", "dtype": "bfloat16", "threads": torch.get_num_threads()}
    report("released", figures | json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
