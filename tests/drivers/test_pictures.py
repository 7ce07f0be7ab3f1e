import gzip
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from conftest import CASES, COLLINS, HOPPER
from mimaface.animation import animate
from mimaface.cli import main
from mimaface.drivers import ReadingSettings, RetargetSettings, open_motion
from mimaface.drivers.folders import in_order, places
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.marking.watermark import Watermark
from mimaface.pictures import moving_frames
from mimaface.protocol.errors import InvalidImage, InvalidInput, InvalidMotion, NoFaceFound
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


def test_of_several_faces_the_largest_drives_which_is_said():
    clip = open_motion(CASES / "two_near_far.jpg")
    assert clip.meta["warnings"] == ["2 faces are in it: the largest drives"]
    np.testing.assert_allclose(clip.blendshapes[0], Portrait.open(CASES / "two_near_far.jpg").fit.blendshapes, atol=1e-6)


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


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("f_0001 f_0002 f_0003 f_0007 f_0008", [0, 1, 2, 6, 7]),  # the film was squeezed by what is missing
        ("2 4 6 10", [0, 1, 2, 4]),
        ("-0002 -0001 0000 0001", [0, 1, 2, 3]),
        ("shot-9 shot-10 shot-12", [0, 1, 3]),
        ("\u30d5\u30ec\u30fc\u30e0_1 \u30d5\u30ec\u30fc\u30e0_2", [0, 1]),
        ("calm smile", [0, 1]),
        ("1 20 300", [0, 1, 2]),
    ],
)
def test_the_numbers_of_a_folder_are_its_frames(tmp_path, names, expected):
    wanted = [f"{name}.png" for name in names.split()]
    for name in (*wanted, "._f_0001.png", ".DS_Store", "Thumbs.db", "f_0004.png.part", "sound.wav"):
        (tmp_path / name).touch()
    found = in_order(tmp_path)
    assert ([path.name for path in found], places(found)) == (wanted, (expected, []))


def test_folders_that_are_not_one_film_are_said(tmp_path):
    def folder(name, *files):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
        return tmp_path / name

    with pytest.raises(InvalidInput, match=r"the folder of a take, not of pictures – choose one of its files: a.csv, a.mov"):
        in_order(folder("take", "a.csv", "a.mov", "thumbnail.jpg"))
    with pytest.raises(InvalidInput, match="several pictures are called 0001 – put the frames"):
        in_order(folder("twice", "0001.jpg", "0001.png", "0002.jpg"))
    _, notes = places(in_order(folder("two", "a_1.png", "a_2.png", "b_1.png", "b_2.png")))
    assert notes == ["the pictures have names of 2 films: read one after the other"]


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_pictures_that_move_are_films(tmp_path, kind):
    """Only the first was followed; GIF always was a film."""
    photo = Image.open(HOPPER).convert("RGB")
    frames = [photo.transform(photo.size, Image.Transform.AFFINE, (1, 0, shift, 0, 1, 0)) for shift in (0, 12, 24)]
    path = tmp_path / f"moving.{kind}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[80, 200, 80] if kind != "avif" else 80)
    clip = open_motion(path)
    np.testing.assert_allclose(clip.time, [0, 0.08, 0.16 if kind == "avif" else 0.28], atol=1e-3)
    assert clip.head_pos[2, 0] < clip.head_pos[0, 0] - 0.005 and clip.meta["neutral"] == "auto"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InvalidImage, match="damaged"):
        open_motion(path)


def test_a_moving_png_may_begin_with_a_picture_that_is_not_of_it(tmp_path):
    frames = [Image.new("RGB", (96, 96), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], default_image=True)
    assert [(seconds, tuple(image[0, 0])) for seconds, image in moving_frames(tmp_path / "a.png")] == [(0, (0, 128, 0)), (0.1, (0, 0, 255))]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("take.csv.gz", gzip.compress(b"Timecode", mtime=0), "a packed file – unpack it"),
        ("take.fbx", b"Kaydara FBX Binary  \x00\x1a\x00", "an FBX, which Blender's importer reads – choose it in Blender's Import Motion"),
        ("old.fbx", b"; FBX 6.1.0 project file", "an FBX, which Blender's importer reads"),
        ("take.zip", {"take/a.csv": "Timecode"}, "an archive – unpack it"),
        ("take.xlsx", {"[Content_Types].xml": "", "xl/workbook.xml": ""}, "a spreadsheet – save it as CSV"),
        ("take.csv", {"mimetype": "", "content.xml": ""}, "a spreadsheet – save it as CSV"),
        ("empty.png", b"", "the file is empty"),
        ("cut.webp", b"RIFF\x10\0\0\0WEBPVP8 ", "the picture is damaged"),
    ],
)
def test_packed_files_and_sheets_say_what_to_do(tmp_path, name, content, words):
    if isinstance(content, dict):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for member, text in content.items():
                archive.writestr(member, text)
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises((InvalidMotion, InvalidImage), match=words):
        open_motion(tmp_path / name)


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
