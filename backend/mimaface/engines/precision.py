"""Selection of the device and the floating-point type of networks."""

from __future__ import annotations

import functools
import platform

import torch


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
