"""Films with known motion → samples; rejected clips are counted by reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from mimaface.data.clips import Limits, Rejected, check_inside, choose, sharpness_of, windows
from mimaface.data.recorded import Clip, RecordedConfig, clips_in, examine, make_sample, try_sample
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix
from mimaface.reprojection.crops import CropWindow

from .conftest import RATE, SIDE, shoot, write_film

CONFIG = RecordedConfig(size=96, frames=4)


@pytest.fixture(scope="module")
def film(tmp_path_factory, shot):
    return write_film(tmp_path_factory.mktemp("film") / "id00001" / "a" / "00001.mp4", shot.images)


@pytest.fixture(scope="module")
def tracked(film):
    return examine(film, 12)


@pytest.fixture(scope="module")
def sample(film):
    return make_sample(Clip(film, "clip", "id00001"), replace(CONFIG, size=128, frames=8))


def test_the_recovered_rotation_follows_the_truth(tracked, shot):
    found = matrix_to_head_angles(quaternion_to_matrix(tracked.motion.head_quat))
    assert len(found) == len(shot.angles)
    off = np.degrees(found - shot.angles)
    assert np.abs(off - off.mean(0)).mean() < 2.0
    assert np.polyfit(shot.angles[:, 0], found[:, 0], 1)[0] == pytest.approx(1, abs=0.15)


def test_a_samples_signals_are_the_known_motion(sample, shot, tracked):
    choice = choose(tracked, 8, Limits(), 0)  # the seed affects the source only
    turned = sample.signals["rotation"][:, 0] - sample.signals["rotation"][0, 0]
    truth = shot.angles[choice.driven, 0] - shot.angles[choice.driven[0], 0]
    assert np.degrees(np.abs(truth).max()) > 10, "the window that moves most was chosen"
    assert np.degrees(np.abs(turned - truth)).max() < 4.0
    assert sample.rate == pytest.approx(RATE, rel=0.01)
    assert np.abs(sample.signals["translation"]).max() < 0.05, "the head turns, it does not travel"


def test_render_and_truth_show_the_same_place(sample):
    """The projected head is nearer to its own driven frame than to the untouched source and the opposite frame."""
    assert sample.source.shape == (128, 128, 3)
    assert sample.projected.shape == sample.driven.shape == sample.albedo.shape == (8, 128, 128, 3)
    left, top, right, bottom = sample.box.mean(0).astype(int)
    part = np.s_[..., top + 20 : bottom - 20, left + 15 : right - 15, :]

    def off(one, other):
        return np.abs(one[part].astype(float) - other[part]).mean()

    matched = off(sample.projected, sample.driven)
    assert matched < off(np.broadcast_to(sample.source, sample.driven.shape), sample.driven)
    assert matched < off(sample.projected[::-1], sample.driven)
    assert (sample.albedo.max(-1) == 0).any(), "plain renders are over black"
    covered = (sample.normals.max(-1) > 0) & (sample.albedo.max(-1) > 0)
    assert covered.sum() > 0.9 * (sample.albedo.max(-1) > 0).sum(), "normals are where the head is"
    assert not np.array_equal(sample.normals[0], sample.source_normals)
    face = (sample.box[:, 2:] - sample.box[:, :2]).max(1)
    assert (face > 0.4 * 128).all(), "the face fills the crop as it does when the model is used"
    assert (face < 128).all()


@pytest.mark.parametrize(
    ("reason", "change", "limits"),
    [
        ("blurred", lambda images: gaussian_filter(images, (0, 3, 3, 0)), Limits()),
        ("no face", lambda images: np.full_like(images, 128), Limits()),
        ("too short", lambda images: images[:4], Limits()),
        ("too little motion", lambda images: np.repeat(images[:1], 10, axis=0), Limits()),
        ("face too small", lambda images: images, Limits(face=400)),
        ("fit error", lambda images: images, Limits(fit=0.001)),
        ("tracking gap", lambda images: np.where(np.arange(len(images))[:, None, None, None] % 3 == 0, 128, images), Limits()),
        ("leaves the crop", lambda images: images, Limits(outside=-1)),
    ],
)  # fmt: skip
def test_every_rejection_names_its_reason(reason, change, limits, shot, tmp_path):
    path = write_film(tmp_path / "clip.mp4", change(shot.images[:9]).astype(np.uint8))
    outcome, sample = try_sample(Clip(path, "clip", "clip"), replace(CONFIG, limits=limits))
    assert sample is None
    assert outcome.reason == reason
    assert outcome.detail


def test_people_and_keys_of_folders(tmp_path):
    for name in ("dev/mp4/id00012/xyz/00001.mp4", "anna/take.one.mov", "anna_take/one.mp4", "berta.mp4", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = clips_in(tmp_path)
    assert [clip.person for clip in found] == ["anna", "anna_take", "berta", "id00012"]
    assert len({clip.key for clip in found}) == 4
    assert not any("." in clip.key or "/" in clip.key for clip in found), "a shard splits names at dots"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidInput, match="holds no videos"):
        clips_in(tmp_path / "nothing")


def test_sharpness_tells_focus_not_size(shot):
    image, points = shot.images[0], np.array([[70.0, 60.0], [180.0, 190.0]])
    sharp = sharpness_of(image, points)
    blurred = sharpness_of(gaussian_filter(image, (2.5, 2.5, 0)), points)
    large = np.asarray(Image.fromarray(image).resize((2 * SIDE, 2 * SIDE), Image.Resampling.BICUBIC))
    assert blurred < 0.2 * sharp
    assert sharpness_of(large, 2 * points) > 2 * blurred
    assert sharpness_of(image, points + 1000) == 0


@given(good=st.lists(st.booleans(), max_size=30), data=st.data(), frames=st.integers(1, 6), step=st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_windows_against_a_plain_loop(good, data, frames, step):
    linked = data.draw(st.lists(st.booleans(), min_size=len(good), max_size=len(good)))
    span = step * (frames - 1) + 1
    wanted = [
        first
        for first in range(len(good) - span + 1)
        if all(good[first : first + span]) and all(linked[first + 1 : first + span])
    ]
    assert windows(np.array(good, bool), np.array(linked, bool), frames, step).tolist() == wanted


def test_the_crop_is_measured_in_pixels_of_the_video():
    frame = CropWindow(10.0, 20.0, 0.5, 50, 50)  # shows 10–110, 20–120
    inside = np.tile([[11.0, 21.0], [109.0, 119.0]], (3, 10, 1))
    check_inside(inside, frame, Limits())
    inside[2, 4] = [111.0, 50.0]  # one of 20 points of one frame
    with pytest.raises(Rejected, match="leaves the crop: 5 % of the face"):
        check_inside(inside, frame, Limits())
    check_inside(inside, frame, Limits(outside=0.06))


def test_the_source_lies_outside_the_window(tracked):
    choice = choose(tracked, 8, Limits(), 5)
    assert choice.source not in choice.driven
    assert np.diff(choice.driven).tolist() == [1] * 7
    with pytest.raises(Rejected, match="too short"):
        choose(tracked, len(tracked.motion), Limits(), 5)


def test_fast_videos_are_thinned(tmp_path):
    fast = shoot(4, frames=20, sway=25)
    path = write_film(tmp_path / "fast.mp4", fast.images, rate=50)
    choice = choose(examine(path, 12), 5, Limits(), 0)
    assert np.diff(choice.driven).tolist() == [2] * 4
    assert choice.rate == pytest.approx(25, rel=0.01)
