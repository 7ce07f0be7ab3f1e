"""Latents stored with a job, so that a resumed run continues bit for bit."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from .clips import ClipPlan, Memory
from .sampler import GeneratedClip

STORED_CLIPS = 2  # clips: frames are stored in order, so a resumed run starts in the last clip or the next


def remember(done: GeneratedClip, plan: ClipPlan, memory: Memory, name: str = "clip") -> None:
    """Stores the overlap latents of a finished clip under ``name``, and deletes those before the last two clips."""
    index = done.clip.index
    memory.pop(f"{name}-{index - STORED_CLIPS:06d}", None)
    stream = io.BytesIO()
    np.save(stream, done.tail(plan.overlap).float().cpu().numpy())
    memory[f"{name}-{index:06d}"] = stream.getvalue()


def resume_point(plan: ClipPlan, start: int, memory: Memory, name: str = "clip") -> tuple[int, Tensor | None]:
    """Returns the clip to start with for frame ``start``, and its overlap latents (overlap, C, h, w) or None."""
    wanted = next(index for index in range(len(plan)) if start < plan[index].new.stop)
    for index in range(wanted, 0, -1):
        key = f"{name}-{index - 1:06d}"
        if key in memory:
            return index, torch.from_numpy(np.load(io.BytesIO(memory[key]), allow_pickle=False))
    return 0, None
