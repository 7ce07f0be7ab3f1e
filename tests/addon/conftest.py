"""The built extension, and faces as the backend sends them, made once for all files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from blender_runs import build_module
from conftest import CASES, COLLINS, HOPPER
from mimaface.face.portrait import Portrait
from mimaface.serving.mesh import head_mesh


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_module().build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ``collins.npz``, ``hopper.npz`` and ``exif_6.npz``: what the backend answers, and the size of the photograph."""
    folder = tmp_path_factory.mktemp("heads")
    for path, name in ((COLLINS, "collins"), (HOPPER, "hopper"), (CASES / "exif_6.jpg", "exif_6")):
        portrait = Portrait.open(path)
        arrays = np.load(io.BytesIO(head_mesh(portrait)))
        np.savez(folder / f"{name}.npz", **arrays, size=portrait.image.shape[1::-1])
    return folder
