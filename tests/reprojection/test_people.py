"""People unlike the two photographs': fair to dark skin, grey and red hair, stubble and beards, glasses."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from conftest import motion_of
from mimaface.face.fit import lid_opening
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.pose import poses_for
from mimaface.protocol.rotation import matrix_to_head_angles
from mimaface.reprojection.reprojector import Reprojector

EYES = ((33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
        (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382))  # fmt: skip


@pytest.fixture(scope="module")
def shown(sitter):
    """The frame of a pose, at the size of the portrait."""
    renderer = Reprojector(sitter.portrait)

    def draw(**values) -> np.ndarray:
        return renderer.render(poses_for(sitter.portrait.fit, motion_of(values))[0])

    return draw


def landmarks(image: np.ndarray) -> np.ndarray:
    return FaceLandmarker.load().faces(image)[0].points


def test_the_head_is_fitted_where_it_is(sitter):
    fit = sitter.portrait.fit
    assert fit.error * 512 / (1.5 * np.ptp(fit.landmarks[:468, :2], axis=0).max()) < 3.3, (
        "pixels of a 512² crop, as the photographs"
    )
    off = np.degrees(matrix_to_head_angles(fit.rotation)) - sitter.angles
    assert (np.abs(off) < [5, 8, 3]).all(), off


def test_no_motion_is_the_photograph(sitter, shown):
    assert np.abs(shown().astype(int) - sitter.portrait.image).max() <= 2


def test_lids_close_and_lips_open(sitter, shown):
    opened, closed = (lid_opening(landmarks(image)) for image in (sitter.portrait.image, shown(eyeBlinkLeft=1, eyeBlinkRight=1)))
    assert (closed < 0.35 * opened).all(), (opened, closed)
    shut, wide = (np.linalg.norm(np.subtract(*landmarks(shown(jawOpen=value))[[13, 14], :2])) for value in (0, 0.5))
    assert wide > shut + 8, "pixels between the lips"


@pytest.mark.parametrize("yaw", [-18, 18])
def test_eyes_that_look_aside_have_the_whites_they_had(sitter, shown, yaw):
    """Neither skin nor a hole where the iris was."""
    before, after = (whites(image, sitter.portrait.fit.landmarks) for image in (sitter.portrait.image, shown(gaze=(yaw, 0))))
    brightness = after.mean(1) / before.mean(1)
    assert ((brightness > 0.85) & (brightness < 1.25)).all(), brightness
    assert (np.ptp(after, axis=1) < np.ptp(before, axis=1) + 8).all(), "no more colour than a warm light gives; skin has 60 more"


def whites(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Colour (2, 3) of the brighter half inside each eye's lids."""
    colours = []
    for eye in EYES:
        mask = Image.new("L", image.shape[1::-1])
        ImageDraw.Draw(mask).polygon([tuple(point) for point in points[list(eye), :2]], fill=1)
        inside = image[np.asarray(mask) > 0].astype(float)
        colours.append(inside[np.argsort(inside.sum(1))[len(inside) // 2 :]].mean(0))
    return np.array(colours)
