"""Reference photographs through the backend: kept with the portrait, part of a job's name, and there after a new start."""

import shutil

import numpy as np
from PIL import Image

from conftest import COLLINS, HOPPER
from mimaface.serving.store import Store
from mimaface.serving.work import Work


def test_references_are_kept_and_name_the_job(tmp_path):
    """The files are gone and another backend starts on the same store: the portrait is still the one with its references."""
    flipped, stranger = tmp_path / "flipped.png", tmp_path / "stranger.jpg"
    Image.open(COLLINS).convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(flipped)
    shutil.copy(HOPPER, stranger)
    content = COLLINS.read_bytes()
    work = Work(Store(tmp_path / "home"))
    alone, _ = work.fit(content, 0, [])
    reply, _ = work.fit(content, 0, [str(flipped), str(stranger)])
    assert reply["references"] == 1 and alone["references"] == 0
    assert reply["warnings"] == [*alone["warnings"], "stranger.jpg is left out: it shows somebody else"]
    assert reply["portrait"] != alone["portrait"] and reply["portrait"].startswith(alone["portrait"])
    flipped.unlink()
    again = Work(Store(tmp_path / "home"))
    portrait = again.portrait(reply["portrait"])
    assert len(portrait.references) == 1
    np.testing.assert_array_equal(portrait.fit.identity, work.portrait(reply["portrait"]).fit.identity)
