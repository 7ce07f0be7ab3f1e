import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import motion_of, nod
from mimaface.drivers import open_motion
from mimaface.protocol.arkit import ACTION_INDEX, BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.errors import InvalidInput, InvalidMotion, NotWritable
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix


def random_clip(seed: int, frames: int) -> MotionClip:
    random = np.random.default_rng(seed)
    quaternion = random.normal(size=(frames, 4))
    place = random.normal(size=(frames, 3))
    place[::3] = np.nan
    return MotionClip(
        time=np.cumsum(random.uniform(0.01, 0.05, frames)),
        blendshapes=random.normal(size=(frames, 52)),
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
    for name in ("time", "blendshapes", "head_quat", "head_pos", "gaze", "valid", "confidence", "gaze_d3dfr"):
        np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
    assert back.meta == clip.meta
    assert back.landmarks is None
    assert back.to_bytes() == clip.to_bytes(), "equal clips give equal bytes"


def test_blendshapes_are_bound_by_name_not_by_order():
    clip = random_clip(1, 3)
    with np.load(io.BytesIO(clip.to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["blendshapes"], arrays["blendshape_names"] = arrays["blendshapes"][:, ::-1], arrays["blendshape_names"][::-1]
    out = io.BytesIO()
    np.savez(out, **arrays)
    np.testing.assert_array_equal(MotionClip.from_bytes(out.getvalue()).blendshapes, clip.blendshapes)


def test_the_first_schema_is_read_and_written_anew_as_the_second():
    clip = random_clip(2, 3)
    with np.load(io.BytesIO(clip.to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    assert json.loads(str(arrays["meta"]))["schema"] == 2
    arrays["actions"], arrays["action_names"] = arrays.pop("blendshapes")[:, ::-1], arrays.pop("blendshape_names")[::-1]
    arrays["meta"] = np.array(json.dumps({**clip.meta, "schema": 1}))
    out = io.BytesIO()
    np.savez(out, **arrays)
    back = MotionClip.from_bytes(out.getvalue())
    assert back.to_bytes() == clip.to_bytes()


def test_scripts_go_on_with_the_earlier_names_of_blendshapes():
    clip = random_clip(3, 2)
    assert ACTION_INDEX == BLENDSHAPE_INDEX and clip.actions is clip.blendshapes
    np.testing.assert_array_equal(clip.but(actions=clip.actions * 0.5).blendshapes, clip.blendshapes * np.float32(0.5))


def test_resampling_at_its_own_times_changes_nothing():
    clip = random_clip(2, 9).but(head_pos=np.ones((9, 3)))
    again = clip.resampled(clip.time)
    np.testing.assert_allclose(again.blendshapes, clip.blendshapes, atol=1e-6)
    np.testing.assert_allclose(np.abs((again.head_quat * clip.head_quat).sum(1)), 1, atol=1e-9)


def test_a_neutral_frame_stays_the_same_moment():
    clip = nod(60).but(meta={"neutral": 30})
    half = clip.resampled(clip.time[::2])
    assert half.meta["neutral"] == 15
    assert clip.resampled(clip.time).meta["neutral"] == 30


def stepped(*time: float) -> MotionClip:
    """Returns a clip with blendshapes 0 in the first half of its frames and 1 in the second."""
    values = np.repeat([0.0, 1.0], len(time) // 2)
    return MotionClip.at_rest(np.array(time)).but(blendshapes=np.tile(values[:, None], (1, 52)))


def test_holes_are_crossed_evenly_and_marked():
    middle = stepped(0.0, 0.04, 0.74, 0.78).resampled(np.array([0.02, 0.215, 0.39, 0.565, 0.76, 0.9]))
    np.testing.assert_allclose(middle.blendshapes[:, 0], [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(middle.valid[:, 0], [True, False, False, False, True, False])


def test_long_holes_are_held_until_two_seconds_are_left():
    middle = stepped(0.0, 0.04, 10.04, 10.08).resampled(np.array([1.0, 5.04, 8.04, 9.04, 10.04]))
    np.testing.assert_allclose(middle.blendshapes[:, 0], [0, 0, 0, 0.5, 1], atol=1e-6)


def test_a_slow_take_has_no_holes():
    clip = MotionClip.at_rest(np.arange(6) / 5)
    assert len(clip.holes()) == 0
    assert clip.resampled(np.arange(24) / 24).valid.all()
    np.testing.assert_array_equal(stepped(0.0, 0.04, 0.74, 0.78).holes(), [1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": np.array([0.0, 0.1, 0.1])}, "frame 2: time"),
        ({"blendshapes": np.zeros((3, 51))}, "blendshapes has shape"),
        ({"gaze": np.full((3, 2, 2), np.nan)}, "frame 0: gaze"),
        ({"head_pos": np.full((3, 3), np.inf)}, "frame 0: head_pos"),
        ({"head_quat": np.ones((3, 4))}, "not a unit quaternion"),
        ({"blendshapes": [["x"] * 52] * 3}, "does not hold numbers"),
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
    assert all(mirror_name(mirror_name(name)) == name and mirror_name(name) in BLENDSHAPE_NAMES for name in BLENDSHAPE_NAMES)
    assert mirror_name("jawLeft") == "jawRight"


@pytest.mark.parametrize("rate", [12, 24, 25, 60])
def test_another_rate_keeps_the_duration(rate):
    motion = nod(25)
    again = motion.at_rate(rate)
    assert again.time[0] == motion.time[0]
    np.testing.assert_allclose(np.diff(again.time), 1 / rate)
    assert 0 <= motion.time[-1] - again.time[-1] < 1 / rate
    assert len(again) == int(motion.duration * rate + 1e-6) + 1


@pytest.mark.parametrize("rate", [0, -1, 1000, float("nan")])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(InvalidInput, match="out of range"):
        nod(2).at_rate(rate)


def aside(**calm: object) -> MotionClip:
    """Returns four seconds at 25 per second of a driver who talks to the camera, and is calmest during one second of looking
    aside.
    """
    talking = [{"jawOpen": 0.2 + 0.1 * (index % 3), "mouthFunnel": 0.2} for index in range(100)]
    return motion_of(*talking[:40], *[calm] * 25, *talking[65:], rate=25)


@pytest.mark.parametrize(
    "calm",
    [
        {"angles": (27, 0, 0)},
        {"angles": (-27, 5, 0)},
        {"angles": (0, -30, 0)},
        {"angles": (0, 0, 25)},
        {"gaze": (25, 0)},
        {"gaze": (0, -20)},
    ],
)
def test_the_neutral_is_calm_where_the_head_usually_is(calm):
    clip = aside(**calm).but(meta={"neutral": "auto"})
    assert not 40 <= clip.neutral_frame() < 65
    away = clip.relative()
    angles = np.degrees(matrix_to_head_angles(quaternion_to_matrix(away.head_quat)))
    np.testing.assert_allclose(angles[:40], 0, atol=1e-9, err_msg="while the driver looks at the camera, so does the portrait")
    np.testing.assert_allclose(angles[50], calm.get("angles", (0, 0, 0)), atol=1e-6)
    np.testing.assert_allclose(np.degrees(away.gaze[50, 0]), calm.get("gaze", (0, 0)), atol=1e-4)


def test_a_lean_is_no_neutral_and_a_usual_pose_aside_is_one():
    clip = aside().but(meta={"neutral": "auto"})
    place = np.zeros((100, 3))
    place[40:65, 2] = 0.15
    np.testing.assert_allclose(clip.but(head_pos=place).relative().head_pos[:, 2], place[:, 2])
    turned = motion_of(*[{"angles": (20, -15, 0), "jawOpen": 0.2 * (index != 7)} for index in range(20)], {}, {})
    assert turned.but(meta={"neutral": "auto"}).neutral_frame() == 7, "a camera beside and below is no glance"


def test_little_sways_leave_the_calmest_frame_the_neutral():
    clip = motion_of(*[{"angles": (3 * np.sin(index), 0, 0), "mouthSmileLeft": 0.8 * (index != 11)} for index in range(30)])
    assert clip.but(meta={"neutral": "auto"}).neutral_frame() == 11


def test_frames_without_a_face_are_no_neutral():
    clip = aside().but(meta={"neutral": "auto"})
    valid = clip.valid.copy()
    valid[40:65] = False
    assert not 40 <= clip.but(valid=valid).neutral_frame() < 65


def test_relative_motion_is_away_from_the_neutral_position_included():
    clip = motion_of({"angles": (20, 0, 0), "jawOpen": 0.6, "gaze": (10, 0)}, {"angles": (5, 0, 0), "jawOpen": 0.1}, {}, {})
    place = np.array([[0.1, 0, -0.5], [0.02, 0, -0.6], [np.nan] * 3, [0.02, 0.03, -0.6]])
    away = clip.but(head_pos=place, meta={"neutral": 1}).relative()
    angles = np.degrees(matrix_to_head_angles(quaternion_to_matrix(away.head_quat)))[:, 0]
    np.testing.assert_allclose(angles, [15, 0, -5, -5], atol=1e-6)
    np.testing.assert_allclose(away.head_pos, [[0.08, 0, 0.1], [0, 0, 0], [0, 0, 0], [0, 0.03, 0]], atol=1e-12)
    np.testing.assert_allclose(away.blendshapes[:, BLENDSHAPE_NAMES.index("jawOpen")], [0.5, 0, -0.1, -0.1], atol=1e-6)
    assert away.neutral_frame() is None
    np.testing.assert_array_equal(away.relative().blendshapes, away.blendshapes)
    unseen = clip.but(head_pos=place, meta={"neutral": 2}).relative()
    np.testing.assert_allclose(unseen.head_pos[1], 0, err_msg="a neutral without a position takes the nearest known one")


def test_another_rate_keeps_the_neutral_and_frames_that_fit():
    clip = aside(angles=(27, 0, 0)).but(meta={"neutral": "auto"})
    np.testing.assert_array_equal(clip.at_rate(25).blendshapes, clip.blendshapes)
    rounded = clip.but(time=np.round(clip.time, 3) - np.arange(100) * 1e-6)
    np.testing.assert_array_equal(rounded.at_rate(25).blendshapes, clip.blendshapes, "clocks round: no frame is lost or mixed")
    half = clip.at_rate(12.5)
    assert half.time[half.neutral_frame()] == pytest.approx(clip.time[clip.neutral_frame()], abs=0.041)
    np.testing.assert_allclose(half.relative().head_quat[5], [1, 0, 0, 0], atol=1e-6)


def test_a_motion_of_a_billion_seconds_is_refused_before_it_takes_memory():
    clip = nod(2).but(time=np.array([0.0, 1e9]))
    with pytest.raises(InvalidMotion, match="more than 200000 frames"):
        clip.at_rate(24)


def packed(**changes: object) -> bytes:
    """Returns the arrays of a clip of four frames as an npz, with some replaced or added."""
    with np.load(io.BytesIO(nod(4).to_bytes())) as file:
        arrays = {name: file[name] for name in file.files}
    out = io.BytesIO()
    np.savez_compressed(out, **{**arrays, **changes})
    return out.getvalue()


def zeros_of(count: int, name: str) -> bytes:
    """Returns an npz whose member declares ``count`` numbers and contains only its beginning."""
    out, stream = io.BytesIO(packed()), io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (count,)})
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        member.write(stream.getvalue())
        for _ in range(count >> 17):
            member.write(bytes(1 << 20))
    return out.getvalue()


def test_members_of_other_names_are_not_unpacked():
    content = zeros_of(1 << 24, "other")
    tracemalloc.start()
    assert len(MotionClip.from_bytes(content)) == 4
    assert tracemalloc.get_traced_memory()[1] < 20 << 20, "128 MB of zeros"
    tracemalloc.stop()


def test_too_large_arrays_are_refused_before_they_are_unpacked():
    content = zeros_of(1 << 21, "gaze_d3dfr")
    tracemalloc.start()
    with pytest.raises(InvalidMotion, match="bomb: gaze_d3dfr is too large"):
        MotionClip.from_bytes(content, "bomb")
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


def beyond_unicode(texts) -> np.ndarray:
    """Returns the texts with an invalid third character in the first: numpy reads it, Python cannot encode it."""
    array = np.array(texts)
    array.view(np.uint32)[2] = 0x30307073
    return array


@pytest.mark.parametrize(
    "changes",
    [
        {"blendshapes": np.float32(3)},
        {"blendshapes": np.zeros(4)},
        {"blendshapes": np.array("text")},
        {"time": np.float64(0)},
        {"meta": np.array(3.0)},
        {"meta": np.array("[1]")},
        {"meta": np.array('{"schema": "x"}')},
        {"blendshape_names": np.array(["jawOpen"] * 52)},
        {"blendshape_names": np.arange(52)},
        {"meta": np.array("x" * (2 << 20))},
        {"blendshape_names": np.array(["x" * 300_000, *BLENDSHAPE_NAMES[1:]])},
        {"blendshape_names": np.array(["bad\ud800name", *BLENDSHAPE_NAMES[1:]])},
        {"blendshape_names": beyond_unicode(BLENDSHAPE_NAMES)},
        {"meta": beyond_unicode(['{"a": 1}'])[0]},
        {"gaze": np.zeros((4, 2, 2), "<c16")},
    ],
)
def test_damaged_members_are_a_sentence_that_can_be_sent(changes):
    with pytest.raises(InvalidMotion) as caught:
        MotionClip.from_bytes(packed(**changes), "take.motion.npz")
    assert len(str(caught.value).encode()) < 400


@pytest.mark.parametrize(
    "meta",
    [
        {"warnings": ["x" * 300_000]},
        {"warnings": ["\ud800"]},
        {"warnings": [str(index) for index in range(5000)]},
        {"warnings": "\ud800"},
        {"source": "\udcff" * 4000, "warnings": None},
    ],
)
def test_what_a_file_says_about_itself_can_be_shown_and_sent(meta):
    clip = MotionClip.from_bytes(packed(meta=np.array(json.dumps(meta))))
    texts = [*clip.meta["warnings"], str(clip.meta.get("source", ""))]
    assert len(texts) <= 21
    assert all(len(text.encode()) <= 1000 for text in texts)


def test_pipes_and_devices_are_no_motion(tmp_path):
    os.mkfifo(tmp_path / "pipe.motion.npz")
    for path in (tmp_path / "pipe.motion.npz", Path("/dev/zero"), tmp_path):
        with pytest.raises(InvalidMotion, match="not a file"):
            MotionClip.load(path)


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="Linux only")
def test_a_file_of_the_system_that_never_answers_is_not_opened(tmp_path):
    (tmp_path / "take.npz").symlink_to("/proc/kmsg")
    for read in (MotionClip.load, open_motion):
        with pytest.raises(InvalidMotion, match=r"take\.npz: the file is empty"):
            read(tmp_path / "take.npz")


def test_an_array_is_read_again_when_python_itself_failed_to_parse_its_header(monkeypatch):
    """Python 3.11 fails occasionally when another thread parses at the same time; damaged arrays fail every time."""
    content, read = motion_of({"jawOpen": 0.5}).to_bytes(), np.lib.format.read_magic
    failures = [SystemError("AST constructor recursion depth mismatch")]

    def failing_once(stream):
        if failures:
            raise failures.pop()
        return read(stream)

    monkeypatch.setattr(np.lib.format, "read_magic", failing_once)
    assert MotionClip.from_bytes(content).blendshapes[0, BLENDSHAPE_INDEX["jawOpen"]] == np.float32(0.5)
    failures += [SystemError("always")] * 100
    with pytest.raises(InvalidMotion, match="always"):
        MotionClip.from_bytes(content)
