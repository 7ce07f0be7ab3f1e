from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import nod
from mimaface.drivers import open_motion
from mimaface.drivers.live_link import COLUMNS, POSES, read_live_link_csv, write_live_link_csv
from mimaface.face.head import ASSETS
from mimaface.protocol.arkit import ACTION_INDEX, ACTION_NAMES
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix

CASES = Path(__file__).parents[1] / "cases"
HEADER = ["Timecode", "BlendShapeCount", *COLUMNS.values(), *POSES]


def take(rows: list[dict], header: list[str] = HEADER) -> bytes:
    lines = [",".join(header)]
    for index, values in enumerate(rows):
        cells = {"Timecode": f"01:02:03:{index:02d}.000", "BlendShapeCount": "52"} | {
            name: str(value) for name, value in values.items()
        }
        lines.append(",".join(cells.get(name, "0.0") for name in header))
    return ("\n".join(lines) + "\n").encode()


def angles(clip):
    return matrix_to_head_angles(quaternion_to_matrix(clip.head_quat))


def degrees(clip):
    return np.degrees(angles(clip))


def test_signs_become_ours():
    clip = read_live_link_csv(
        take([{}, {"HeadYaw": 0.3, "HeadPitch": 0.2, "LeftEyeYaw": 0.1, "LeftEyePitch": 0.05, "RightEyeYaw": -0.2}]), "a.csv"
    )
    np.testing.assert_allclose(angles(clip)[1, :2], [0.3, 0.2], atol=1e-6)
    np.testing.assert_allclose(clip.gaze[1], [[-0.1, -0.05], [0.2, 0.0]], atol=1e-6)
    assert clip.meta["neutral"] == "auto"


def test_shapes_are_bound_by_name():
    shuffled = HEADER[:2] + HEADER[2:][::-1]
    for header in (HEADER, shuffled):
        clip = read_live_link_csv(take([{"JawOpen": 0.7, "EyeBlinkLeft": 0.4}], header), "a.csv")
        assert clip.actions[0, ACTION_INDEX["jawOpen"]] == np.float32(0.7)
        assert clip.actions[0, ACTION_INDEX["eyeBlinkLeft"]] == np.float32(0.4)


def test_frames_count_in_sixtieths_across_midnight_and_gaps():
    rows = [{"Timecode": code} for code in ("23:59:59:58.000", "23:59:59:59.500", "00:00:00:01.000", "00:00:02:00.250")]
    clip = read_live_link_csv(take(rows), "a.csv")
    np.testing.assert_allclose(clip.time, [0, 1.5 / 60, 3 / 60, 2 + 2.25 / 60], atol=1e-9)


def test_empty_head_columns_are_not_a_still_head():
    clip = read_live_link_csv(take([{"JawOpen": 0.1}, {}]), "a.csv")
    assert not clip.valid[:, 1].any()
    assert clip.valid[:, 0].all()
    assert any("head columns are empty" in text for text in clip.meta["warnings"])


def test_51_shapes_bom_crlf_and_unknown_columns_are_read():
    header = [name for name in HEADER if name != "TongueOut"] + ["Mood"]
    content = b"\xef\xbb\xbf" + take([{"JawOpen": 0.5}, {"JawOpen": 0.6}], header).replace(b"\n", b"\r\n")
    clip = read_live_link_csv(content, "a.csv")
    assert len(clip) == 2
    assert any("Mood" in text for text in clip.meta["warnings"])


def test_gaze_comes_from_the_shapes_when_the_eye_columns_are_empty():
    clip = read_live_link_csv(take([{"EyeLookOutLeft": 1.0, "EyeLookInRight": 1.0}]), "a.csv")
    assert (clip.gaze[0, :, 0] > 0.3).all(), "both look to the subject's left"


def test_repeated_timecodes_and_a_cut_last_line_are_survived():
    content = take([{"Timecode": "00:00:00:00.0"}, {"Timecode": "00:00:00:00.0"}, {"Timecode": "00:00:00:01.0"}])
    clip = read_live_link_csv(content[:-150], "a.csv")
    assert len(clip) == 1
    assert any("repeated" in text for text in clip.meta["warnings"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (take([{}, {}], [name for name in HEADER if name != "LeftEyeYaw"]), "column LeftEyeYaw is missing"),
        (take([{}, {}], [*HEADER, "JawOpen"]), "JawOpen is there twice"),
        (take([{"Timecode": "00:00:00:00.0"}] * 9), "line 3: the timecode stands still"),
        (take([{}, {"Timecode": "00:00:nan:00.0"}]), "line 3: column Timecode"),
        (take([{}]).replace(b",", b";"), "semicolons"),
        (b"", "empty"),
        (b"\xff\xfe\x00", "not a text file"),
        (take([]), "no frames"),
        (take([{}], [name for name in HEADER if name != "JawOpen"]), "line 1: column JawOpen is missing"),
        (take([{}, {"MouthFunnel": "abc"}]), "line 3: column MouthFunnel: 'abc'"),
        (take([{}, {"JawOpen": "nan"}]), "line 3: column JawOpen"),
        (take([{"Timecode": "noon"}]), "line 2: column Timecode"),
        (take([{}, {}]).replace(b"\n01:02:03:00", b"\n01:02:03", 1), "line 2"),
        (b"a,b,c\n1,2,3\n", "column"),
    ],
)
def test_bad_takes_name_line_and_column(content, words):
    with pytest.raises(InvalidMotion, match=words):
        read_live_link_csv(content, "take.csv")


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 30))
def test_text_round_trip(frames):
    clip = nod(frames)
    back = read_live_link_csv(write_live_link_csv(clip), "a.csv")
    np.testing.assert_allclose(back.time, clip.time, atol=2e-5)
    np.testing.assert_allclose(back.actions, clip.actions, atol=1e-6)
    np.testing.assert_allclose(angles(back), angles(clip), atol=1e-6)
    if np.abs(clip.gaze).max() > 0:
        np.testing.assert_allclose(back.gaze, clip.gaze, atol=1e-6)


def test_the_shipped_take_is_whole():
    clip = open_motion(ASSETS / "take.csv")
    assert len(clip) == 240
    assert clip.meta["warnings"] == []
    assert clip.actions[:, ACTION_NAMES.index("jawOpen")].max() > 0.3


def test_the_neutral_of_a_take_is_not_a_glance_aside():
    clip = open_motion(CASES / "calmest_frame_looks_aside.csv")
    assert degrees(clip.relative())[0, 0] == pytest.approx(0, abs=1e-6), "the driver looks at the camera first"
    assert degrees(clip.relative())[24, 0] == pytest.approx(27.5, abs=0.1)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InvalidMotion, match="kind of file"):
        open_motion(tmp_path / "notes.txt")
    with pytest.raises(InvalidInput, match="no such file"):
        open_motion(tmp_path / "absent.csv")
