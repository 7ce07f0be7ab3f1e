"""Checks that results of networks are finite: a second attempt, then an error that names the source."""

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
    """Returns the result of ``compute``, a tensor or several, if it is finite at the first or second call; else raise :class:`NotFinite`.

    ``where``: the beginning of the message, such as "the decoder gave, for frame 3,".
    """
    for _ in range(2):
        value = compute()
        if all(bool(torch.isfinite(each).all()) for each in ((value,) if isinstance(value, Tensor) else value)):
            return value
        log.warning("%s numbers that are not finite", where)
    raise NotFinite(f"{where} numbers that are not finite, twice", HINT)


def first_not_finite(sample: Tensor) -> int | None:
    """Returns the first frame f of (B, C, F, h, w) with a number that is not finite; None if all are finite."""
    wrong = ~torch.isfinite(sample)
    return int(wrong.any(dim=4).any(dim=3).any(dim=1).any(dim=0).nonzero()[0]) if bool(wrong.any()) else None
