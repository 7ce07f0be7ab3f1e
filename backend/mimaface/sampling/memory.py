"""Latents that a job stores between runs, so that a resumed run continues where the last one stopped, to the byte."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from .clips import ClipPlan, Memory
from .sampler import GeneratedClip

STORED = 2  # clips: frames are stored in order, so a resumed run begins in the last clip or in the next one


def remember(done: GeneratedClip, plan: ClipPlan, memory: Memory, name: str = "clip") -> None:
    """Store the latents that a finished clip hands over, under ``name``, and delete those of clips before the last two."""
    index = done.clip.index
    memory.pop(f"{name}-{index - STORED:06d}", None)
    stream = io.BytesIO()
    np.save(stream, done.tail(plan.overlap).float().cpu().numpy())
    memory[f"{name}-{index:06d}"] = stream.getvalue()


def resume_point(plan: ClipPlan, start: int, memory: Memory, name: str = "clip") -> tuple[int, Tensor | None]:
    """The clip to begin with to generate frame ``start``, and the latents (overlap, C, h, w) that it is handed."""
    wanted = next(index for index in range(len(plan)) if start < plan[index].new.stop)
    for index in range(wanted, 0, -1):
        key = f"{name}-{index - 1:06d}"
        if key in memory:
            return index, torch.from_numpy(np.load(io.BytesIO(memory[key]), allow_pickle=False))
    return 0, None
