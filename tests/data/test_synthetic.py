"""Synthetic samples: exact truth, reproducibility and plausibility."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimaface.cli import main
from mimaface.data import synthetic
from mimaface.data.camcorder import Camcorder
from mimaface.data.motions import random_poses
from mimaface.data.people import random_person
from mimaface.data.samples import SIGNALS, head_box, read_shards, shards_in
from mimaface.data.studio import random_studio
from mimaface.data.synthetic import VIDEO, SyntheticConfig, make_sample, make_samples, make_shards, measured_fit, relative
from mimaface.face.fit import fit_landmarks
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.pose import FacePose, motion_signals
from mimaface.face.renders import render_albedo
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_head_angles

CONFIG = SyntheticConfig(size=96, frames=2)


def assert_equal(one, other):
    for name in ("source", "driven", "projected", "provenance", "albedo", "normals", "source_normals", "identity", "box"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for name in SIGNALS:
        np.testing.assert_array_equal(one.signals[name], other.signals[name], name)
    assert (one.key, one.person, one.rate) == (other.key, other.person, other.rate)


@pytest.fixture(scope="module")
def three():
    return [make_sample(9, index, CONFIG) for index in range(3)]


def pose_of(studio, angles=(0, 0, 0), **blendshapes):
    values = np.zeros(len(BLENDSHAPE_INDEX))
    for name, value in blendshapes.items():
        values[BLENDSHAPE_INDEX[name]] = value
    return FacePose(values, head_angles_to_matrix(np.radians(angles)), studio.translation, np.zeros((2, 2)))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_order_change_nothing(three, workers):
    for one, other in zip(make_samples(9, 0, 3, CONFIG, workers), three, strict=True):
        assert_equal(one, other)
    assert_equal(make_sample(9, 2, CONFIG), three[2])


def test_seed_and_index_change_everything(three):
    assert (three[0].source != three[1].source).mean() > 0.5
    assert (make_sample(10, 0, CONFIG).source != three[0].source).mean() > 0.5
    assert len({sample.person for sample in three}) == 3
    identities = np.stack([sample.identity for sample in three])
    assert np.abs(identities[0] - identities[1]).mean() > 0.3
    assert np.abs(identities[1] - identities[2]).mean() > 0.3


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, 0, 0), (-20, 5, 0), (0, -10, 8)])
def test_a_render_reads_as_it_was_posed(angles):
    random = np.random.default_rng(2)
    person, studio = random_person(random), random_studio(random, 256, [])
    camcorder = Camcorder(person, studio, np.eye(3), 1)
    pose = pose_of(studio, angles)
    found = FaceLandmarker.load().faces(camcorder.take(pose))
    assert len(found) == 1
    fit = fit_landmarks(found[0].points, studio.camera)
    yaw, pitch, roll = np.degrees(matrix_to_head_angles(fit.rotation)) - angles
    assert abs(yaw) < 3
    assert abs(pitch) < 6
    assert abs(roll) < 3
    left, top, right, bottom = head_box(camcorder.vertices(pose), studio.camera)
    points = found[0].points[:468, :2]
    assert (points >= [left - 4, top - 4]).all()
    assert (points <= [right + 4, bottom + 4]).all()
    assert 60 < right - left < 256


def test_truth_and_plain_render_show_the_same_pose():
    random = np.random.default_rng(4)
    person, studio = random_person(random), random_studio(random, 256, [])
    pose = pose_of(studio, (15, 0, 0), jawOpen=0.6)
    seen = [
        FaceLandmarker.load().faces(picture)[0].points[:468, :2]
        for picture in (
            Camcorder(person, studio, np.eye(3), 1).take(pose),
            render_albedo(person.identity, pose, studio.camera, studio.light),
        )
    ]
    face = np.ptp(seen[0], axis=0).max()
    assert np.linalg.norm(seen[0] - seen[1], axis=1).mean() < 0.03 * face


def test_no_motion_is_the_source_itself():
    random = np.random.default_rng(5)
    person, studio = random_person(random), random_studio(random, 128, [])
    pose = pose_of(studio, (8, 3, 0), mouthSmileLeft=0.5)
    camcorder = Camcorder(person, studio, np.eye(3), 3)
    np.testing.assert_array_equal(camcorder.take(pose), camcorder.take(pose))
    fit = measured_fit(random, person, studio, pose)
    away = relative(pose, pose, fit)
    np.testing.assert_allclose(away.rotation, fit.rotation, atol=1e-12)
    np.testing.assert_allclose(away.blendshapes, fit.blendshapes)
    signals = motion_signals([away], fit)
    np.testing.assert_array_equal(signals["translation"], 0)
    np.testing.assert_allclose(signals["expression"][0], fit.blendshapes, rtol=1e-6)
    renderer = synthetic.Reprojector(synthetic.Portrait(camcorder.take(pose), fit, ""), 0, "photo")
    np.testing.assert_array_equal(renderer.render(away), camcorder.take(pose), "a projection at rest is the photograph")


@given(seed=st.integers(0, 10**6), count=st.integers(1, 6), stride=st.sampled_from([1 / 24, 0.15, 0.6]))
@settings(max_examples=40, deadline=None)
def test_performances_are_within_reach(seed, count, stride):
    place = np.array([0.0, 0.0, -1.0])
    poses = random_poses(np.random.default_rng(seed), count, stride, place)
    again = random_poses(np.random.default_rng(seed), count, stride, place)
    assert len(poses) == count
    for pose, same in zip(poses, again, strict=True):
        np.testing.assert_array_equal(pose.blendshapes, same.blendshapes)
        assert pose.blendshapes.shape == (52,)
        assert pose.blendshapes.min() >= 0
        assert pose.blendshapes.max() <= 1
        np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-9)
        assert np.abs(pose.translation - place).max() < 0.1
        assert np.abs(pose.gaze).max() < 1.2


def test_neighbours_in_time_move_little():
    film, pictures = (make_sample(1, 4, replace(config, size=96, frames=4)) for config in (VIDEO, SyntheticConfig()))
    assert film.rate == 24
    assert pictures.rate == 0
    steps = [np.abs(np.diff(sample.signals["rotation"], axis=0)).mean() for sample in (film, pictures)]
    assert steps[0] < 0.5 * steps[1]


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    config = SyntheticConfig(size=64, frames=1)
    whole = list(make_shards(tmp_path / "whole", 3, 5, config, per_shard=2, workers=1))
    assert [path.name for path in whole] == [f"synthetic-3-1x64-{number:05d}.tar" for number in range(3)]
    made: list[int] = []

    def stops(seed, index, config):
        made.append(index)
        if len(made) == 4:
            raise KeyboardInterrupt
        return make_sample(seed, index, config)

    monkeypatch.setattr(synthetic, "make_sample", stops)
    with pytest.raises(KeyboardInterrupt):
        list(make_shards(tmp_path / "broken", 3, 5, config, per_shard=2, workers=1))
    assert [path.name for path in shards_in(tmp_path / "broken")] == [whole[0].name], "no half shard"
    list(make_shards(tmp_path / "broken", 3, 5, config, per_shard=2, workers=1))
    assert made == [0, 1, 2, 3, 2, 3, 4], "the whole shard is not made again"
    for path in whole:
        assert (tmp_path / "broken" / path.name).read_bytes() == path.read_bytes()
    list(make_shards(tmp_path / "broken", 3, 5, config, per_shard=2, workers=1))
    assert len(made) == 7, "another run makes nothing"


def test_the_command(tmp_path, capsys):
    arguments = ["data", "synthetic", str(tmp_path / "out"), "--samples", "2", "--size", "64", "--frames", "1", "--workers", "1"]
    assert main([*arguments, "--seed", "5"]) == 0
    assert "2 samples of 1 frames in 1 shards" in capsys.readouterr().out
    assert_equal(next(read_shards(shards_in(tmp_path / "out"))), next(read_shards(shards_in(tmp_path / "out"))))
    assert next(read_shards(shards_in(tmp_path / "out"))).key == "5-0000000"
    assert main([*arguments, "--pictures", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "file").touch()
    arguments[2] = str(tmp_path / "file" / "out")
    assert main(arguments) == 2
    assert "cannot write to" in capsys.readouterr().err
