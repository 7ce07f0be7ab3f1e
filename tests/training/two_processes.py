"""Run by ``torchrun``: train the tiny model, in two precisions one after the other, and save its weights from the main process.

python two_processes.py FOLDER NAME
"""

import sys
from pathlib import Path

import numpy as np
from accelerate import PartialState

from mimaface.training.latents import LatentStore
from mimaface.training.loop import train
from training_fixtures import settings, stage, weights

folder, name = Path(sys.argv[1]), sys.argv[2]
store = LatentStore([folder / "a.safetensors", folder / "b.safetensors"])
for precision in ("bf16", "no"):
    config = settings(steps=4, save_every=100, precision=precision)
    learner = stage(config, store)
    train(learner, config, folder / f"run-{name}-{precision}")
assert PartialState(cpu=True).num_processes == int(name)
if PartialState(cpu=True).is_main_process:
    np.save(folder / f"{name}.npy", weights(learner.trainee))
