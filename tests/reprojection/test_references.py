"""Further photographs of the person: shown where they are near, nowhere else, and without a jump."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import motion_of
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.pictures import encode_png
from mimaface.protocol.errors import InvalidInput
from mimaface.reprojection.nearness import Nearness, shares
from mimaface.reprojection.reprojector import Reprojector

SIDE = 320


@pytest.fixture(scope="module")
def pictures(portrait) -> dict[str, bytes]:
    """Pictures of one person at rest, with an open mouth whose inside is green, and with closed eyes that are marked red."""
    draw = Reprojector(portrait, SIDE, "face")
    rest, wide, shut = (
        draw.render(poses_for(portrait.fit, motion_of(values))[0])
        for values in ({}, {"jawOpen": 0.6}, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0})
    )
    wide[between_lips(wide, rest)] = [40, 160, 40]
    return {"rest.png": encode_png(rest), "wide.png": encode_png(wide), "shut.png": encode_png(shut)}


def between_lips(wide: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """(H, W) bool: what is dark in an open mouth and was not."""
    return (wide.astype(int).sum(2) < 150) & (rest.astype(int).sum(2) > 200)


@pytest.fixture(scope="module")
def known(pictures) -> Portrait:
    """The person at rest with both others as references."""
    return Portrait.open(pictures["rest.png"], references=[("wide.png", pictures["wide.png"]), ("shut.png", pictures["shut.png"])])


def drawn(portrait: Portrait, **values) -> np.ndarray:
    return Reprojector(portrait).render(poses_for(portrait.fit, motion_of(values))[0])


def box_around(portrait: Portrait, landmarks: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    points = portrait.fit.landmarks[list(landmarks), :2]
    (left, top), (right, bottom) = points.min(0).astype(int) - margin, points.max(0).astype(int) + margin
    return np.s_[top:bottom, left:right]


def test_both_are_taken_and_have_one_identity(known):
    assert len(known.references) == 2 and known.warnings == ()
    assert all(np.array_equal(each.fit.identity, known.fit.identity) for each in known.references)


def test_at_rest_the_portrait_is_shown_to_the_byte(known):
    assert np.array_equal(drawn(known), known.image)


def test_an_open_mouth_is_that_of_the_picture_that_shows_one(known):
    mouth = box_around(known, (78, 308, 13, 14), 12)
    alone, both = drawn(replace(known, references=()), jawOpen=0.6)[mouth], drawn(known, jawOpen=0.6)[mouth]

    def green(picture):
        return int((picture[..., 1].astype(int) > picture[..., 0].astype(int) + 40).sum())

    assert green(alone) == 0 and green(both) > 100


def test_leaving_out_a_picture_changes_only_what_it_fed(known):
    values = {"jawOpen": 0.6, "eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    both, without = drawn(known, **values), drawn(replace(known, references=known.references[1:]), **values)
    eyes = box_around(known, (33, 133, 362, 263, 159, 145, 386, 374), 6)
    mouth = box_around(known, (78, 308, 13, 14), 4)
    assert np.array_equal(both[eyes], without[eyes])
    assert np.abs(both[mouth].astype(int) - without[mouth]).max() > 40


def test_nothing_jumps_while_another_picture_becomes_the_nearest(known):
    frames = 97
    motion = motion_of(*[{"jawOpen": 0.6 * i / (frames - 1)} for i in range(frames)])
    near, others = Nearness.of(known.fit), [Nearness.of(each.fit) for each in known.references]
    parts = np.stack([shares(Nearness.of(pose), near, others) for pose in poses_for(known.fit, motion)])
    assert (parts[0] == 0).all() and parts[-1, 0].max() > 0.95  # from the portrait to the first reference
    assert parts.sum(1).max() <= 1 + 1e-6
    assert np.abs(np.diff(parts, axis=0)).max() < 0.2
    assert np.abs(np.diff(parts, 2, axis=0)).max() < 0.1


def test_pictures_that_cannot_serve_are_named_and_left_out(pictures, portrait):
    small = np.asarray(Image.fromarray(portrait.image).resize((100, 100)))
    given = [("wall.png", encode_png(np.full((200, 200, 3), 90, np.uint8))), ("far.png", encode_png(np.pad(small, ((20, 80), (60, 60), (0, 0)))))]
    result = Portrait.open(pictures["rest.png"], references=given)
    assert result.references == () and len(result.warnings) == 2
    assert result.warnings[0] == "wall.png is left out: no face found in it"
    assert result.warnings[1].startswith("far.png is left out: the face in it is ")


def test_the_same_picture_again_is_no_reference(pictures):
    assert Portrait.open(pictures["rest.png"], references=[pictures["rest.png"]]).references == ()


def test_too_many_are_refused(pictures):
    with pytest.raises(InvalidInput, match="13 reference pictures are too many"):
        Portrait.open(pictures["rest.png"], references=[pictures["rest.png"]] * 13)
