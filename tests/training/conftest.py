"""Fixtures of the training tests; ``training_fixtures`` contains those that scripts use, too."""

from pathlib import Path

import pytest

from mimaface.training.latents import LatentStore
from training_fixtures import write_latents


@pytest.fixture
def store(tmp_path: Path) -> LatentStore:
    return LatentStore([write_latents(tmp_path / "a.safetensors"), write_latents(tmp_path / "b.safetensors", 3, seed=1)])
