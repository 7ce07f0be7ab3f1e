"""Calibrating the gaze of the released engine on a film of somebody who looks around."""

import numpy as np
import pytest
import torch

from conftest import render_head
from mimaface.basel.bfm import BaselFace
from mimaface.basel.transfer import GazeAdapter
from mimaface.cli import main
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, NoFaceFound
from mimaface.renderers.gaze_calibration import calibrate, load_calibration, save_calibration
from mimaface.weights.convert import FaceNetworks
from mimaface.weights.library import gaze_file

LOOKS = [(18 * np.sin(t), 8 * np.cos(1.7 * t)) for t in np.linspace(0, 6, 16)]
OPAQUE = np.array([[0.5, -1.0, 0.0, 0.0], [0.0, 2.0, 0.3, 0.0], [-0.7, 0.0, 0.4, 0.0], [0.0, 0.0, 0.1, 1.5]])
OFFSET = np.array([0.2, -0.1, 0.05, 0.3])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path))


class Told(torch.nn.Module):
    """A net that says, picture by picture, what it is told to; and remembers what it was shown."""

    def __init__(self, numbers: np.ndarray) -> None:
        super().__init__()
        self.weight, self.numbers, self.shown = torch.nn.Parameter(torch.zeros(1)), list(numbers), []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown.append(tuple(images.shape))
        return torch.cat([torch.zeros(1, 257), torch.tensor(self.numbers.pop(0)).float()[None]], 1)


def networks(numbers: np.ndarray) -> FaceNetworks:
    return FaceNetworks(Told(numbers), torch.nn.Identity(), BaselFace.__new__(BaselFace))


@pytest.fixture(scope="module")
def film():
    return [(index / 25, render_head(3, gaze=look).image) for index, look in enumerate(LOOKS)]


def test_the_map_is_found_on_frames_and_kept(film):
    gaze = np.radians([[look, look] for look in LOOKS])  # (T, eyes, yaw and pitch)
    numbers = gaze.reshape(-1, 4) @ OPAQUE.T + OFFSET
    told = networks(numbers)
    adapter, count = calibrate(told, film, "film")
    assert count >= 12 and set(told.reconstruction.shown) == {(1, 3, 256, 256)}
    ahead = np.radians([[[0, 0], [0, 0]], [[15, 0], [15, 0]], [[0, 7], [0, 7]]])
    truth = ahead.reshape(-1, 4) @ OPAQUE.T + OFFSET
    spread = numbers.std(0).mean()
    assert np.abs(adapter(ahead) - truth).mean() < 0.5 * spread, "as exact as our tracker is on renders, whose lids rest while eyes move"
    assert np.abs(GazeAdapter.assumed()(ahead) - truth).mean() > 0.9 * spread
    save_calibration(adapter, "film")
    again = load_calibration()
    assert again is not None and again.fitted
    np.testing.assert_array_equal(again(ahead), adapter(ahead))


def test_without_a_calibration_there_is_none():
    assert load_calibration() is None


@pytest.mark.parametrize("content", ["{", '{"matrix": [[1]], "offset": [1]}', '{"offset": [0, 0, 0, 0]}'])
def test_a_damaged_one_is_said(content):
    save_calibration(GazeAdapter.assumed(), "x")
    gaze_file().write_text(content)
    with pytest.raises(InvalidCheckpoint, match=r"damaged.*"):
        load_calibration()


def test_eyes_that_never_move_and_films_without_a_face_are_refused(film):
    with pytest.raises(InvalidInput, match="cannot calibrate the gaze"):
        calibrate(networks(np.zeros((16, 4))), [(second, film[0][1]) for second, _ in film], "still")
    with pytest.raises(NoFaceFound, match=r"wall\.mp4: no face"):
        calibrate(networks(np.zeros((4, 4))), [(i / 25, np.full((256, 256, 3), 90, np.uint8)) for i in range(4)], "wall.mp4")


def test_the_command_needs_the_model(tmp_path, capsys):
    assert main(["models", "gaze", str(tmp_path / "around.mp4")]) != 0
    assert "no model 'released-sd15' is installed" in capsys.readouterr().err
