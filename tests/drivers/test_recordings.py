"""Recordings of other programs, written here from their published formats: golden values, gaps, column orders and rejected
files."""

import io
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from mimaface.drivers import open_motion
from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.recordings import READERS, read_recording, reader_of
from mimaface.drivers.recordings.plain_pickle import read_plain
from mimaface.drivers.retarget import RetargetSettings
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.errors import InvalidMotion, MimaFaceError
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix

AS_IT_IS = RetargetSettings(neutral="rest")


def motion(tmp_path, name, content, reading=None):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_motion(path, AS_IT_IS, reading=reading)


def angles(clip):
    """Returns yaw, pitch, roll (T, 3) in degrees."""
    return np.degrees(matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)))


def weight(clip, name):
    return clip.blendshapes[:, BLENDSHAPE_INDEX[name]]


OPENFACE = "frame, face_id, timestamp, confidence, success, gaze_0_x, gaze_0_y, gaze_0_z, gaze_1_x, gaze_1_y, gaze_1_z, " \
    "pose_Tx, pose_Ty, pose_Tz, pose_Rx, pose_Ry, pose_Rz, AU12_r, AU26_r, AU45_r, AU12_c\n"  # fmt: skip


def test_openface(tmp_path):
    side = np.sin(np.radians(10))
    rows = [
        f"{i + 1}, 0, {i * 0.04}, 0.98, {0 if i == 2 else 1}, {side}, 0, -{np.sqrt(1 - side**2)}, {side}, 0, -{np.sqrt(1 - side**2)}, "
        f"20, -30, 700, {0.1 if i else 0}, {0.2 if i > 2 else 0}, 0, {i}, 2.5, 0.5, 1"
        for i in range(4)
    ]
    clip = motion(tmp_path, "shot.csv", OPENFACE + "\n".join(rows) + "\n")
    np.testing.assert_allclose(clip.time, [0, 0.04, 0.08, 0.12])
    np.testing.assert_allclose(angles(clip)[0], [0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(angles(clip)[1], [0, -np.degrees(0.1), 0], atol=1e-3)
    assert angles(clip)[3][0] == pytest.approx(-np.degrees(0.2), abs=0.2), "pose_Ry + is to the subject's right"
    raw = read_recording(reader_of("shot.csv", (OPENFACE).encode()), (OPENFACE + rows[0]).encode(), "shot.csv", ReadingSettings())
    np.testing.assert_allclose(raw.head_pos[0], [0.02, 0.03, -0.7])
    np.testing.assert_allclose(weight(clip, "mouthSmileLeft"), [0, 0.2, 0.4, 0.6], atol=1e-6)
    np.testing.assert_allclose(weight(clip, "jawOpen"), 0.5)
    np.testing.assert_allclose(np.degrees(clip.gaze[0, 0]), [10, 0], atol=1e-4)
    assert not clip.valid[2, 0] and "no face, head, gaze in 1 of 4" in " ".join(clip.meta["warnings"]).replace("no face in", "no face, head, gaze in")


def test_of_several_faces_of_openface_the_one_seen_most_is_taken(tmp_path):
    """The first row is of a face that was not found; a file that was cut off says so."""
    row = "{0}, {1}, {2}, 0.9, {3}, 0, 0, -1, 0, 0, -1, 0, 0, 700, {4}, 0, 0, 0, 0, 0, 0\n"
    rows = [row.format(1, 7, 0, 0, 0.5), *(row.format(i + 1, 3, i * 0.04, 1, 0.1) for i in range(3)), row.format(2, 7, 0.04, 1, 0.5)]
    clip = motion(tmp_path, "two.csv", OPENFACE + "".join(rows))
    np.testing.assert_allclose(angles(clip), [[0, -np.degrees(0.1), 0]] * 3, atol=1e-3)
    assert "number 3" in clip.meta["warnings"][0]
    cut = motion(tmp_path, "cut.csv", OPENFACE + "".join(rows)[:-30])
    assert len(cut) == 3 and "line 6 and what follows is incomplete" in cut.meta["warnings"][0]


def packet(jaw, turn="0,0,0,0,0,0", eyes="0,0,0"):
    shapes = "|".join(f"{name.replace('Left', '_L').replace('Right', '_R')}-{jaw if name == 'jawOpen' else 3}" for name in BLENDSHAPE_NAMES)
    return f"{shapes}|=head#{turn}|rightEye#{eyes}|leftEye#{eyes}|"


def test_ifacialmocap(tmp_path):
    lines = ["fps=30", packet(0), packet(50, "10,20,0,0,0,0", "5,10,0"), "", packet(100)]
    clip = motion(tmp_path, "take.txt", "\n".join(lines))
    np.testing.assert_allclose(clip.time, [0, 1 / 30, 2 / 30])
    np.testing.assert_allclose(weight(clip, "jawOpen"), [0, 0.5, 1])
    np.testing.assert_allclose(angles(clip)[1], [20, -10, 0], atol=1e-4)
    np.testing.assert_allclose(np.degrees(clip.gaze[1]), [[10, -5], [10, -5]], atol=1e-4)
    at_60 = motion(tmp_path, "take.txt", "\n".join(lines[1:]))
    assert at_60.time[1] == pytest.approx(1 / 60) and "--timecode-rate" in at_60.meta["warnings"][0]


def test_mediapipe_of_python_and_of_javascript_say_the_same(tmp_path):
    turn = np.eye(4)
    turn[:3, :3], turn[:3, 3] = Rotation.from_euler("y", 15, degrees=True).as_matrix(), (1, 2, -40)
    shapes = [("_neutral", 0.0), ("jawOpen", 0.25), ("eyeBlinkLeft", 0.5)]
    python = [{"timestamp_ms": 40 * i, "face_blendshapes": [[{"category_name": n, "score": s} for n, s in shapes]] if i != 1 else [],
               "facial_transformation_matrixes": [turn.tolist()]} for i in range(3)]  # fmt: skip
    named = [{"categories": [{"categoryName": n, "score": s} for n, s in shapes]}]
    script = {"frames": [{"timestampMs": 40 * i, "faceBlendshapes": named if i != 1 else [],
              "facialTransformationMatrixes": [{"rows": 4, "columns": 4, "data": turn.T.ravel().tolist()}]} for i in range(3)]}  # fmt: skip
    content = json.dumps(python[:1]).encode()
    raw = read_recording(reader_of("results.json", content), content, "results.json", ReadingSettings())
    np.testing.assert_allclose(raw.head_pos[0], [0.01, 0.02, -0.4])
    lines = "\n".join(map(json.dumps, python))
    clips = [motion(tmp_path, "results.json", told) for told in (json.dumps(python), json.dumps(script), lines)]
    for clip in clips:
        np.testing.assert_allclose(clip.time, [0, 0.04, 0.08])
        np.testing.assert_allclose(angles(clip), [[15, 0, 0]] * 3, atol=1e-4)
        np.testing.assert_allclose(weight(clip, "jawOpen"), 0.25)
        assert clip.valid[:, 0].tolist() == [True, False, True]


def test_audio2face_and_rokoko(tmp_path):
    names = ["eyeBlinkLeft", "jawOpen", "tongueTipUp"]
    told = {"exportFps": 30.0, "numPoses": 3, "numFrames": 2, "facsNames": names, "weightMat": [[0, 0.5, 1], [1, 0.25, 0]]}
    clip = motion(tmp_path, "voice.json", json.dumps(told))
    np.testing.assert_allclose(weight(clip, "jawOpen"), [0.5, 0.25])
    np.testing.assert_allclose(clip.time, [0, 1 / 30])
    assert any("tongueTipUp" in words for words in clip.meta["warnings"])
    faces = [{"faceId": "x", "jawOpen": 40.0 * i, "eyeBlinkLeft": 0.0} for i in range(3)]
    frames = [{"version": "3,0", "fps": 25, "scene": {"timestamp": 5 + 0.04 * i, "actors": [{"name": "a", "face": face}]}}
              for i, face in enumerate(faces)]  # fmt: skip
    for content in (json.dumps(frames), "\n".join(map(json.dumps, frames))):
        clip = motion(tmp_path, "rokoko.json", content)
        np.testing.assert_allclose(weight(clip, "jawOpen"), [0, 0.4, 0.8], atol=1e-6)
        np.testing.assert_allclose(clip.time, [0, 0.04, 0.08], atol=1e-9)


BVH = """HIERARCHY
ROOT Hips
{{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT {neck}
  {{
    OFFSET 0 50 0
    CHANNELS 3 {order}
    JOINT mixamorig:Head
    {{
      OFFSET 0 10 0
      CHANNELS 3 {order}
      End Site
      {{
        OFFSET 0 10 0
      }}
    }}
  }}
}}
MOTION
Frames: 2
Frame Time: 0.05
"""


@pytest.mark.parametrize("order", ["Zrotation Xrotation Yrotation", "Yrotation Xrotation Zrotation"])
@pytest.mark.parametrize("neck", ["Neck", "mixamorig:Neck", "spine_neck_01"])
def test_bvh(tmp_path, order, neck):
    place = [axis[0] for axis in order.split()].index("Y")
    turned = ["0"] * 3
    turned[place] = "10"
    rows = ["0 90 0 5 5 5 0 0 0 0 0 0", f"0 90 0 5 5 5 {' '.join(turned)} {' '.join(turned)}"]
    clip = motion(tmp_path, "walk.bvh", BVH.format(order=order, neck=neck) + "\n".join(rows) + "\n")
    np.testing.assert_allclose(angles(clip), [[0, 0, 0], [20, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(clip.time, [0, 0.05])
    cut = motion(tmp_path, "cut.bvh", BVH.format(order=order, neck=neck) + rows[0] + "\n0 90 0 5")
    assert len(cut) == 1 and any("incomplete" in words for words in cut.meta["warnings"])
    with pytest.raises(InvalidMotion, match="frame 1: a value is not a number"):
        motion(tmp_path, "nan.bvh", BVH.format(order=order, neck=neck) + rows[0] + "\n" + rows[0].replace("90", "nan"))


def test_bvh_of_a_figure_that_stands_along_other_axes(tmp_path):
    """As Blender writes them: z is up, and the figure looks against y; its trunk turns, too, and bones beside the chain do not count."""
    joint = "JOINT {0}\n{{\nOFFSET {1}\nCHANNELS 3 Xrotation Yrotation Zrotation\n{2}}}\n"
    head = joint.format("head", "0 0 10", joint.format("HeadAim", "0 0 5", "End Site\n{\nOFFSET 0 0 1\n}\n"))
    arms = "".join(joint.format(f"arm_{side}", f"{place} 0 40", "End Site\n{\nOFFSET 0 0 1\n}\n") for side, place in (("l", 20), ("r", -20)))
    text = "HIERARCHY\n" + joint.replace("JOINT", "ROOT").format("hips", "0 0 90", arms + joint.format("neck", "0 0 50", head))
    # hips, both arms, neck 10° and head 20° to the subject's left, head 12° up, and its helper
    row = "0 0 30  0 0 0  0 0 0  0 0 10  -12 0 20  0 0 70"
    clip = motion(tmp_path, "walk.bvh", f"{text}MOTION\nFrames: 1\nFrame Time: 0.05\n{row}\n")
    turned = Rotation.from_euler("YXY", [10, -12, 20], degrees=True).as_matrix()
    np.testing.assert_allclose(quaternion_to_matrix(clip.head_quat)[0], turned, atol=1e-6)
    assert not any("sides" in words for words in clip.meta["warnings"])


def test_coefficients(tmp_path):
    values = np.zeros((3, 73))
    values[:, 5], values[1, 64:67], values[2, 64:67] = 0.7, (0.1, 0.0, 0.0), (0.0, 0.2, 0.0)
    for fields in ({"coeff_3dmm": values}, {"coeff_3dmm": values[:, :70]},
                   {"exp": values[:, :64], "angle": values[:, 64:67], "id": np.zeros((3, 80))}):  # fmt: skip
        content = io.BytesIO()
        savemat(content, fields, format="4" if len(fields) == 1 and values.shape == fields["coeff_3dmm"].shape else "5")
        clip = motion(tmp_path, "driven.mat", content.getvalue())
        np.testing.assert_allclose(np.radians(angles(clip)), [[0, 0, 0], [0, -0.1, 0], [0.2, 0, 0]], atol=1e-6)
        np.testing.assert_allclose(clip.expression_bfm[:, 5], 0.7)
        np.testing.assert_allclose(clip.time, np.arange(3) / 25)


def template(frames=3):
    turn = Rotation.from_euler("y", 10, degrees=True).as_matrix().astype(np.float32)
    item = {"scale": np.ones((1, 1), np.float32), "R": turn[None], "exp": np.zeros((1, 21, 3), np.float32), "t": np.zeros((1, 3), np.float32)}
    return {"n_frames": frames, "output_fps": 30, "motion": [dict(item) for _ in range(frames)],
            "c_eyes_lst": [np.array([[0.35, 0.0]], np.float32)] * frames, "c_lip_lst": [np.array([[0.4]], np.float32)] * frames}  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_live_portrait_is_read_and_never_unpickled(tmp_path, protocol, monkeypatch):
    content = pickle.dumps(template(), protocol)
    for name in ("loads", "load", "Unpickler"):
        monkeypatch.setattr(pickle, name, None)
    clip = motion(tmp_path, "wink.pkl", content)
    assert abs(angles(clip)[0][0]) == pytest.approx(10, abs=1e-3)
    np.testing.assert_allclose(weight(clip, "eyeBlinkRight"), 1)
    np.testing.assert_allclose(weight(clip, "eyeBlinkLeft"), 0, atol=1e-6)
    np.testing.assert_allclose(weight(clip, "jawOpen"), 0.5)
    np.testing.assert_allclose(clip.time, np.arange(3) / 30)


class Code:
    def __init__(self, function, *given):
        self.call = function, given

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("where", ["whole", "in a frame", "as a value"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 4, 5])
def test_a_pickle_with_code_is_refused_and_never_runs(tmp_path, where, protocol):
    told, ran = template(), tmp_path / "ran"
    code = Code(exec, f"open({str(ran)!r}, 'w').close()")
    if where == "in a frame":
        told["motion"][1]["R"] = code
    content = pickle.dumps(code if where == "whole" else told | ({"output_fps": code} if where == "as a value" else {}), protocol)
    with pytest.raises(InvalidMotion, match="more than numbers"):
        motion(tmp_path, "bad.pkl", content)
    assert not ran.exists()
    with pytest.raises(InvalidMotion):
        read_plain(pickle.dumps(np.array([code], object), protocol), "objects")
    assert not ran.exists()


@pytest.mark.parametrize("value", [np.arange(6.0).reshape(2, 3),
                                   np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)), {"a": [1, (2.5, None, "ü")]},
                                   [True, -5, 10**12, b"raw", {}], np.float32(2.5)])  # fmt: skip
@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_is_what_was_pickled(value, protocol):
    found = read_plain(pickle.dumps(value, protocol), "x")
    np.testing.assert_equal(found, value)


def landmarker(times, score=lambda index: index / 100):
    """Results of the landmarker at the times that are given as they are to be written: {name: value} of every frame."""
    return [{**when, "faceBlendshapes": [{"categories": [{"categoryName": "jawOpen", "score": score(index)}]}]} for index, when in enumerate(times)]


@pytest.mark.parametrize(
    ("title", "unit"),
    [
        ("timestampMs", 1e3), ("timestamp", 1e3), ("timestamp", 1.0), ("time", 1.0), ("time", 1e3), ("timestamp_us", 1e6), ("timestamp", 1e6),
        ("t", 1.0),
    ],
)
@pytest.mark.parametrize(("rate", "origin"), [(25, 0.0), (2, 0.0), (25, 1.7e9)])
def test_the_landmarkers_times_are_in_any_unit(tmp_path, title, unit, rate, origin):
    """A second was taken for a millisecond, and a millisecond for a second."""
    times = [{title: (origin + index / rate) * unit} for index in range(1, 40)]
    clip = motion(tmp_path, "results.json", json.dumps(landmarker(times)))
    np.testing.assert_allclose(clip.time, np.arange(39) / rate, atol=1e-5)


@pytest.mark.parametrize(
    "written",
    [
        lambda index: f"2024-05-{1 + index // 25:02d}T{'00:00:00' if index > 24 else '23:59:59'}.{index % 25 * 40:03d}Z",
        lambda index: f"{index * 0.04:.2f}",
    ],
)
def test_the_landmarkers_times_may_be_texts(tmp_path, written):
    clip = motion(tmp_path, "results.json", json.dumps(landmarker([{"timestamp": written(index)} for index in range(50)])))
    np.testing.assert_allclose(clip.time, np.arange(50) / 25, atol=1e-6)


def openface(separator=", ", decimal=".", rows=30, cells=lambda index, values: values):
    header = OPENFACE.strip().split(", ")
    lines = [separator.join(header)]
    for index in range(rows):
        head, units = ["0", "0", "700", "0.1", "0", "0"], ["0.5", "2.5", "0", "0"]
        values = [str(index + 1), "0", f"{index / 25:.3f}", "0.98", "1", *["0.0", "0.0", "-1.0"] * 2, *head, *units]
        lines.append(separator.join(value.replace(".", decimal) for value in cells(index, values)))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        openface(";"), openface(";", ","), openface("\t"), "# made by a tool\n" + openface(), openface().encode("utf-16"),
        openface(rows=15) + "\n".join(openface().split("\n")[0:1] + openface().split("\n")[16:]),
    ],
)  # fmt: skip
def test_openface_that_a_spreadsheet_saved_is_read(tmp_path, content):
    clip = motion(tmp_path, "shot.csv", content)
    np.testing.assert_allclose(clip.time, np.arange(30) / 25, atol=1e-6)
    np.testing.assert_allclose(weight(clip, "jawOpen"), 0.5)
    np.testing.assert_allclose(angles(clip)[:, 1], -np.degrees(0.1), atol=1e-3)


@pytest.mark.parametrize(
    ("lost", "tracks"),
    [
        (lambda values: [*values[:4], "0", *["-nan(ind)"] * 6, *values[11:]], [False, False, False]),
        (lambda values: [*values[:4], "0", *[""] * (len(values) - 5)], [False, False, False]),
        (lambda values: [*values[:5], *["nan"] * 6, *values[11:]], [True, True, False]),
        (lambda values: [*values[:14], "1.#QNAN", *values[15:]], [True, False, False]),
    ],
)
def test_openface_without_a_value_is_bridged(tmp_path, lost, tracks):
    """As the program for Windows writes a gaze that it does not know; the file was refused."""
    clip = motion(tmp_path, "shot.csv", openface(cells=lambda index, values: lost(values) if index == 20 else values))
    assert clip.valid[20].tolist() == tracks and clip.valid[[*range(20), *range(21, 30)]].all()
    np.testing.assert_allclose(angles(clip)[20, 1], -np.degrees(0.1), atol=1e-3)
    with pytest.raises(InvalidMotion, match="line 22: column AU12_r: 'much' is not a number"):
        motion(tmp_path, "shot.csv", openface(cells=lambda index, values: values if index != 20 else [*values[:17], "much", *values[18:]]))


def test_units_of_recordings_are_seen_and_can_be_said(tmp_path):
    turned = openface(cells=lambda index, values: [*values[:14], f"{index:.1f}", *values[15:]])
    assert angles(motion(tmp_path, "shot.csv", turned))[:, 1].min() == pytest.approx(-29, abs=1e-3)
    percent = landmarker([{"time": index / 25} for index in range(30)], score=lambda index: 40)
    np.testing.assert_allclose(weight(motion(tmp_path, "a.json", json.dumps(percent)), "jawOpen"), 0.4, atol=1e-6)
    for scale, reading in ((100, None), (1, None), (1, ReadingSettings(values="shares")), (100, ReadingSettings(values="percent"))):
        frames = [{"fps": 30, "scene": {"actors": [{"face": {"jawOpen": 0.4 * scale, "eyeBlinkLeft": 0.9 * scale}}]}} for _ in range(3)]
        np.testing.assert_allclose(weight(motion(tmp_path, "r.json", json.dumps(frames), reading), "jawOpen"), 0.4, atol=1e-6)


@pytest.mark.parametrize("stated", [-5, 0, 1e9, float("inf"), float("nan"), None])
def test_a_rate_that_cannot_be_is_none(tmp_path, stated):
    """All frames but the first were left out, or a take lasted a millionth of a second."""
    told = {"exportFps": stated, "facsNames": ["jawOpen"], "weightMat": [[0.1 * i] for i in range(6)]}
    clip = motion(tmp_path, "voice.json", json.dumps(told))
    np.testing.assert_allclose(clip.time, np.arange(6) / 60, atol=1e-9)
    assert "no frame rate" in clip.meta["warnings"][0]


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_a_weight_without_a_value_is_bridged(tmp_path, missing):
    told = {"exportFps": 30, "facsNames": ["jawOpen", "eyeBlinkLeft"], "weightMat": [[0.1 * i, 0] for i in range(6)]}
    told["weightMat"][3] = [missing, 0]
    clip = motion(tmp_path, "voice.json", json.dumps(told))
    assert clip.valid[:, 0].tolist() == [True, True, True, False, True, True]
    assert weight(clip, "jawOpen")[3] == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace(" ", "\t").replace("Frame\tTime", "Frame Time"),
        lambda text: text.replace("MOTION", "Motion").replace("Hips", "MOTION_Hips"),
        lambda text: text.replace("0.05", "0,05").replace("10.5", "10,5"),
        lambda text: text.encode("utf-16"),
        str.lower,
    ],
)
def test_bvh_as_other_writers_have_it(tmp_path, written):
    text = BVH.format(order="Yrotation Xrotation Zrotation", neck="Neck") + "0 90 0 0 0 0 0 0 0 0 0 0\n0 90 0 0 0 0 10.5 0 0 10.5 0 0\n"
    clip = motion(tmp_path, "walk.bvh", written(text))
    np.testing.assert_allclose(angles(clip), [[0, 0, 0], [21, 0, 0]], atol=1e-5)
    np.testing.assert_allclose(clip.time, [0, 0.05])


def test_recordings_in_utf_16_are_known(tmp_path):
    frames = landmarker([{"time": index / 25} for index in range(5)])
    for name, text in (("a.json", json.dumps(frames)), ("b.json", json.dumps({"facsNames": ["jawOpen"], "weightMat": [[0.0]] * 5, "exportFps": 25}))):
        for encoding in ("utf-16", "utf-8-sig", "utf-32"):
            np.testing.assert_allclose(motion(tmp_path, name, text.encode(encoding)).time, np.arange(5) / 25, atol=1e-9)


def test_a_recording_whose_last_line_was_cut_off_is_read_up_to_there(tmp_path):
    frames = "\n".join(map(json.dumps, landmarker([{"time": index / 25} for index in range(5)])))
    packets = "\n".join(packet(index) for index in range(5))
    for name, text in (("a.jsonl", frames), ("a.txt", packets)):
        assert len(motion(tmp_path, name, text)) == 5
        cut = motion(tmp_path, name, text[:-30])
        assert len(cut) == 4 and any("may have been cut off" in words for words in cut.meta["warnings"])
    with pytest.raises(InvalidMotion, match="JSON cannot be read"):
        motion(tmp_path, "a.jsonl", "\n".join(line if index != 2 else line[:-1] for index, line in enumerate(frames.splitlines())))


def test_a_recording_whose_clock_is_set_back_goes_on(tmp_path):
    clip = motion(tmp_path, "a.json", json.dumps(landmarker([{"time": index % 30 / 25} for index in range(60)])))
    np.testing.assert_allclose(clip.time, np.arange(60) / 25, atol=1e-9)
    assert any("the clock is set back at frame 30" in words for words in clip.meta["warnings"])
    with pytest.raises(InvalidMotion, match="frame 1: the timecode stands still"):
        motion(tmp_path, "a.json", json.dumps(landmarker([{"time": 3.5}] * 9)))


CONTENTS = [("a.csv", OPENFACE.encode() + b"1, 0, 0, 1, 1" + b", 0.1" * 16), ("a.txt", packet(5).encode()),
            ("a.json", b'{"facsNames": ["jawOpen"], "weightMat": [[1]]}'),
            ("a.json", b'[{"face_blendshapes": [[{"category_name": "jawOpen", "score": 1}]]}]'), ("a.pkl", pickle.dumps(template(1))),
            ("a.bvh", BVH.format(order="Zrotation Xrotation Yrotation", neck="Neck").encode() + b"0 0 0 0 0 0 0 0 0 0 0 0\n")]  # fmt: skip


@settings(max_examples=60)
@given(st.data())
def test_damage_is_a_sentence(data):
    """Bytes changed, removed or duplicated anywhere give a clip, or an error that names the file."""
    name, content = data.draw(st.sampled_from(CONTENTS))
    place, length = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 40))
    changed = content[:place] + data.draw(st.binary(max_size=20)) + content[place + length :]
    reader = reader_of(name, changed) or data.draw(st.sampled_from(READERS))
    try:
        assert len(read_recording(reader, changed, name, ReadingSettings())) > 0
    except MimaFaceError as error:
        assert name in error.message and error.hint


def test_each_file_has_one_reader():
    assert [sum(reader.recognises(name, content) for reader in READERS) for name, content in CONTENTS] == [1] * len(CONTENTS)
