"""Several people of one picture, each under a motion of their own."""

import numpy as np
import pytest
from PIL import Image

import mimaface
from conftest import CASES, COLLINS, motion_of
from mimaface.cli import main
from mimaface.face.portrait import Portrait
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings

SMALL = RenderSettings(size=320)
OPEN = {"jawOpen": 0.8}


@pytest.fixture(scope="module")
def pair() -> list[Portrait]:
    """A near person and a far one."""
    return [Portrait.open(CASES / "two_near_far.jpg", face) for face in (0, 1)]


def boxes(pair: list[Portrait]) -> list[tuple[slice, slice]]:
    """Where each face is in a frame."""
    scale = SMALL.size / max(pair[0].image.shape)
    ends = [(scale * np.array([p.fit.landmarks[:468, :2].min(0), p.fit.landmarks[:468, :2].max(0)])).astype(int) for p in pair]
    return [(slice(low[1], high[1]), slice(low[0], high[0])) for low, high in ends]


def test_each_face_has_its_own_motion(pair):
    """At rest both are the photograph to the byte; then one opens its mouth, then the other."""
    near, far = motion_of({}, OPEN, {}), motion_of({}, {}, OPEN)
    frames = list(mimaface.animate(pair, [near, far], SMALL))
    alone = next(frame.image for frame in mimaface.animate(pair[0], MotionClip.at_rest(np.zeros(1)), SMALL))
    np.testing.assert_array_equal(frames[0].image, alone)
    assert [frame.still for frame in frames] == [True, False, False]
    for frame, (mine, other) in zip(frames[1:], ((0, 1), (1, 0))):
        away = np.abs(frame.image.astype(int) - alone).max(-1)
        assert away[boxes(pair)[mine]].max() > 40
        assert away[boxes(pair)[other]].max() == 0


def test_a_shorter_motion_holds_its_last_pose(pair):
    frames = list(mimaface.animate(pair, [motion_of({}, {}, {}), motion_of({}, OPEN)], SMALL))
    assert len(frames) == 3
    np.testing.assert_array_equal(frames[2].image, frames[1].image)


def test_what_does_not_fit_is_one_sentence(pair, portrait):
    with pytest.raises(InvalidInput, match="1 motions for 2 people"):
        list(mimaface.animate(pair, [motion_of({})], SMALL))
    with pytest.raises(InvalidInput, match="in one picture"):
        list(mimaface.animate([pair[0], portrait], [motion_of({})] * 2, SMALL))
    with pytest.raises(InvalidInput, match="takes one motion"):
        list(mimaface.animate(portrait, [motion_of({})], SMALL))


def test_the_command_gives_each_face_a_motion(tmp_path, capsys):
    for name, values in (("a", OPEN), ("b", OPEN)):
        motion_of({}, values).save(tmp_path / f"{name}.motion.npz")
    common = ["animate", str(CASES / "two_near_far.jpg"), str(tmp_path / "a.motion.npz"), "--size", "320", "-o", str(tmp_path / "out")]
    assert main([*common, "--also", f"1={tmp_path / 'b.motion.npz'}"]) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    assert np.asarray(Image.open(tmp_path / "out" / "000001.png")).shape[1] == 320
    capsys.readouterr()
    for text, words in ((f"0={tmp_path / 'b.motion.npz'}", "has a motion already"), ("b.csv", "not FACE=MOTION")):
        assert main([*common, "--overwrite", "--also", text]) == 2
        assert words in capsys.readouterr().err
    motion = str(tmp_path / "a.motion.npz")
    assert main(["animate", str(COLLINS), motion, "-o", str(tmp_path / "one"), "--also", f"1={motion}"]) == 2
    assert "face 1 was asked for" in capsys.readouterr().err
