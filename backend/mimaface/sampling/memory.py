"""What a job remembers of its clips, so that a resumed run goes on where the last one stopped, to the byte."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from .clips import ClipPlan, Memory
from .sampler import GeneratedClip

KEPT = 2  # clips: a job's frames are stored in order, so the next one wanted is in the last clip or the one after it


def remember(done: GeneratedClip, plan: ClipPlan, memory: Memory, name: str = "clip") -> None:
    """Keep the latents that a finished clip hands on, under ``name``, and forget those that nothing needs any more."""
    index = done.clip.index
    memory.pop(f"{name}-{index - KEPT:06d}", None)
    stream = io.BytesIO()
    np.save(stream, done.tail(plan.overlap).float().cpu().numpy())
    memory[f"{name}-{index:06d}"] = stream.getvalue()


def resume_point(plan: ClipPlan, start: int, memory: Memory, name: str = "clip") -> tuple[int, Tensor | None]:
    """The clip to begin with so that frame ``start`` comes out, and the latents (overlap, C, h, w) it is handed."""
    wanted = next(index for index in range(len(plan)) if start < plan[index].new.stop)
    for index in range(wanted, 0, -1):
        key = f"{name}-{index - 1:06d}"
        if key in memory:
            return index, torch.from_numpy(np.load(io.BytesIO(memory[key]), allow_pickle=False))
    return 0, None
