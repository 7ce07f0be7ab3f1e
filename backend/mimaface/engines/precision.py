"""The device, the floating-point type of networks, and whether what they give is finite: a second attempt, then an error that names its source."""

from __future__ import annotations

import functools
import logging
import platform
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from mimaface.protocol.errors import NotFinite

log = logging.getLogger(__name__)
HINT = "resume the take; if it happens again, check the model (mimaface models verify) and the graphics driver"
Numbers = TypeVar("Numbers", bound=Tensor | tuple[Tensor, ...])


@functools.cache
def fast_dtype(device: str) -> torch.dtype:
    """bfloat16 where a device of this type ("cpu", "cuda") computes in it; else float32 on a CPU and float16 on a GPU.

    A CPU that only emulates bfloat16 is about eight times slower in it than in float32.
    """
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if _cpu_computes_bfloat16() else torch.float32


def best_device() -> torch.device:
    """Returns the GPU if torch has one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def arithmetic() -> str:
    """Returns a text that names everything besides weights that the last bits of a network's results depend on, on this machine."""
    device = best_device()
    if device.type == "cuda":
        return f"torch {torch.__version__}, {torch.cuda.get_device_name(device)}, {fast_dtype('cuda')}"
    capability, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return f"torch {torch.__version__}, {platform.machine()} {capability}, {fast_dtype('cpu')}, {threads} threads"


def mixed_precision(wanted: str, device: str) -> str:
    """Returns accelerate's name of a precision: "no", "bf16" or "fp16"; "auto" is bf16 on a device with native support, else no."""
    if wanted != "auto":
        return wanted
    return "bf16" if fast_dtype(device) == torch.bfloat16 else "no"


def autocast(wanted: str, device: torch.device) -> torch.autocast:
    """Returns a context in which operators compute in the precision of :func:`mixed_precision`."""
    precision = mixed_precision(wanted, device.type)
    return torch.autocast(device.type, torch.float16 if precision == "fp16" else torch.bfloat16, enabled=precision != "no")


def _cpu_computes_bfloat16() -> bool:
    if platform.machine().lower() in ("x86_64", "amd64"):  # oneDNN would call emulation by AVX-512 supported, too
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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
