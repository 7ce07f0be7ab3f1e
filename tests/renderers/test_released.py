"""The released engine as a user meets it: not installed, then installed from (made-up, tiny) published files, then animated."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from basel_heads import made_up
from conftest import motion_of, nod
from mimaface.animation import animate, steps
from mimaface.basel.bfm import BaselFace
from mimaface.basel.transfer import GazeAdapter
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import registry
from mimaface.renderers.gaze_calibration import save_calibration
from mimaface.weights import draft_decoder, library
from mimaface.weights.convert import FACE_FILE, convert
from release import TINY, write_release, write_taesd


def save_face(face: BaselFace, path: Path) -> None:
    """The face model as the converter stores it: the published fields, whose indices start at 1."""
    flat = {"meanshape": face.mean, "meantex": face.albedo_mean}
    bases = {"idBase": face.identity_basis, "exBase": face.expression_basis, "texBase": face.albedo_basis}
    indices = {"tri": face.triangles, "point_buf": face.faces_of, "keypoints": face.keypoints[None]}
    arrays = {name: value.reshape(1, -1) for name, value in flat.items()}
    arrays |= {name: np.ascontiguousarray(value.reshape(len(value), -1).T) for name, value in bases.items()}
    arrays |= {name: (value + 1).astype(np.int32) for name, value in indices.items()}
    save_file(arrays, path)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MIMAFACE_HOME", str(tmp_path))
    return tmp_path


def test_it_says_how_to_install_it(home, portrait):
    assert registry.states()["released"] == "not installed: mimaface models pull released"
    with pytest.raises(InvalidInput, match="models pull released"):
        next(animate(portrait, nod(1), RenderSettings(engine="released")))


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    convert([write_release(folder / "published")], folder / "model", release=TINY)
    save_face(made_up(3, known=False).bfm, folder / "model" / "bfm" / FACE_FILE)
    return folder / "model"


@pytest.fixture
def installed(home, converted):
    shutil.copytree(converted, library.models_folder() / library.RELEASED)


def test_installed_it_animates_any_number_of_frames(installed, portrait):
    assert registry.states()["released"] == ""
    settings = RenderSettings(engine="released", seed=3)
    frames = {frame.index: frame.image for frame in animate(portrait, nod(8), settings)}
    assert list(frames) == list(range(8))
    assert {image.shape for image in frames.values()} == {portrait.image.shape}
    again = [frame.image for frame in animate(portrait, nod(8), settings)]
    assert all(np.array_equal(frames[i], image) for i, image in enumerate(again))
    assert not np.array_equal(frames[3], frames[4])
    face = next(animate(portrait, nod(1), RenderSettings(engine="released", framing="face", size=128))).image
    assert face.shape == (128, 128, 3)
    with pytest.raises(InvalidInput, match="transparency"):
        next(animate(portrait, nod(1), RenderSettings(engine="released", transparent=True)))


def test_a_calibrated_gaze_is_used_and_makes_other_jobs(installed, portrait):
    motion, settings = motion_of({"gaze": (0, 0)}, {"gaze": (20, 5)}), RenderSettings(engine="released")
    plain, build = [frame.image for frame in animate(portrait, motion, settings)], registry.build("released")
    save_calibration(GazeAdapter(-3 * np.eye(4), np.zeros(4), fitted=True), "around.mp4")
    again = [frame.image for frame in animate(portrait, motion, settings)]
    assert not np.array_equal(plain[1], again[1])
    assert registry.build("released") != build


def test_a_resumed_shot_goes_on_to_the_byte_without_the_clips_before(installed, portrait):
    settings, memory = RenderSettings(engine="released", seed=3), {}
    whole = list(steps(portrait, nod(8), settings, 0, memory))
    last = next(step for step in reversed(whole) if step is not None)
    assert last.index == 7 and len(memory) == 2
    resumed = list(steps(portrait, nod(8), settings, 7, dict(memory)))
    afresh = list(steps(portrait, nod(8), settings, 7, {}))
    for run in (resumed, afresh):
        (frame,) = [step for step in run if step is not None]
        assert frame.index == 7 and np.array_equal(frame.image, last.image)
    assert len(resumed) < 0.6 * len(afresh)


def test_drafts_and_only_they_are_decoded_by_taesd_where_it_is_installed(installed, portrait, tmp_path):
    def picture(quality):
        return next(animate(portrait, nod(1), RenderSettings(engine="released", quality=quality))).image

    before, build = {quality: picture(quality) for quality in ("draft", "standard")}, registry.build("released")
    draft_decoder.install(write_taesd(tmp_path / "published"), library.models_folder() / library.DRAFT_DECODER)
    after = {quality: picture(quality) for quality in before}
    assert np.array_equal(after["standard"], before["standard"]) and not np.array_equal(after["draft"], before["draft"])
    assert np.array_equal(after["draft"], picture("draft"))
    assert registry.build("released") != build, "a take that was begun with the other decoder is not continued"
