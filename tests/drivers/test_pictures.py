import shutil

import numpy as np
import pytest
from PIL import Image

from conftest import COLLINS, HOPPER
from mimaface.animation import animate
from mimaface.cli import main
from mimaface.drivers import ReadingSettings, RetargetSettings, open_motion
from mimaface.face.pose import poses_for
from mimaface.marking.watermark import Watermark
from mimaface.protocol.errors import InvalidImage, InvalidInput, NoFaceFound
from mimaface.protocol.settings import RenderSettings
from mimaface.reprojection.crops import face_box


def test_a_picture_is_one_pose_and_its_own_portrait_stays_as_it_is(hopper):
    clip = open_motion(HOPPER)
    assert len(clip) == 1 and clip.meta["neutral"] == "rest" and np.isnan(clip.head_pos).all()
    np.testing.assert_allclose(clip.blendshapes[0], hopper.fit.blendshapes, atol=1e-6)
    (pose,) = poses_for(hopper.fit, clip, absolute=True)
    np.testing.assert_allclose(pose.rotation, hopper.fit.rotation, atol=1e-9)
    np.testing.assert_allclose(pose.gaze, hopper.fit.gaze, atol=1e-6)
    np.testing.assert_array_equal(pose.translation, hopper.fit.translation)
    assert open_motion(HOPPER, RetargetSettings("auto")).meta["neutral"] == "rest", "away from itself it would be no pose at all"


def test_a_picture_drives_as_the_same_pose_in_a_motion_file(tmp_path, portrait):
    clip = open_motion(HOPPER)
    clip.save(tmp_path / "pose.motion.npz")
    pictures = {}
    for name, driver, more in (("photo", HOPPER, []), ("motion", tmp_path / "pose.motion.npz", ["--absolute"])):
        output = tmp_path / f"{name}.png"
        assert main(["animate", str(COLLINS), str(driver), "-o", str(output), "--engine", "proxy", "--size", "128", *more]) == 0
        pictures[name] = np.asarray(Image.open(output).convert("RGB"))
    np.testing.assert_array_equal(pictures["photo"], pictures["motion"])
    (library,) = animate(portrait, clip, RenderSettings("proxy", 128, absolute=True))
    np.testing.assert_array_equal(Watermark.of(portrait.sha256, face_box(portrait, 128, "photo")).mark(library.image), pictures["photo"])
    rest = np.asarray(Image.open(COLLINS).convert("RGB").resize(pictures["photo"].shape[1::-1]))
    assert np.abs(rest.astype(int) - pictures["photo"]).max() > 60, "the driver's pose is not the portrait's"


def test_a_folder_is_a_film_in_the_order_of_its_numbers(tmp_path):
    picture = Image.open(HOPPER)
    for number, shift in ((9, 0), (10, 24)):
        picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, shift, 0, 1, 0)).save(tmp_path / f"shot.{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    clip = open_motion(tmp_path, reading=ReadingSettings(timecode_rate=30))
    assert len(clip) == 2 and clip.meta["format"] == "pictures" and clip.meta["neutral"] == "auto"
    np.testing.assert_allclose(clip.time, [0, 1 / 30])
    assert clip.head_pos[1, 0] < clip.head_pos[0, 0] - 0.005, "the second frame shows the face further left"
    assert clip.meta["warnings"] == []
    assert "25 pictures a second" in open_motion(tmp_path).meta["warnings"][0]


def test_what_is_no_driver_is_said(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (96, 96), "teal").save(tmp_path / "wall.png")
    (tmp_path / "text.jpg").write_text("not a picture")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(HOPPER, mixed / "1.jpg")
    Image.new("RGB", (96, 96)).save(mixed / "2.png")
    for path, kind, words in (
        (tmp_path / "empty", InvalidInput, "empty: the folder holds no pictures"),
        (tmp_path / "wall.png", NoFaceFound, "no face found"),
        (tmp_path / "text.jpg", InvalidImage, "text.jpg: not a picture that can be read"),
        (mixed, InvalidInput, "2.png: 96 × 96 pixels, unlike"),
    ):
        with pytest.raises(kind, match=words):
            open_motion(path)


def test_one_picture_does_not_take_a_film(tmp_path, capsys):
    for number in (1, 2):
        shutil.copy(HOPPER, tmp_path / f"{number}.jpg")
    assert main(["animate", str(COLLINS), str(tmp_path), "-o", str(tmp_path / "out.png"), "--engine", "proxy"]) == 2
    assert "one picture cannot hold the motion's 2 frames" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
