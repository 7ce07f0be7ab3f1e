"""Reading and writing weights: safetensors, strict, without a second copy in memory."""

from __future__ import annotations

import json
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mimaface.protocol.errors import InternalError, InvalidCheckpoint, NotWritable
from mimaface.protocol.files import replacing

from .unet_blocks import Positions, sinusoids

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model.safetensors"
TRANSFORMERS_WEIGHTS = "model.safetensors"
LARGEST_HEADER = 1 << 20  # bytes of a .safetensors header; all of Stable Diffusion's takes a tenth
RELEASE_BYTES = 1 << 28  # bytes read from a file before its pages are released. Raised: more memory during conversion
LISTED_KEYS = 8  # keys listed in an error before "and n more"

Module = TypeVar("Module", bound=nn.Module)


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object. Raises :class:`InvalidCheckpoint` with the file's path."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidCheckpoint(f"{path} is missing", "point at a complete checkpoint folder") from None
    except RecursionError:
        raise InvalidCheckpoint(f"{path} cannot be read: it is nested too deeply", "it is not a file of a model; install the model again") from None
    except (OSError, ValueError) as error:
        raise InvalidCheckpoint(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise InvalidCheckpoint(f"{path} does not hold a JSON object")
    return content


def public_fields(config: Mapping[str, Any], with_class: bool = False) -> dict[str, Any]:
    """Returns a configuration without the private fields of diffusers and transformers, but for the name of the class ``with_class``."""
    private = ("model_type", "architectures")
    return {
        key: value
        for key, value in config.items()
        if (with_class and key == "_class_name") or not (key.startswith("_") or key in private)
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object atomically. Raises :class:`NotWritable`."""
    _replacing(path, lambda part: part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8"))


def read_weights(path: Path, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Returns the tensors of a ``.safetensors`` file, memory-mapped; floating-point ones are converted one by one to ``dtype``.

    Other suffixes are read as PyTorch archives of plain tensors, without executing code. Raises :class:`InvalidCheckpoint`.
    """
    if not path.is_file():
        raise InvalidCheckpoint(f"{path} is missing", "point at a complete checkpoint")
    if path.suffix == ".safetensors":
        return _read_safetensors(path, dtype)
    try:
        # archives from before PyTorch 1.6 are not zip files and cannot be mapped; they are read as safely
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as error:  # PyTorch's message recommends disabling the protection
        raise InvalidCheckpoint(
            f"{path} is damaged or contains more than weights; such files can execute code and are not opened",
            "download it again, or take the .safetensors file of the same model",
        ) from error
    except OSError as error:
        raise InvalidCheckpoint(f"{path} cannot be read: {error.strerror or 'it is damaged'}", "download or copy it again") from error
    except (RuntimeError, ValueError, EOFError, KeyError, AttributeError, IndexError, TypeError, RecursionError) as error:
        raise InvalidCheckpoint(f"{path} is damaged or no file of weights", "download or copy it again") from error
    while isinstance(content, dict):  # trainers wrap the table, some twice
        inner = next((content[name] for name in ("state_dict", "model") if isinstance(content.get(name), dict)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise InvalidCheckpoint(f"{path} does not hold a table of weights")
    return {str(key): _converted(value, dtype) for key, value in content.items()}


def _read_safetensors(path: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    try:
        _check_header(path)
        with safe_open(path, "pt") as file:
            names = deque(file.keys())
            if dtype is None:
                return {name: file.get_tensor(name) for name in names}
        weights = {}
        while names:
            with safe_open(path, "pt") as file:  # reopened periodically, which releases the pages of converted tensors
                read = 0
                while names and read < RELEASE_BYTES:
                    value = file.get_tensor(names[0])
                    weights[names.popleft()] = _converted(value, dtype)
                    read += value.nbytes
        return weights
    except (SafetensorError, OSError) as error:
        raise InvalidCheckpoint(f"{path} is damaged: {error}", "download or copy it again") from error


def _check_header(path: Path) -> None:
    """Rejects headers larger than any model's: the library needs a minute for one with a million names."""
    with path.open("rb") as file:
        start = file.read(8)
    size = int.from_bytes(start, "little")
    if len(start) == 8 and size > LARGEST_HEADER:
        raise InvalidCheckpoint(f"{path} is damaged: its table of contents would be {size} bytes long", "download or copy it again")


def _converted(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    return value.to(dtype) if dtype is not None and value.is_floating_point() else value


def write_weights(path: Path, weights: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Writes a ``.safetensors`` file atomically. Raises :class:`NotWritable`."""
    content = {key: _converted(value.detach().cpu(), dtype).contiguous() for key, value in weights.items()}
    _replacing(path, lambda part: save_file(content, part, metadata={"format": "pt"}))


def _replacing(path: Path, write: Callable[[Path], Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            write(part)
    except (OSError, SafetensorError) as error:
        raise NotWritable(f"cannot write {path}: {error}", "choose another folder or free some space") from error


def check_weights(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> None:
    """Raises :class:`InvalidCheckpoint` with the missing and unexpected keys and wrong shapes, if any."""
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    shapes = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in sorted(expected.keys() & found.keys())
        if found[key].shape != expected[key].shape
    ]
    complaints = [
        f"{len(keys)} {what}: {', '.join(keys[:LISTED_KEYS])}{f' and {len(keys) - LISTED_KEYS} more' if len(keys) > LISTED_KEYS else ''}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if complaints:
        raise InvalidCheckpoint(f"{where}: weights do not fit: {'; '.join(complaints)}", "the file is of another model")


def load_weights(module: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Assigns weights to a module, on the meta device or not, without copying. Strict; see :func:`check_weights`."""
    check_weights(module.state_dict(), weights, where)
    module.load_state_dict(weights, strict=True, assign=True)
    _rebuild_tables(module)
    hollow = [name for name, value in (*module.named_parameters(), *module.named_buffers()) if value.is_meta]
    if hollow:
        raise InternalError(f"{where}: no values for {', '.join(hollow[:LISTED_KEYS])}")


def without_memory(build: Callable[[], Module]) -> Module:
    """Builds a module on the meta device: shapes only, for :func:`load_weights`."""
    with torch.device("meta"):
        return build()


def _rebuild_tables(module: nn.Module) -> None:
    """Rebuilds buffers that follow from the configuration and are not in checkpoints, in the dtype of the weights."""
    dtype = next(module.parameters()).dtype
    for part in module.modules():
        if isinstance(part, Positions):
            part.pe = sinusoids(*part.pe.shape[1:]).to(dtype)
