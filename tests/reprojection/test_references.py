"""Further photographs of the person: shown where they are near, nowhere else, and without a jump."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import HOPPER, motion_of
from mimaface.face.alignment import HeadPicture
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.pictures import encode_png
from mimaface.protocol.errors import InvalidInput
from mimaface.reprojection import head_layers
from mimaface.reprojection.kernels import TEETH
from mimaface.reprojection.mouth import teeth_coloured, teeth_seen
from mimaface.reprojection.references import Nearness, shares
from mimaface.reprojection.reprojector import Reprojector

SIDE = 288


@pytest.fixture(scope="module")
def pictures(portrait) -> dict[str, bytes]:
    """Pictures of one person at rest, with an open mouth whose inside is green, and with closed eyes."""
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


@pytest.fixture(scope="module")
def renderer(known) -> Reprojector:
    return Reprojector(known)


def drawn(renderer: Reprojector, portrait: Portrait, **values) -> np.ndarray:
    return renderer.render(poses_for(portrait.fit, motion_of(values))[0])


def box_around(portrait: Portrait, landmarks: tuple[int, ...], margin: int) -> tuple[slice, slice]:
    points = portrait.fit.landmarks[list(landmarks), :2]
    (left, top), (right, bottom) = points.min(0).astype(int) - margin, points.max(0).astype(int) + margin
    return np.s_[top:bottom, left:right]


def test_strips_of_rows_change_no_byte(known, renderer, monkeypatch):
    """A large frame is drawn some rows at a time, with head, sheet, smooth edges, seams and references across their borders."""
    pose = poses_for(known.fit, motion_of({"angles": (14, 8, 6), "jawOpen": 0.6, "eyeBlinkLeft": 0.7}))[0]
    whole = renderer.posed(pose, transparent=True)
    monkeypatch.setattr(head_layers, "STRIP", SIDE * 20)
    strips = renderer.posed(pose, transparent=True)
    assert len(list(head_layers.strips((0, 0, SIDE, SIDE), 2))) == SIDE // 20
    assert np.array_equal(strips.picture, whole.picture) and np.array_equal(strips.provenance, whole.provenance)


@pytest.mark.parametrize("darkest, brightest", [(1.0, 1.0), (0.6, 1.25)], ids=["the same light", "light from the side"])
def test_heads_of_references_are_aligned_by_their_skin(hopper, monkeypatch, darkest, brightest):
    """Landmarks slide over a turned head: its photograph was off by two degrees."""
    pose = poses_for(hopper.fit, motion_of({"angles": (5, 3, -4), "browInnerUp": 0.2}))[0]
    drawn = Reprojector(hopper).render(pose)
    light = np.linspace(darkest, brightest, drawn.shape[1])[:, None]
    picture = encode_png(np.clip(drawn * light, 0, 255).astype(np.uint8))

    def missed() -> float:
        """Degrees between the true turn and the one of the fits."""
        whole = Portrait.open(HOPPER, references=[("turned.png", picture)])
        turn = whole.references[0].fit.rotation @ whole.fit.rotation.T @ hopper.fit.rotation @ pose.rotation.T
        return float(np.degrees(np.arccos((np.trace(turn) - 1) / 2)))

    by_skin = missed()
    monkeypatch.setattr(HeadPicture, "of", lambda image, points: None)
    assert by_skin < 0.6 * missed()
    assert by_skin < 1.2


def test_both_are_taken_and_have_one_identity(known):
    assert len(known.references) == 2 and known.warnings == ()
    assert all(np.array_equal(each.fit.identity, known.fit.identity) for each in known.references)


def test_at_rest_the_portrait_is_shown_to_the_byte(known, renderer):
    assert np.array_equal(drawn(renderer, known), known.image)


def test_each_picture_is_shown_where_it_is_near_and_changes_nothing_else(known, renderer):
    """The mouth of the one, the lids of the other; without the first the lids stay to the byte, but for single pixels at their edge."""
    values = {"jawOpen": 0.6, "eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
    both = drawn(renderer, known, **values)
    without = drawn(Reprojector(replace(known, references=known.references[1:])), known, **values)
    mouth = box_around(known, (78, 308, 13, 14), 12)

    def green(picture):
        return int((picture[..., 1].astype(int) > picture[..., 0].astype(int) + 40).sum())

    assert green(without[mouth]) == 0 and green(both[mouth]) > 100
    for lids in ((33, 133, 159, 145), (362, 263, 386, 374)):
        eye = box_around(known, lids, 2)
        assert (both[eye] != without[eye]).any(-1).mean() < 0.015
        assert np.abs(both[eye].astype(int) - without[eye]).max() <= 8
        within = box_around(known, lids, -2)
        assert np.abs(both[within].astype(int) - without[within]).max() <= 1, "between the lids' landmarks nothing changes but by rounding"


def test_teeth_that_the_portrait_hides_have_the_colour_that_a_reference_shows(hopper):
    draw = Reprojector(hopper)
    bare = {f"mouth{name}{side}": 0.8 for name in ("UpperUp", "LowerDown", "Smile") for side in ("Left", "Right")} | {"jawOpen": 0.15}
    draw._photograph.paint_teeth(np.array([190.0, 230.0, 255.0]))
    blue = encode_png(draw.render(poses_for(hopper.fit, motion_of(bare))[0]))
    teeth = teeth_coloured(np.zeros(3))[0]
    alone, known = (Reprojector(each) for each in (hopper, Portrait.open(HOPPER, references=[("blue.png", blue)])))
    before, after = (np.median(each.projection.fallback[teeth], axis=0) for each in (alone, known))
    assert before[2] < before[0], "ivory"
    assert after[2] > after[0] + 20


@pytest.mark.parametrize("colour, seen", [((215, 200, 190), True), ((200, 95, 100), False), ((60, 55, 50), False)], ids=["teeth", "gums", "dark"])
def test_teeth_are_bright_and_no_redder_than_the_skin(colour, seen):
    image, kind = np.full((8, 8, 3), colour, np.uint8), np.full((8, 8), TEETH, np.uint8)
    found = teeth_seen(image, kind, np.full((8, 8), 100, np.int8), np.array([200.0, 150.0, 130.0]))
    assert found.tolist() == (list(colour) if seen else [])


def test_nothing_jumps_while_another_picture_becomes_the_nearest(known):
    frames = 97
    motion = motion_of(*[{"jawOpen": 0.6 * i / (frames - 1)} for i in range(frames)])
    near, others = Nearness.of(known.fit), [Nearness.of(each.fit) for each in known.references]
    parts = np.stack([shares(Nearness.of(pose), near, others) for pose in poses_for(known.fit, motion)])
    assert parts[0].max() < 1e-9 and parts[-1, 0].max() > 0.95  # from the portrait to the first reference
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


def test_a_strangers_photograph_is_refused(pictures, hopper):
    """Also the smaller of two faces is taken, if it is the person's."""
    stranger = Image.fromarray(hopper.image)
    person = Image.open(io.BytesIO(pictures["wide.png"])).convert("RGB")
    both = Image.new("RGB", (stranger.width + person.width, max(stranger.height, person.height)))
    both.paste(stranger), both.paste(person, (stranger.width, 0))
    given = [("stranger.jpg", encode_png(hopper.image)), ("both.png", encode_png(np.asarray(both)))]
    result = Portrait.open(pictures["rest.png"], references=given)
    assert result.warnings == ("stranger.jpg is left out: it shows somebody else",)
    assert [each.fit.landmarks[0, 0] > stranger.width for each in result.references] == [True]


def test_the_same_picture_again_is_no_reference(pictures):
    assert Portrait.open(pictures["rest.png"], references=[pictures["rest.png"]]).references == ()


def test_too_many_are_refused(pictures):
    with pytest.raises(InvalidInput, match="13 reference pictures are too many"):
        Portrait.open(pictures["rest.png"], references=[pictures["rest.png"]] * 13)
