import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import nod
from mimaface.protocol.arkit import ACTION_NAMES, mirror_name
from mimaface.protocol.errors import InvalidMotion, NotWritable
from mimaface.protocol.motion import MotionClip


def random_clip(seed: int, frames: int) -> MotionClip:
    random = np.random.default_rng(seed)
    quaternion = random.normal(size=(frames, 4))
    place = random.normal(size=(frames, 3))
    place[::3] = np.nan
    return MotionClip(
        time=np.cumsum(random.uniform(0.01, 0.05, frames)),
        actions=random.normal(size=(frames, 52)),
        head_quat=quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True),
        head_pos=place,
        gaze=random.normal(size=(frames, 2, 2)),
        valid=random.random((frames, 3)) > 0.5,
        confidence=random.random((frames, 3)),
        gaze_d3dfr=random.normal(size=(frames, 4)),
        meta={"source": "ä test", "edits": [1, {"a": None}]},
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_file_round_trip(seed, frames):
    clip = random_clip(seed, frames)
    back = MotionClip.from_bytes(clip.to_bytes())
    for name in ("time", "actions", "head_quat", "head_pos", "gaze", "valid", "confidence", "gaze_d3dfr"):
        np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
    assert back.meta == clip.meta
    assert back.landmarks is None
    assert back.to_bytes() == clip.to_bytes(), "equal clips give equal bytes"


def test_actions_are_bound_by_name_not_by_order():
    clip = random_clip(1, 3)
    with np.load(io.BytesIO(clip.to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["actions"], arrays["action_names"] = arrays["actions"][:, ::-1], arrays["action_names"][::-1]
    out = io.BytesIO()
    np.savez(out, **arrays)
    np.testing.assert_array_equal(MotionClip.from_bytes(out.getvalue()).actions, clip.actions)


def test_resampling_at_its_own_times_changes_nothing():
    clip = random_clip(2, 9).but(head_pos=np.ones((9, 3)))
    again = clip.resampled(clip.time)
    np.testing.assert_allclose(again.actions, clip.actions, atol=1e-6)
    np.testing.assert_allclose(np.abs((again.head_quat * clip.head_quat).sum(1)), 1, atol=1e-9)


def test_a_neutral_frame_stays_the_same_moment():
    clip = nod(60).but(meta={"neutral": 30})
    half = clip.resampled(clip.time[::2])
    assert half.meta["neutral"] == 15
    assert clip.resampled(clip.time).meta["neutral"] == 30


def test_resampling_never_crosses_a_long_gap():
    time = np.array([0.0, 0.04, 0.5, 0.54])
    clip = MotionClip.at_rest(time).but(actions=np.tile(np.array([0.0, 0.0, 1.0, 1.0])[:, None], (1, 52)))
    middle = clip.resampled(np.array([0.02, 0.2, 0.3, 0.52, 0.9]))
    np.testing.assert_allclose(middle.actions[:, 0], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(middle.valid[:, 0], [True, False, False, True, False])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": np.array([0.0, 0.1, 0.1])}, "frame 2: time"),
        ({"actions": np.zeros((3, 51))}, "actions has shape"),
        ({"gaze": np.full((3, 2, 2), np.nan)}, "frame 0: gaze"),
        ({"head_quat": np.ones((3, 4))}, "not a unit quaternion"),
        ({"actions": [["x"] * 52] * 3}, "does not hold numbers"),
        ({"time": np.zeros(0)}, "0 frames"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    with pytest.raises(InvalidMotion, match=words):
        nod(3).but(**change)


def test_files_that_are_not_motion_are_refused(tmp_path):
    whole = nod(4).to_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("time.npy", b"nonsense")
    pickled = io.BytesIO()
    np.savez(pickled, time=np.array([{"a": 1}], dtype=object))
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    flipped = bytearray(whole)
    flipped[200:260] = bytes(60)
    for content in (
        single.getvalue(),
        bytes(flipped),
        b"",
        b"text",
        whole[: len(whole) // 2],
        out.getvalue(),
        pickled.getvalue(),
    ):
        with pytest.raises(InvalidMotion):
            MotionClip.from_bytes(content, "take.motion.npz")
    with pytest.raises(InvalidMotion, match="cannot read"):
        MotionClip.load(tmp_path / "absent.motion.npz")
    with pytest.raises(NotWritable):
        nod(4).save(tmp_path / "absent" / "x.motion.npz")


def test_mirror_names_pair_up():
    assert all(mirror_name(mirror_name(name)) == name and mirror_name(name) in ACTION_NAMES for name in ACTION_NAMES)
    assert mirror_name("jawLeft") == "jawRight"
