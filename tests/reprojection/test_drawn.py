"""The head of a drawing turns as a drawing: its background, hair and outlines keep the colours that it has."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from conftest import CASES
from mimaface.face.portrait import Portrait
from mimaface.face.pose import FacePose
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import head_angles_to_matrix
from mimaface.reprojection.drawn import drawn_matte, drawn_person
from mimaface.reprojection.reprojector import Reprojector

SIDE = 300
YELLOW, RED, WHITE, BLACK, WINE = (247, 214, 90), (225, 70, 60), (255, 255, 255), (20, 20, 20), (90, 10, 10)
POINTS = {
    "forehead": (150, 66), "chin": (150, 258), "side.R": (55, 157), "side.L": (245, 157), "nose.tip": (150, 157),
    "iris.R": (110, 128), "eye.outer.R": (88, 128), "eye.inner.R": (132, 128), "lid.upper.R": (110, 102), "lid.lower.R": (110, 154),
    "iris.L": (190, 128), "eye.outer.L": (212, 128), "eye.inner.L": (168, 128), "lid.upper.L": (190, 102), "lid.lower.L": (190, 154),
    "mouth.R": (108, 192), "mouth.L": (192, 192), "lip.upper.inner": (150, 207), "lip.lower.inner": (150, 207),
}  # fmt: skip


def toy(scale: int = 4) -> Image.Image:
    """A round head without a neck: no detector takes it for a face."""
    image = Image.new("RGB", (SIDE * scale, SIDE * scale), YELLOW)
    draw = ImageDraw.Draw(image)

    def disc(u, v, across, down, colour):
        draw.ellipse([scale * (u - across), scale * (v - down), scale * (u + across), scale * (v + down)], fill=colour)

    disc(150, 150, 110, 110, RED)
    for u in (110, 190):
        disc(u, 128, 22, 26, WHITE)
        disc(u, 131, 9, 11, BLACK)
    draw.arc([scale * 105, scale * 140, scale * 195, scale * 210], 20, 160, fill=WINE, width=5 * scale)
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


@pytest.fixture(scope="module")
def drawn():
    file = io.BytesIO()
    toy().save(file, "PNG")
    portrait = Portrait.open(file.getvalue(), points=POINTS)
    return portrait, Reprojector(portrait)


def posed(portrait, angles=(0, 0, 0), moved=(0, 0, 0)) -> FacePose:
    fit = portrait.fit
    return FacePose(fit.blendshapes.copy(), head_angles_to_matrix(np.radians(angles)) @ fit.rotation, fit.translation + moved, fit.gaze)


def away_from(image, colours) -> np.ndarray:
    """(H, W) levels between each pixel and the nearest mixture of two ``colours``."""
    pixels, found = image.reshape(-1, 3).astype(float), np.full(image.shape[0] * image.shape[1], np.inf)
    for first in np.array(colours, float):
        for way in np.array(colours, float) - first:
            share = np.clip((pixels - first) @ way / max(way @ way, 1), 0, 1)
            found = np.minimum(found, np.linalg.norm(pixels - first - share[:, None] * way, axis=1))
    return found.reshape(image.shape[:2])


@pytest.mark.parametrize("angles", [(25, 0, 0), (-25, 0, 0), (0, 20, 0), (0, -20, 0), (0, 0, 20)])
def test_a_turned_drawing_has_its_own_colours_and_a_flat_background(drawn, angles):
    portrait, renderer = drawn
    frame = renderer.posed(posed(portrait, angles))
    background = frame.provenance[..., 0] == 0
    assert background.mean() > 0.3 and (frame.picture[background] == YELLOW).all(), "exactly one colour"
    assert (away_from(frame.picture, (YELLOW, RED, WHITE, BLACK, WINE)) > 12).mean() < 0.003, "no other colours, and no grain"
    assert (np.abs(frame.picture.astype(int) - RED).max(2) <= 2).mean() > 0.2


@pytest.fixture(scope="module")
def cartoon():
    portrait = Portrait.open(CASES / "cartoon.png")
    return portrait, Reprojector(portrait)


@pytest.mark.parametrize("turned", [40, -40])
def test_mouth_and_chin_end_at_the_outline(cartoon, turned):
    portrait, renderer = cartoon
    pose = posed(portrait, (turned, 0, 0))
    for name in ("mouthSmileLeft", "mouthSmileRight"):
        pose.blendshapes[BLENDSHAPE_INDEX[name]] = 1
    picture = renderer.render(pose)
    skin, sky = portrait.image[200, 120], portrait.image[0, 0]
    near_sky = np.abs(picture.astype(int) - sky).max(2)
    assert ((near_sky > 0) & (near_sky < 20)).sum() < 300, "no haze beside the face"
    far = np.s_[230:330, 200:] if turned > 0 else np.s_[230:330, :200]  # at the height of the mouth
    beside = binary_dilation((picture == sky).all(-1), iterations=4)[far]
    assert (away_from(picture, (skin, sky))[far] > 40)[beside].sum() < 120


@pytest.mark.parametrize("angles", [(25, 0, 0), (-25, 0, 0)])
def test_drawn_hair_is_opaque(cartoon, angles):
    portrait, renderer = cartoon
    frame = renderer.posed(posed(portrait, angles))
    hair, sky = portrait.image[80, 200].astype(int), portrait.image[0, 0].astype(int)
    mixed = np.abs(frame.picture - hair).max(2) <= 2
    assert mixed.sum() > 0.8 * (np.abs(portrait.image - hair).max(2) <= 2).sum()
    upper = frame.picture[: np.flatnonzero(mixed.any(1)).max() - 8]
    through = away_from(upper, (hair, sky)) < 3
    between = through & (np.abs(upper - hair).max(2) > 8) & (np.abs(upper - sky).max(2) > 8)
    assert between.sum() < 2.5 * np.hypot(*np.ptp(np.argwhere(mixed), axis=0)), "only the outline is both hair and sky"


def test_a_head_without_a_neck_rises_whole(drawn):
    portrait, renderer = drawn
    picture = renderer.render(posed(portrait, moved=(0, 0.05, 0)))
    red = np.abs(picture.astype(int) - RED).max(2) < 60
    assert np.flatnonzero(red.any(1)).max() < 245, "nothing of the chin is left behind"
    assert (picture[265:] == YELLOW).all()


@pytest.mark.parametrize("quality", [None, 75])
def test_the_matte_of_a_drawing_is_its_outline(quality):
    image = toy()
    if quality:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        image = Image.open(file)
    v, u = np.mgrid[:SIDE, :SIDE] + 0.5
    away = np.hypot(u - 150.5, v - 150.5) - 110
    face = away < -40
    matte = drawn_matte(np.asarray(image), face)
    slack = 2 if quality is None else 9  # blocks of eight pixels
    assert matte[away < -slack].min() == 1 and matte[away > slack].max() == 0
    ring = np.abs(away) < 1
    assert 0.3 < matte[ring].mean() < 0.9
    if quality is None:
        person = drawn_person(np.asarray(image), matte)
        assert np.abs(person[np.abs(away) < 4].astype(int) - RED).max() < 40, "no background in the outline"


def test_a_gradient_is_a_background_and_a_photograph_is_none():
    image, (v, u) = np.asarray(toy()).copy(), np.mgrid[:SIDE, :SIDE]
    outside = (image == YELLOW).all(-1)
    image[outside] = np.stack([120 + v * 0.4, 160 + u * 0.3, 220 - v * 0.3], -1)[outside]
    away = np.hypot(u - 150, v - 150) - 110
    matte = drawn_matte(image, away < -40)
    assert matte[away < -3].min() == 1 and matte[away > 3].max() == 0
    image[outside] = np.random.default_rng(1).integers(0, 256, (outside.sum(), 3))
    assert drawn_matte(image, away < -40) is None


def test_a_face_whose_outline_is_open_is_not_cut():
    image = np.full((80, 80, 3), 255, np.uint8)
    image[20:60, [20, 60]] = 0  # two lines
    face = np.zeros((80, 80), bool)
    face[25:55, 25:55] = True
    assert drawn_matte(image, face) is None


def test_hair_of_the_borders_own_colour_is_found_from_above_only():
    """Shoulders and long hair reach the lower half of the border; the background does not."""
    image = np.full((90, 90, 3), 200, np.uint8)
    image[30:, 20:70] = (120, 60, 200)
    image[70:] = (120, 60, 200)
    face = np.zeros((90, 90), bool)
    face[40:55, 35:55] = True
    matte = drawn_matte(image, face)
    np.testing.assert_array_equal(matte > 0.5, (image == (120, 60, 200)).all(-1))
