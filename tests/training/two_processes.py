"""Run by ``torchrun``: train the tiny model, in two precisions one after the other, and save its weights from the main process.

python two_processes.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from accelerate import PartialState

from mimaface.training.latents import LatentStore
from mimaface.training.loop import train
from training_fixtures import settings, stage, weights

folder = Path(sys.argv[1])
store = LatentStore([folder / "a.safetensors", folder / "b.safetensors"])
for precision in ("bf16", "no"):
    config = settings(steps=4, save_every=100, precision=precision)
    learner = stage(config, store)
    train(learner, config, folder / f"run-{precision}")
assert PartialState(cpu=True).num_processes == 2
if PartialState(cpu=True).is_main_process:
    np.save(folder / "two.npy", weights(learner.trainee))
