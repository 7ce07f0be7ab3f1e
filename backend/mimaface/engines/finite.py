"""What is not a number is never published: one more try, then an error that says where it came from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from mimaface.protocol.errors import NotFinite

log = logging.getLogger(__name__)
HINT = "resume the take; if it happens again, check the model (mimaface models verify) and the graphics driver"

Numbers = TypeVar("Numbers", bound=Tensor | tuple[Tensor, ...])


def finite(compute: Callable[[], Numbers], where: str) -> Numbers:
    """What ``compute`` returns, a tensor or several, where all is finite; else what it returns the second time.

    where is the sentence's beginning: "the decoder gave, for frame 3,". Raises :class:`NotFinite`.
    """
    for _ in range(2):
        value = compute()
        if all(bool(torch.isfinite(each).all()) for each in ((value,) if isinstance(value, Tensor) else value)):
            return value
        log.warning("%s numbers that are not finite", where)
    raise NotFinite(f"{where} numbers that are not finite, twice", HINT)


def first_not_finite(sample: Tensor) -> int | None:
    """The first place f of (B, C, F, h, w) that holds a number that is not finite; None where all are finite."""
    wrong = ~torch.isfinite(sample)
    return int(wrong.any(dim=4).any(dim=3).any(dim=1).any(dim=0).nonzero()[0]) if bool(wrong.any()) else None
