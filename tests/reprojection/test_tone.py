"""What is painted into a photograph has the photograph's own colours: grey in a grey one, brown in a brown one."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from conftest import CASES, HOPPER, motion_of
from mimaface.animation import animate
from mimaface.face.portrait import Portrait
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.reprojector import Reprojector
from mimaface.reprojection.tone import BRIGHTNESS, tone_of

# mouth wide open with tongue and gums, an ear that no pixel shows, whites of eyes, lids
PAINTED = motion_of({"angles": (30, 5, 0), "jawOpen": 0.8, "tongueOut": 0.4, "gaze": (20, 0)}, {"eyeBlinkLeft": 1, "mouthSmileLeft": 1})


def tinted(dark: tuple, middle: tuple, light: tuple, quality: int | None = None, noise: float = 0.0) -> np.ndarray:
    """The photograph as a print of one tint."""
    grey = ImageOps.grayscale(Image.open(HOPPER))
    picture = ImageOps.colorize(grey, dark, light, middle)
    if noise:
        values = np.asarray(picture) + np.random.default_rng(0).normal(0, noise, (*picture.size[::-1], 3))
        picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    if quality:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=quality)
        picture = Image.open(stream)
    return np.asarray(picture)


def opened(image: np.ndarray) -> Portrait:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return Portrait.open(stream.getvalue())


def drawn(portrait: Portrait, engine: str, size: int = 224) -> list[np.ndarray]:
    return [frame.image for frame in animate(portrait, PAINTED, RenderSettings(engine=engine, size=size))]


@pytest.mark.parametrize("engine", ["proxy", "demo"])
def test_a_grey_photograph_gives_grey_frames(engine):
    portrait = Portrait.open(CASES / "grey.jpg")
    for frame in drawn(portrait, engine):
        assert np.ptp(frame, axis=-1).max() == 0
        assert np.abs(frame.astype(int) - Reprojector(portrait, 224).image).max() > 60


SEPIA, CYANOTYPE, SPLIT = (
    ((20, 8, 0), (150, 115, 80), (255, 244, 214)),
    ((5, 10, 40), (100, 130, 165), (235, 245, 255)),
    ((10, 20, 50), (125, 120, 115), (255, 230, 180)),
)


def off_the_tint(frame: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """(H, W) levels by which pixels are off the colour that a print has for their brightness."""
    return np.abs(frame - curve[np.clip(np.round(frame @ BRIGHTNESS), 0, 255).astype(int)]).max(-1)


@pytest.mark.parametrize(
    ("engine", "image"),
    [
        ("proxy", tinted(*SEPIA)),
        ("demo", tinted(*SEPIA, quality=60)),
        ("proxy", tinted(*CYANOTYPE)),
        ("proxy", tinted(*SPLIT)),
    ],
    ids=["sepia", "sepia jpeg", "cyanotype", "split toned"],
)
def test_a_print_of_one_tint_keeps_it(engine, image):
    portrait = opened(image)
    renderer = Reprojector(portrait, 224)
    curve = renderer.projection.tone.curve
    allowed = off_the_tint(renderer.image, curve).max() + 8  # a photograph's own edges are off, too: 13 to 21
    for frame in drawn(portrait, engine):
        assert (off_the_tint(frame, curve) > allowed).sum() == 0


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_grain_is_no_colour(noise):
    tone = tone_of(tinted(*SEPIA, noise=noise), np.ones((600, 512)))
    assert tone.own == 0
    np.testing.assert_allclose(tone.painted(np.array([150.0, 30, 30])), tone.curve[66], atol=2)


def test_a_photograph_in_colour_keeps_its_red_tongue(each_portrait):
    assert Reprojector(each_portrait, 224).projection.tone.own == 1


def test_a_drawing_in_few_colours_is_in_colour():
    image = np.asarray(Image.open(CASES / "cartoon.png").convert("RGB"))
    assert tone_of(image, np.ones(image.shape[:2])).own == 1
