"""A drawing in flat colours is said to be one, and its eyes close in its own skin."""

import io

import numpy as np
import pytest
from PIL import Image

from conftest import CASES, motion_of
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.reprojection.reprojector import Reprojector

CARTOON = CASES / "cartoon.png"


def changed_colours(channels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(Image.open(CARTOON).convert("RGB"))[..., channels]).save(file, "PNG")
    return file.getvalue()


def as_jpeg(side: int) -> bytes:
    file = io.BytesIO()
    Image.open(CARTOON).convert("RGB").resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=70)
    return file.getvalue()


@pytest.mark.parametrize("source", [CARTOON, as_jpeg(400), as_jpeg(700), changed_colours([1, 0, 2])], ids=["png", "jpeg", "large", "green"])
def test_a_drawing_is_said_to_be_one(source):
    (warning,) = Portrait.open(source).warnings
    assert "drawing in flat colours" in warning and "20 degrees" in warning


def test_photographs_are_none(each_portrait):
    assert each_portrait.warnings == ()
    assert not Reprojector(each_portrait).projection.flat


@pytest.mark.parametrize("close", [("Left",), ("Left", "Right")])
def test_a_drawn_eye_closes_in_the_drawings_skin(close):
    portrait = Portrait.open(CARTOON)
    image = Reprojector(portrait).render(poses_for(portrait.fit, motion_of({f"eyeBlink{side}": 1.0 for side in close}))[0])
    for side, iris in (("Left", 473), ("Right", 468)):
        u, v = portrait.fit.landmarks[iris, :2].astype(int)
        eye = np.s_[v - 18 : v + 19, u - 18 : u + 19]
        skin = np.median(portrait.image[v + 25 : v + 35, u - 5 : u + 6].reshape(-1, 3), axis=0)
        near = (np.abs(image[eye].astype(float) - skin).max(2) < 12).mean()
        if side in close:
            assert near > 0.8, "skin, and the line of the lashes"
            assert image[eye][..., 2].astype(int).max() <= skin[2] + 12, "no blue and no white of the eye is left"
        else:
            assert (np.abs(image[eye].astype(int) - portrait.image[eye]).max(2) > 8).mean() < 0.02, "the other eye stays open"
