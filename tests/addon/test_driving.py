"""Videos with sound, the options of takes, steps and warnings, in real Blenders against the real backend."""

from __future__ import annotations

import functools
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from blender_runs import FIRST, VERSIONS, in_blender
from conftest import CASES, COLLINS, HOPPER
from mimaface.drivers import open_motion
from mimaface.face.portrait import Portrait
from mimaface.face.pose import away_from
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix

pytestmark = pytest.mark.blender


def with_sound(source: Path, target: Path, seconds: float) -> None:
    """The beginning of a video, with a tone beside it."""
    rate = 48_000
    with av.open(str(source)) as pictures, av.open(str(target), "w") as film:
        stream = film.add_stream_from_template(pictures.streams.video[0])
        tone = film.add_stream("aac", rate=rate, layout="mono")
        for packet in pictures.demux(video=0):
            if packet.dts is not None and packet.pts * packet.time_base < seconds:
                packet.stream = stream
                film.mux(packet)
        samples = np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        for packet in [*tone.encode(frame), *tone.encode()]:
            film.mux(packet)


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("driving")
    with_sound(CASES / "handheld.mp4", work / "driver.mp4", 0.5)
    shutil.copy(CASES / "percent.csv", work)
    header, *rows = (CASES / "pose.csv").read_text().splitlines()
    extra = "".join(f",Curve_{index:05d}_{'z' * 60}" for index in range(3000))
    (work / "wide.csv").write_text("\n".join([header + extra, *(row + ",0" * 3000 for row in rows)]) + "\n")
    shutil.copy(CASES.parent / "golden" / "speech.ogg", work / "voice.ogg")
    phones = [(0.0, 0.5, "sil"), (0.5, 0.7, "AA1"), (0.7, 0.8, "M"), (0.8, 1.0, "IY0")]
    intervals = "".join(f'{begin}\n{end}\n"{label}"\n' for begin, end, label in phones)
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n1\n"IntervalTier"\n"phones"\n0\n1\n4\n'
    (work / "voice.TextGrid").write_text(head + intervals)
    pages = [Image.open(HOPPER).convert("RGB").resize((256, 300)), Image.new("RGB", (256, 300))]
    pages[0].save(work / "two_pages.tif", save_all=True, append_images=pages[1:])
    Image.open(COLLINS).convert("RGB").resize((256, 256)).save(work / "other.png")
    return work


@pytest.fixture(scope="module")
def play(tmp_path_factory, extension, films):
    """A function that gives what each case saw; how files are read is the backend's, and seen in the first version only."""

    @functools.cache
    def of(version: str) -> dict:
        work = shutil.copytree(films, tmp_path_factory.mktemp("driving"), dirs_exist_ok=True)
        cases = "" if version == FIRST else "video fbx posing steps visemes"
        result = in_blender(version, "driving.py", work, extension, MIMAFACE_CASES=cases)
        assert result["version"].startswith(version)
        return result

    return of


@pytest.fixture(params=VERSIONS)
def said(request, play) -> dict:
    return play(request.param)


@pytest.fixture
def said_once(play) -> dict:
    return play(FIRST)


def test_how_a_picture_was_read_is_said(said_once):
    assert "two_pages.tif: " in said_once["portrait"] and "first" in said_once["portrait"]


def test_a_video_brings_its_position_and_its_sound(said):
    found = said["video"]
    assert found["moves"] > 0.002, "metres that the camera's shake of six pixels moves the head"
    assert found["position 0"] == [0, 0, 0] and found["turns"] > 0
    assert found["head 0"] == pytest.approx([0] * 6, abs=1e-6), "as --gain head=0 does"
    assert "62 channels" in found["notice"]
    if "this Blender has no sound" in found["notice"]:  # the wheel of 4.2
        assert said["version"].startswith("4.2") and found["sounds"] == []
    else:
        assert found["notice"].endswith("its sound is in the sequencer")
        assert found["sounds"] == [["driver", 1, "driver.mp4"]], "once, however often it is imported"


def test_how_a_take_is_read_can_be_chosen(said_once):
    found = said_once["reading"]
    assert found["percent"] == pytest.approx(1, abs=1e-3) and "percent" in found["notice"]
    assert found["shares"] == pytest.approx(100, rel=1e-3)
    assert found["exchanged"] == pytest.approx([0, 1], abs=1e-3)
    assert found["flip"] == ["mouthLeft"] and found["sounds"] == len(said_once["video"]["sounds"]), "a take has no sound"


def test_absolute_motion_and_pictures_take_the_place_of_the_photographs_pose(said_once, films):
    """As on the command line; the keys are away from the photograph, to which a rig adds them."""
    found, fit = said_once["absolute"], Portrait.open(films / "two_pages.tif").fit
    for name, path in (("take", "percent.csv"), ("picture", "other.png")):
        clip = away_from(fit, open_motion(films / path).at_rate(24))
        yaw = matrix_to_head_angles(quaternion_to_matrix(clip.head_quat))[:, 0]
        expected = {"jawOpen": clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]], "yaw": yaw, "gaze_left_yaw": clip.gaze[:, 0, 0]}
        for channel, values in expected.items():
            np.testing.assert_allclose(found[name][channel], values, atol=1e-4, err_msg=f"{name} {channel}")
    picture = open_motion(films / "other.png")
    assert found["added"]["jawOpen"] == pytest.approx(picture.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]].tolist(), abs=1e-4), "if asked for"
    assert found["healed"] and not found["error"], "a backend that has lost the photograph is given it"


def test_an_fbx_turns_the_head_against_its_trunk_whatever_its_bones_and_axes(said):
    """Of a second at 30 frames a second, keyed at 24: neck and head turn 30° to the left and 12° up; the trunk's 25° do not count."""
    found = said["fbx"]
    for kind in ("plain", "biped", "slanted"):
        assert len(found[kind]["yaw"]) == 25 and max(found[kind]["jawOpen"]) == 0, kind
        ends = [np.degrees(found[kind][name][place]) for place in (0, -1) for name in ("yaw", "pitch", "roll")]
        np.testing.assert_allclose(ends, [0, 0, 0, 30, 12, 0], atol=0.05, err_msg=kind)
        assert found[kind]["clean"], "nothing of the file stays"
        assert f"{kind}.fbx: 25 keys on" in found[kind]["notice"] and "the face stays as it is" in found[kind]["notice"]
    np.testing.assert_allclose(np.degrees(found["swapped"]), [-30, 12], atol=0.05)
    assert "damaged.fbx: " in found["damaged.fbx"] and "other.fbx: " in found["other.fbx"]
    assert found["rate"] == 24 and found["scene"] and found["after"]


def test_a_photo_is_a_pose_at_the_current_frame(said):
    found = said["posing"]
    assert "1 keys on 62 channels, to frame 60" in found["notice"]
    assert found["counts"] == [found["length"] + 2] and found["kept"], "two poses more, and the take's own keys"
    for name, value in found["whole"].items():
        assert found["after"][name] == pytest.approx(value, abs=1e-6), "the pose that Import Motion keys at the first frame"
    assert "percent.csv is no picture: use Import Motion" in found["refused"]


def test_a_take_with_3000_more_columns_is_imported_and_what_is_said_of_them_is_short(said_once):
    found = said_once["reading"]["wide"]
    assert found["jawOpen"] == pytest.approx(0.525, abs=1e-3), "0.7 at a thirtieth and 0 at a fifteenth of a second, keyed at a 24th"
    assert found["channels"] == 62 and "keys on 62 channels" in found["notice"] and len(found["notice"]) < 1000


def test_speech_is_keys_at_the_scenes_rate_with_its_sound_beside(said_once):
    found = said_once["speech"]
    assert max(found["jaw"]) > 0.25 and len(found["jaw"]) == 323, "13.4 s at 24 frames a second"
    assert max(found["jaw"][:8]) == 0, "it is silent for half a second, and rest is the neutral whatever is chosen"
    assert found["pitch"] > 0.01 and found["still"] == 0
    assert "62 channels" in found["notice"] and "voice.txt" in found["notice"]
    assert max(found["close"]) > 0.15 and "keys on 62 channels" in found["phones"]
    if "this Blender has no sound" not in found["notice"]:
        assert found["sounds"].count("voice.ogg") == 1 and "its sound is in the sequencer already" in found["phones"]


def test_viseme_markers_are_edited_and_the_mouth_follows(said):
    found = said["visemes"]
    # 0.5, 0.7, 0.8 and 1 s at 24 frames a second, and the end of the sound of 13.4 s
    assert found["markers"] == [["sil", 1], ["aa", 13], ["PP", 18], ["I", 20], ["sil", 25]]
    assert "5 visemes are pose markers" in found["notice"]
    assert found["same"] < 1e-6, "what nobody edited is the same mouth, between frames, too"
    assert "such as look here, are let be; visemes are sil, PP, " in found["other"]
    assert found["closed"][0] > 0.15 and found["closed"][1] == 0 and found["head"] == 0
    assert found["undone"] == [0, True], "one step for the update"
    assert abs(found["starts"][1] - found["starts"][0] - 6) <= 1, "six frames earlier and half a second later"
    assert found["deleted"][0] == 0 < 0.1 < found["deleted"][1], "after a save, without a and m: the rest lasts until the i"
    assert "no marker of" in found["none"] and "import the speech again" in found["none"]
    assert {name for name, _ in found["after"]}.isdisjoint(("sil", "aa", "PP", "I")), "another motion takes their place"
    assert "has no viseme markers: import speech first" in found["no speech"]


def test_every_fourth_frame_is_shown_for_four(said):
    found = said["steps"]
    files = [f"{index:06d}.png" for index in range(3)]
    assert (found["frames"], found["rate"], found["length"]) == (3, 6.0, 12)
    assert found["elements"] == [name for name in files for _ in range(4)]
    assert found["adopted"] == [12], "also when the take was found again"


def test_a_video_is_counted_and_can_be_cancelled(said_once):
    found = said_once["watching"]
    counts = [text for text in found["heard"] if text.startswith("Reading driver.mp4: frame ")]
    assert counts, found["heard"]
    assert {text.rpartition(" of ")[2] for text in counts} == {str(found_frames(counts))}, "one total from the first frame on"
    assert found["heard"][-1].startswith("Following the face in driver.mp4: frame ")
    assert found["notice"] == "Reading driver.mp4 was cancelled"
    assert (found["busy"], found["error"]) == ("", "")
    assert found["given up"], "the backend is told"
    assert found["same curves"]
    assert "keys on" in found["afterwards"]


def found_frames(counts: list[str]) -> int:
    """The total that the last count names; the driver is half a second long."""
    total = int(counts[-1].rpartition(" of ")[2])
    assert 10 <= total <= 31
    return total
