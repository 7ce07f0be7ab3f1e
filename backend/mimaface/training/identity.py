"""Identity loss L_id (spec 1.2, Eq. 2), which makes class tokens similar within a person and dissimilar between people, and its
augmentations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 1.0  # Eq. 2 has none


def identity_loss(tokens: Tensor, positives: Tensor, negatives: Tensor, own: Tensor) -> Tensor:
    """InfoNCE with cosine similarity, averaged over B samples.

    tokens, positives (B, D); negatives (M, D) from the memory bank; own (B, M) bool: bank entries of the same person, which are
    excluded. The loss is zero for an empty bank.
    """
    z, plus = functional.normalize(tokens.float(), dim=-1), functional.normalize(positives.float(), dim=-1)
    positive = (z * plus).sum(-1) / TEMPERATURE
    similarity = z @ functional.normalize(negatives.float(), dim=-1).T / TEMPERATURE
    similarity = similarity.masked_fill(own, float("-inf"))
    everything = torch.cat([positive[:, None], similarity], dim=1)
    return (torch.logsumexp(everything, dim=1) - positive).mean()


class MemoryBank:
    """The newest class token of each of the last ``size`` persons; evicts the oldest."""

    def __init__(self, size: int, width: int) -> None:
        self.size, self.width = size, width
        self._tokens: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def put(self, persons: Sequence[int], tokens: Tensor) -> None:
        """Stores tokens (B, D) of ``persons``."""
        for person, token in zip(persons, tokens.detach().float().cpu()):
            self._tokens.pop(person, None)
            self._tokens[person] = token.clone()
        while len(self._tokens) > self.size:
            self._tokens.pop(next(iter(self._tokens)))

    def get(self, person: int) -> Tensor | None:
        """Returns the stored token (D,) of a person, or None."""
        return self._tokens.get(person)

    def all(self) -> tuple[Tensor, Tensor]:
        """Returns persons (M,) int64 and tokens (M, D)."""
        if not self._tokens:
            return torch.zeros(0, dtype=torch.int64), torch.zeros(0, self.width)
        return torch.tensor(list(self._tokens)), torch.stack(list(self._tokens.values()))

    def state(self) -> dict[str, Tensor]:
        persons, tokens = self.all()
        return {"persons": persons, "tokens": tokens}

    def load_state(self, state: dict[str, Tensor]) -> None:
        self._tokens = {int(person): token.clone() for person, token in zip(state["persons"], state["tokens"])}


def augment(images: Tensor, draws: Sequence[torch.Generator]) -> Tensor:
    """Applies the photometric augmentations of spec 1.2 to portraits (B, 3, H, W) in [−1, 1], two or three kinds each."""
    return torch.stack([_augment_one(image, draw) for image, draw in zip(images, draws)])


def _augment_one(image: Tensor, draw: torch.Generator) -> Tensor:
    def uniform(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand(1, generator=draw))

    x = (image + 1) / 2
    height, width = x.shape[-2:]
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    kinds = torch.randperm(8, generator=draw)[: 2 + int(uniform(0, 2))].tolist()
    for kind in kinds:
        if kind == 0:  # grayscale
            x = x + uniform(0.5, 1.0) * (x.mean(0, keepdim=True) - x)
        elif kind == 1:  # colour
            x = x * torch.tensor([uniform(0.7, 1.3) for _ in range(3)])[:, None, None]
        elif kind in (2, 3):  # blur, or sharpen and enhance edges
            soft = functional.avg_pool2d(functional.pad(x[None], (1, 1, 1, 1), mode="replicate"), 3, 1)[0]
            x = soft if kind == 2 else x + uniform(0.5, 2.0) * (x - soft)
        elif kind == 4:  # light from a side
            angle = uniform(0, 6.2832)
            side = torch.tensor(angle).cos() * columns + torch.tensor(angle).sin() * rows
            x = x * (1 + uniform(0.1, 0.5) * side)
        elif kind == 5:  # noise
            x = x + uniform(0.01, 0.08) * torch.randn(x.shape, generator=draw)
        elif kind == 6:  # vignette
            x = x * (1 - uniform(0.1, 0.5) * (rows**2 + columns**2) / 2)
        else:  # contrast
            x = (x - 0.5) * uniform(0.6, 1.4) + 0.5
    return x.clamp(0, 1) * 2 - 1
