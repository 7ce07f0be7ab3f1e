"""The neutral of a take is the frame that shows its portrait."""

import numpy as np
import pytest

import mimaface
from conftest import motion_of
from mimaface.drivers import RetargetSettings, open_motion
from mimaface.face.pose import neutral_for
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings


@pytest.fixture(scope="module")
def take(portrait, hopper) -> MotionClip:
    """Of two people: the second frame shows the portrait, elsewhere in the picture and twice as large; the calmest is the first."""
    own, other = portrait.fit.landmarks, hopper.fit.landmarks
    clip = motion_of({}, {"jawOpen": 0.4, "angles": (9, 0, 0)}, {"jawOpen": 0.1}, {})
    nearly = own.copy()
    nearly[:468, 1] *= 1.1  # a longer face
    return clip.but(landmarks=np.stack([other, 2 * own + [30, 50, 0], nearly, other]), meta={"neutral": "auto"})


def showing(*landmarks: np.ndarray) -> MotionClip:
    return motion_of(*[{} for _ in landmarks]).but(landmarks=np.stack(landmarks), meta={"neutral": "auto"})


def test_place_and_size_do_not_matter_and_the_face_does(portrait, hopper, take):
    own = portrait.fit.landmarks
    assert neutral_for(own, take) == 1
    hidden = take.valid.copy()
    hidden[1] = False
    assert neutral_for(own, take.but(valid=hidden)) is None, "a frame without the face shows nobody"
    assert neutral_for(own, take.but(landmarks=None)) is None
    assert neutral_for(hopper.fit.landmarks, take) == 0
    assert neutral_for(own, showing(hopper.fit.landmarks)) is None, "another person"


def test_the_film_that_the_portrait_was_taken_of_gives_itself_back(portrait):
    """Its frame, which was compressed, and not another one that shows the same face elsewhere, by which all frames would be moved."""
    own, aside = portrait.fit.landmarks, portrait.fit.landmarks.copy()
    radius = np.sqrt(np.square(own[:468, :2] - own[:468, :2].mean(0)).sum(1).mean())
    aside[:, 0] += 0.1 * radius
    noise = np.random.default_rng(0).normal(0, 0.02 * radius / np.sqrt(2), own.shape)
    assert neutral_for(own, showing(aside, own + noise)) == 1
    assert neutral_for(own, showing(aside, 3 * own + noise)) == 0


def test_of_frames_that_show_it_equally_the_calmest_is_taken(portrait):
    """Elsewhere in the picture, so that none is the portrait's own."""
    away = portrait.fit.landmarks * 2
    clip = motion_of({"angles": (9, 0, 0)}, {}, {}).but(landmarks=np.stack([away, away * 1.5 + 1e-3, away]), meta={"neutral": "auto"})
    assert neutral_for(portrait.fit.landmarks, clip) == 1


def test_one_rule_for_files_options_and_frames(portrait, take, tmp_path):
    """However the take is retargeted, and left to what the user has picked; without a portrait it is the calmest."""
    path = tmp_path / "take.motion.npz"
    take.save(path)
    for settings in (RetargetSettings(), RetargetSettings("auto"), RetargetSettings(smoothing=0.2, gains={"head": 0.5})):
        assert open_motion(path, settings, fit=portrait.fit).meta["neutral"] == 1
        assert open_motion(path, settings).neutral_frame() != 1
    for picked in ("rest", 2):
        assert open_motion(path, RetargetSettings(picked), fit=portrait.fit).meta["neutral"] == picked
    take.but(meta={"neutral": 3}).save(path)
    assert open_motion(path, fit=portrait.fit).meta["neutral"] == 3
    assert open_motion(path, RetargetSettings("auto"), fit=portrait.fit).meta["neutral"] == 1
    stills = [frame.still for frame in mimaface.animate(portrait, take, RenderSettings(size=96))]
    assert stills == [False, True, False, False], "from Python the photograph, too, stands in the frame that shows it"


def test_others_keep_their_calmest_frame(hopper, take):
    """A portrait that nobody in the take looks like goes on smiling under a calm face."""
    assert neutral_for(hopper.fit.landmarks * [1.3, 1, 1], take) is None
