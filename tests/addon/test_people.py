"""Two rigs of one picture, and a film that a rig acts anew, in a real Blender with the real backend."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from blender_runs import VERSIONS, in_blender
from conftest import CASES, COLLINS
from mimaface.animation import animate
from mimaface.drivers import open_motion
from mimaface.drivers.film import Film
from mimaface.drivers.video import video_frames
from mimaface.face.head import ASSETS
from mimaface.face.portrait import Portrait
from mimaface.protocol.settings import RenderSettings
from serving.conftest import video

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module", params=VERSIONS)
def said(request, tmp_path_factory, extension) -> dict:
    work = tmp_path_factory.mktemp("people")
    shutil.copy(CASES / "two_near_far.jpg", work / "pair.jpg")
    (work / "far").mkdir()
    shutil.copy(video(work / "film.mkv", 4), work / "kept.mkv")
    (work / "film.mkv").rename(work / "far" / "film.mkv")
    return in_blender(request.param, "people.py", work, extension)


def test_the_second_rig_stands_on_the_same_photograph(said):
    assert said["rigs"] and said["apart"] < 1e-4, "moved and turned as the first one is"
    assert said["scales"][1] != pytest.approx(said["scales"][0]), "the far head is smaller in it"


def test_one_take_moves_both_each_by_its_own_keys(said):
    frames = [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in sorted(Path(said["both"]).glob("*.png"))]
    assert len(frames) == 3 and said["portrait"].count("+") == 1
    portraits = [Portrait.open(CASES / "two_near_far.jpg", face) for face in (0, 1)]
    scale = max(frames[0].shape) / max(portraits[0].image.shape)
    for moved, still, frame in ((0, 1, 1), (1, 0, 2)):
        away = np.abs(frames[frame] - frames[0]).max(-1)
        boxes = [(scale * np.array([p.fit.landmarks[:468, :2].min(0), p.fit.landmarks[:468, :2].max(0)])).astype(int) for p in portraits]
        parts = [away[low[1] : high[1], low[0] : high[0]] for low, high in boxes]
        assert parts[moved].max() > 40 and parts[still].max() == 0
    assert said["live"] == [True], "and so does Live"


def test_a_backend_that_lost_the_photograph_is_given_it_for_both(said):
    assert said["healed"] == "done"


def test_what_does_not_go_together_is_said_and_a_hidden_rig_stays_out(said):
    assert "takes the engine Projected: choose that, or hide the other rig" in said["demo"]
    assert "animate the same face of one picture: hide one of them" in said["twins"]
    assert "+" not in said["alone"] and said["alone"].split("-")[1] == "0"


def test_a_film_is_acted_anew_where_the_artist_says(said):
    found = said["film"]
    assert "a film of 4 frames, to frame 4" in found["notice"] and found["end"] == 4
    assert "the film has 25 frames a second, and the scene 24" in found["rate"] and "set Frame Rate" in found["rate"]
    assert "takes frames that are not transparent: choose that" in found["transparent"]
    assert (found["start"], found["frames"]) == (1, 4), "all of it, where it stood when it was added"
    frames = [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in sorted(Path(found["folder"]).glob("*.png"))]
    shown = [image.astype(int) for _, image in video_frames(Path(found["folder"]).parents[1] / "kept.mkv")]
    for index in (0, 1):
        np.testing.assert_array_equal(frames[index], shown[index])
    portrait = Portrait.open(COLLINS)
    nose = portrait.fit.landmarks[195, 1] * 256 / portrait.image.shape[0]  # the middle of its bridge
    for index in (2, 3):
        away = np.abs(frames[index] - shown[index]).max(-1)
        rows = np.flatnonzero(away.max(1) > 1)
        assert away.max() > 40 and rows.min() > nose, "the lips open; the brows, which are keyed too, stay, and the cheeks of the bowed head"
    for number, index in ((4, 3), (2, 1), (9, 3)):
        shows_the_takes(found, f"live_{number}.npy", frames[index])
    assert found["healed"] == "done", "followed again where it lies now"


def shows_the_takes(found, name, frame):
    """Within a level of 255: a pose of Live is rounded."""
    live = np.load(Path(found["folder"]).parents[1] / name)
    linear = np.where(frame <= 10, frame / 255 / 12.92, ((frame / 255 + 0.055) / 1.055) ** 2.4)
    np.testing.assert_allclose(live[..., :3], linear, atol=1e-2, err_msg=f"{name} is the take's picture")


def test_a_film_is_acted_anew_as_recorded_as_on_the_command_line(said):
    """Neutral None keys a take as it was recorded and has it replace the film's own lips; another neutral adds it again."""
    found = said["film"]
    assert found["none is absolute"] and not found["auto is absolute"]
    frames = [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in sorted(Path(found["absolute"]).glob("*.png"))]
    film = Film.open(Path(found["folder"]).parents[1] / "kept.mkv")
    told = animate(film, open_motion(ASSETS / "take.csv").at_rate(25), RenderSettings(size=256, only="lips", absolute=True, watermark=False))
    for index, frame in enumerate(told):
        away = np.abs(frames[index] - frame.image[..., :3])
        assert away.mean() < 0.05 and (away.max(-1) > 8).mean() < 1e-3, f"frame {index}: keys are in single precision"
    shows_the_takes(found, "live_absolute.npy", frames[2])
