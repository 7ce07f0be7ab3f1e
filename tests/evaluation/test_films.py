"""Evaluation on films: a film rendered by the reprojection scores perfectly with it, and not with a copy of the portrait."""

import json
from pathlib import Path

import numpy as np
import pytest

from conftest import motion_of
from mimaface.cli import main
from mimaface.evaluation import films
from mimaface.evaluation.films import FaceMeasures, aligned, box, correlations, most_different
from mimaface.face.pose import poses_for
from mimaface.output.sinks import open_sink
from mimaface.reprojection.reprojector import Reprojector


@pytest.fixture(scope="module")
def folder(portrait, tmp_path_factory) -> Path:
    """A film of 16 frames in which the mouth opens and the head turns repeatedly."""
    phases = np.linspace(0, 4 * np.pi, 16)
    motion = motion_of(*[{"angles": (8 * np.sin(p), 0, 0), "jawOpen": 0.4 - 0.4 * np.cos(p), "gaze": (10 * np.sin(p), 0)} for p in phases])
    renderer, folder = Reprojector(portrait, 256, "face"), tmp_path_factory.mktemp("films")
    with open_sink(folder / "talk.mp4", 24.0, overwrite=True) as sink:
        for index, pose in enumerate(poses_for(portrait.fit, motion)):
            sink.write(index, renderer.render(pose))
    return folder


def test_the_engine_that_made_a_film_comes_near_it(folder, tmp_path, capsys):
    readme, out = tmp_path / "README.md", tmp_path / "films.json"
    readme.write_text("<!-- films -->\nold\n<!-- /films -->\n")
    command = ["evaluate", str(folder), "--generators", "source,proxy", "--frames", "8", "--out", str(out), "--readme", str(readme)]
    assert main([*command, "--references", "2"]) == 0
    found = json.loads(out.read_text())
    proxy, source = ({name: value["mean"] for name, value in found["results"][who].items()} for who in ("proxy", "source"))
    assert proxy["psnr@face"] > source["psnr@face"] + 3 and proxy["ssim@face"] > source["ssim@face"]
    assert proxy["landmarks"] < 0.03 < source["landmarks"]
    assert proxy["r-lips"] > 0.8 and "r-lips" not in source, "a copy never moves"
    assert proxy["psnr@mouth-open"] > source["psnr@mouth-open"] + 2
    assert proxy["csim@dlib"] > 0.95 and source["csim@dlib"] == pytest.approx(1)
    assert (found["samples"], found["frames"], found["frames_without_a_face"]["truth"]) == (1, 8, 0)
    assert list(found["results"]) == ["source", "proxy", "proxy, 2 references"], "a copy of the portrait has none"
    more = found["results"]["proxy, 2 references"]["psnr@mouth-open"]["mean"]
    assert abs(more - proxy["psnr@mouth-open"]) > 0.2, "an open mouth of the film is taken from it"
    assert f"{proxy['psnr@face']:.2f}" in readme.read_text() and "old" not in readme.read_text()


def test_references_are_frames_unlike_the_first_and_unlike_one_another():
    motion = motion_of({}, {"jawOpen": 0.1}, {"jawOpen": 0.9}, {"jawOpen": 0.85}, {"angles": (60, 0, 0)}, {"jawOpen": 1.0})
    assert most_different(motion, 5, 2) == [2, 4], "the sixth is not of the first five"
    assert sorted(most_different(motion, 3, 9)) == [1, 2]
    assert most_different(motion, 5, 0) == []


def test_a_moved_turned_and_scaled_picture_is_laid_back(portrait):
    points = portrait.fit.landmarks[:, :2]
    picture = portrait.image.astype(int)
    assert np.abs(aligned(portrait.image, points, points) - picture).max() <= 1
    height, width = picture.shape[:2]
    moved = aligned(portrait.image, points, points + np.array([7, -4]))
    assert np.abs(moved[: height - 8, 8:width] - picture[4 : height - 4, 1 : width - 7]).max() <= 1


def test_a_box_is_around_points_and_never_flat():
    assert box(np.array([[10.0, 10.0], [30.0, 12.0]]), 0.1) == (slice(4, 19), slice(8, 33))
    assert box(np.array([[1.0, 1.0], [21.0, 41.0]]), 0.5) == (slice(0, 52), slice(0, 32)), "not outside of the picture"


def test_readings_are_correlated_where_the_truth_moves(portrait):
    rest = FaceMeasures.at(portrait.fit.landmarks[:, :2])
    seen = [FaceMeasures(rest.points, lips, rest.lids, np.array([0.0, up])) for lips, up in ((0.0, 0.1), (0.1, 0.0), (0.2, 0.1), (0.4, 0.0))]
    against = [FaceMeasures(rest.points, lips, rest.lids, np.array([0.0, up])) for lips, up in ((0.1, 0.0), (0.2, 0.1), (0.3, 0.0), (0.5, 0.1))]
    assert correlations(list(zip(seen, against))) == {"r-lips": pytest.approx(1), "r-gaze-up": pytest.approx(-1)}


def test_a_film_without_a_face_says_so(tmp_path, capsys):
    with open_sink(tmp_path / "wall.mp4", 24.0, overwrite=True) as sink:
        for index in range(6):
            sink.write(index, np.full((64, 64, 3), 40 * index % 255, np.uint8))
    assert main(["evaluate", str(tmp_path), "--out", str(tmp_path / "x.json")]) == 2
    assert "no face" in capsys.readouterr().err


def test_engines_of_films_are_named(folder, tmp_path, capsys):
    assert main(["evaluate", str(folder), "--generators", "model", "--out", str(tmp_path / "x.json")]) == 2
    assert "model" in capsys.readouterr().err and films.COPY == "source"
