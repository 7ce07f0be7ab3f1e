"""Faces of any size beside one another, and heads tilted by any angle."""

import numpy as np
import pytest
from PIL import Image

from conftest import CASES, HOPPER, motion_of
from mimaface.face.fit import fit_portrait
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.face.track import track_frames
from mimaface.protocol.errors import NoFaceFound
from mimaface.protocol.rotation import matrix_to_head_angles, matrix_to_quaternion, quaternion_to_matrix, tilt_of
from mimaface.reprojection.reprojector import Reprojector


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.open(HOPPER).convert("RGB")


def two_people(photograph: Image.Image, size: float) -> np.ndarray:
    """One person, and mirrored at ``size`` of the first beside her, on a grey wall."""
    near = photograph.crop((90, 40, 440, 430))
    far = near.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((round(350 * size), round(390 * size)))
    wall = Image.new("RGB", (700, 400), (150, 140, 120))
    wall.paste(near, (0, 5))
    wall.paste(far, (525 - far.width // 2, 390 - far.height))
    return np.asarray(wall)


@pytest.mark.parametrize("size", [0.8, 0.5, 0.35, 0.18])
def test_a_person_farther_away_can_be_chosen(photograph, size):
    picture = two_people(photograph, size)
    near, far = fit_portrait(picture, 0), fit_portrait(picture, 1)
    assert far.landmarks[:468, 0].mean() == pytest.approx(525 - 3 * size, abs=40 * size + 5)
    assert near.landmarks[:468, 0].mean() < 300, "the largest comes first"
    assert far.scale / near.scale == pytest.approx(size, abs=0.04)
    with pytest.raises(NoFaceFound, match="2 faces are in the picture"):
        fit_portrait(picture, 2)


def test_the_second_person_moves_and_the_first_stands_still():
    portrait = Portrait.open(CASES / "two_near_far.jpg", face=1)
    np.testing.assert_allclose(portrait.fit.landmarks[:468, :2].mean(0), (613, 331), atol=6)
    (pose,) = poses_for(portrait.fit, motion_of({"angles": (15, 0, 0), "jawOpen": 0.5}))
    changed = np.abs(Reprojector(portrait).render(pose).astype(int) - portrait.image).max(-1) > 20
    assert changed[:, 450:].sum() > 1000
    assert changed[:, :400].sum() == 0


@pytest.mark.parametrize("name", ["grace_hopper.jpg", "cartoon.png", "lying.jpg", "grey.jpg"])
def test_one_person_is_one_face(name):
    path = HOPPER if name == HOPPER.name else CASES / name
    assert len(FaceLandmarker.load().faces(np.asarray(Image.open(path).convert("RGB")), least=9)) == 1


def test_a_video_follows_the_near_person_and_finds_the_far_one_alone():
    image = np.asarray(Image.open(CASES / "two_near_far.jpg").convert("RGB"))
    alone = image.copy()
    alone[:, :400] = 128
    assert track_frames([(0.0, image)]).landmarks[0, :468, 0].mean() == pytest.approx(199, abs=6)
    assert track_frames([(0.0, alone)]).landmarks[0, :468, 0].mean() == pytest.approx(613, abs=6)


def degrees(rotation: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll in the levelled frame of a rotation (3, 3), and the tilt (4,)."""
    tilt = tilt_of(matrix_to_quaternion(rotation))
    level = matrix_to_head_angles(quaternion_to_matrix(tilt).T @ rotation)
    return np.degrees([*level, 2 * np.arctan2(tilt[3], tilt[0])])


def shaken_and_nodding(picture: Image.Image, tilt: float) -> np.ndarray:
    """(3, 4): :func:`degrees` of a photograph, and of its frames shaking and nodding, these turned back by ``tilt`` degrees."""
    image = np.asarray(picture)
    portrait = Portrait(image, fit_portrait(image), "")
    renderer = Reprojector(portrait, 400)
    poses = poses_for(portrait.fit, motion_of({"angles": (15, 0, 0)}, {"angles": (0, 12, 0)}))
    frames = [Image.fromarray(renderer.render(pose)).rotate(-tilt, Image.Resampling.BICUBIC, expand=True) for pose in poses]
    fits = [portrait.fit, *(fit_portrait(np.asarray(frame)) for frame in frames)]
    return np.stack([degrees(fit.rotation) for fit in fits])


@pytest.fixture(scope="module")
def upright(photograph) -> np.ndarray:
    return shaken_and_nodding(photograph, 0)


@pytest.mark.parametrize("tilt", [45, 90, 120, 180, 270])
def test_a_shake_of_a_tilted_head_is_a_shake(photograph, upright, tilt):
    """In degrees of what the frames show, turned back upright."""
    picture = photograph.rotate(tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=(120, 120, 120))
    tilted = shaken_and_nodding(picture, tilt)
    assert (tilted[0, 3] - upright[0, 3] - tilt + 180) % 360 == pytest.approx(180, abs=3)
    np.testing.assert_allclose(tilted[:, :2], upright[:, :2], atol=6)
    assert tilted[1, 0] - tilted[0, 0] == pytest.approx(15, abs=4)
