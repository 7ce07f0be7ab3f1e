"""What is installed, which engines work, and why the others do not."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from mimaface import __version__
from mimaface.protocol.connection import Connection, default_folder
from mimaface.protocol.errors import MimaFaceError

PACKAGES = ("torch", "diffusers", "transformers", "numpy", "scipy", "numba", "pyzmq", "msgpack", "pillow", "ai-edge-litert")
EXTRAS = {
    "av": "video", "pocketsphinx": "audio", "c2pa-python": "credentials", "onnx": "onnx", "onnxruntime": "onnx",
    "tensorrt-rtx-cu13": "tensorrt", "accelerate": "train", "ray": "ray",
}  # fmt: skip
ENOUGH_DISK = 2e9


Finding = tuple[str, bool | None, str]


def findings() -> Iterator[Finding]:
    """(what, is it fine, in words) for everything that is looked at; None for optional parts that are absent."""
    yield "MIMAFace", True, __version__
    yield "Python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in PACKAGES:
        version = _version(name)
        yield name, version is not None, version or f"missing: pip install {name}"
    for name, extra in EXTRAS.items():
        version = _version(name)
        yield name, True if version else None, version or f'not installed (optional: pip install "mimaface[{extra}]")'
    yield from _networks()
    yield "GPU", True, _gpu()
    yield from _engines()
    folder = default_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    yield "disk", free > ENOUGH_DISK, f"{free / 1e9:.1f} GB free for {folder}"
    yield _backend(folder / "connection.json")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _networks() -> Iterator[Finding]:
    try:
        from mimaface.face.fit import LandmarkModel
        from mimaface.face.landmarks import FaceLandmarker
        from mimaface.face.networks import CHECKSUMS, PersonSegmenter

        LandmarkModel.load()
        FaceLandmarker.load()
        PersonSegmenter.load()
    except (MimaFaceError, ImportError, OSError) as error:
        yield "face models", False, str(error)
        return
    yield "face models", True, f"head, landmarks and {len(CHECKSUMS)} networks are whole"


def _gpu() -> str:
    version = _version("torch")
    if version is None:
        return "not looked at: torch is missing"
    if "+cpu" not in version:  # a CPU build uses no GPU, and is slow to load
        import torch

        if torch.cuda.is_available():
            return ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    return "none that torch can use; everything runs on the CPU"


def _engines() -> Iterator[Finding]:
    try:
        from mimaface.renderers.registry import NOT_INSTALLED, RENDERERS, states
    except ImportError as error:
        yield "engines", False, f"cannot be loaded: {error}"
        return
    for name, reason in states().items():
        networks = RENDERERS[name].networks()
        works = None if reason.startswith(NOT_INSTALLED) else not reason
        yield f"engine {name}", works, reason or (f"works, {networks}" if networks else "works")


def _backend(path: Path) -> Finding:
    try:
        return "backend", True, f"running at {Connection.read(path).endpoint}"
    except MimaFaceError as error:
        return "backend", None, f"not running ({error.message})"
