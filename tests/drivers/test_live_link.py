import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import CASES, nod
from mimaface.drivers import ReadingSettings, open_motion
from mimaface.drivers.columns import POSES
from mimaface.drivers.live_link import COLUMNS, read_live_link_csv, write_live_link_csv
from mimaface.face.head import ASSETS
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix

JAW = BLENDSHAPE_INDEX["jawOpen"]
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
        assert clip.blendshapes[0, BLENDSHAPE_INDEX["jawOpen"]] == np.float32(0.7)
        assert clip.blendshapes[0, BLENDSHAPE_INDEX["eyeBlinkLeft"]] == np.float32(0.4)


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
        (take([{}, {}], [*HEADER, "JawOpen"]), "JawOpen is there twice"),
        (take([{"Timecode": "00:00:00:00.0"}] * 9), "line 3: the timecode stands still"),
        (take([{}, {"Timecode": "00:00:nan:00.0"}]), "line 3: column Timecode"),
        (take([{}], HEADER[:24]), "line 1: column MouthRight and 29 more is missing"),
        (take([{"BlendShapeCount": "0"}] * 3), "no row of the take has a face"),
        (b"x" * (2 << 20), "a line of more than"),
        (b"a," * (1 << 18), "more than 10000 cells"),
        (bytes(5000), "not a text file"),
        (b"", "empty"),
        (b"\xff\xfe\x00", "not a text file"),
        (take([]), "no frames"),
        (take([{}], [name for name in HEADER if name != "JawOpen"]), "line 1: column JawOpen is missing"),
        (take([{}, {"MouthFunnel": "abc"}]), "line 3: column MouthFunnel: 'abc'"),
        (take([{}, {"JawOpen": "inf"}]), "line 3: column JawOpen"),
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
    np.testing.assert_allclose(back.blendshapes, clip.blendshapes, atol=1e-6)
    np.testing.assert_allclose(angles(back), angles(clip), atol=1e-6)
    if np.abs(clip.gaze).max() > 0:
        np.testing.assert_allclose(back.gaze, clip.gaze, atol=1e-6)


def test_the_shipped_take_is_whole():
    clip = open_motion(ASSETS / "take.csv")
    assert len(clip) == 240
    assert clip.meta["warnings"] == []
    assert clip.blendshapes[:, BLENDSHAPE_NAMES.index("jawOpen")].max() > 0.3


def moving(header=HEADER, rows=90):
    """Three seconds at 30 a second: the jaw opens to 0.5, the head turns by 0.4 radians."""
    return take(
        [
            {"Timecode": f"00:00:{i // 30:02d}:{i % 30 * 2:02d}.000", "JawOpen": 0.5 * i / (rows - 1), "HeadYaw": 0.4 * np.sin(i / 9)}
            for i in range(rows)
        ],
        header,
    )


def check_moving(clip, yaw=True):
    np.testing.assert_allclose(clip.blendshapes[:, JAW], np.linspace(0, 0.5, 90), atol=1e-5)
    np.testing.assert_allclose(clip.time, np.arange(90) / 30, atol=1e-9)
    if yaw:
        np.testing.assert_allclose(angles(clip)[:, 0], 0.4 * np.sin(np.arange(90) / 9), atol=1e-5)


def snake(name):
    return re.sub("(?<!^)([A-Z])", r"_\1", name).lower()


@pytest.mark.parametrize(
    "spelled",
    [
        lambda name: name[0].lower() + name[1:],
        snake,
        str.upper,
        lambda name: f"blendShape1.{name[0].lower() + name[1:]}",
        lambda name: f"Face_{name}",
        lambda name: f"blendShapes[{name}]",
        lambda name: f'"{name}"',
        lambda name: name if name in HEADER[:2] else re.sub("(Left|Right)$", lambda side: "_" + side[0][0], name),
        lambda name: f"{name} (deg)" if name in POSES else name,
        lambda name: name if name in (HEADER[1], *POSES) else f"ARBlendShapeLocation{name}",
        lambda name: name.removeprefix("Head").lower(),
    ],
)
def test_headers_of_other_writers_are_read(spelled):
    lines = moving().split(b"\n")
    header = ",".join("Timecode" if name == "Timecode" else spelled(name) for name in HEADER)
    clip = read_live_link_csv(b"\n".join([header.encode(), *lines[1:]]), "a.csv")
    check_moving(clip)
    assert clip.meta["warnings"] == []


@pytest.mark.parametrize("name", ["camel_case_header", "no_eye_roll_columns", "semicolons", "semicolons_decimal_commas", "header_repeated"])
def test_the_files_of_other_writers_are_read(name):
    clip = open_motion(CASES / f"{name}.csv")
    assert len(clip) == 24
    np.testing.assert_allclose(clip.time, np.arange(24) / 30, atol=1e-9)
    assert clip.blendshapes[-1, JAW] == pytest.approx(0.38333, abs=1e-4)
    assert degrees(clip)[:, 0].max() == pytest.approx(22.9, abs=0.1)


def test_columns_that_nothing_needs_may_be_missing():
    clip = open_motion(CASES / "no_head_columns.csv")
    assert len(clip) == 24
    assert not clip.valid[:, 1].any()
    assert "the head stays still" in clip.meta["warnings"][0]
    gone = {"CheekPuff", "NoseSneerLeft", "NoseSneerRight", "MouthDimpleLeft", "LeftEyeYaw", "BlendShapeCount"}
    clip = read_live_link_csv(moving([name for name in HEADER if name not in gone]), "a.csv")
    check_moving(clip)
    said = " ".join(clip.meta["warnings"])
    assert "so 0 is used" in said and "CheekPuff" in said and "EyeLook" in said
    clip = read_live_link_csv(moving(HEADER[1:]), "a.csv")
    np.testing.assert_allclose(clip.time, np.arange(90) / 60, atol=1e-9)
    assert "no time column" in clip.meta["warnings"][0]


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", "|"),
        lambda text: text.replace(",", ";").replace("0.", "0,"),
        lambda text: "sep=;\n" + text.replace(",", ";").replace("0.", "0,"),
        lambda text: "# exported by a tool\n\n" + text,
        lambda text: text.replace("\n", "\n# a remark\n"),
        lambda text: text.replace("\n", "\nhh:mm:ss:ff" + ",weight" * 58 + "\n", 1),
        lambda text: text.replace(",", " "),
        lambda text: "# " + text.replace(",", "   "),
        lambda text: text.replace("-", "\N{MINUS SIGN}"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.split("\n") if line),
        lambda text: "\n".join(",".join(f'"{cell.replace(".", ",")}"' for cell in line.split(",")) for line in text.split("\n") if line),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_what_spreadsheets_write_is_read(written, encoding, tmp_path):
    path = tmp_path / "take.csv"
    path.write_bytes(written(moving().decode()).encode(encoding))
    check_moving(open_motion(path))


@pytest.mark.parametrize("sign", ["%", " %", "°"])
def test_signs_behind_numbers_are_heeded(sign):
    """Percent that stay below 2 and degrees below 100 could not be told from shares and radians by their size."""
    column, value = ("HeadYaw", "-1.5") if sign == "°" else ("JawOpen", "1.5")
    clip = read_live_link_csv(take([{column: value + sign}] * 60), "a.csv")
    found = degrees(clip)[:, 0] if sign == "°" else clip.blendshapes[:, JAW] * 100
    np.testing.assert_allclose(found, float(value) if sign == "°" else 1.5, atol=1e-4)


@pytest.mark.parametrize("header", ["t", "Elapsed", "deviceTime (ms)", "capture_timestamp", "frame time [ms]"])
def test_the_time_column_may_have_another_name(header):
    """Such a take was read as 60 rows a second."""
    factor = 1000 if "ms" in header else 1
    clip = read_live_link_csv(take([{header: index * factor / 20} for index in range(9)], [header, *HEADER[2:]]), "a.csv")
    np.testing.assert_allclose(clip.time, np.arange(9) / 20, atol=1e-6)


def test_rows_without_times_have_the_rate_that_is_given():
    clip = read_live_link_csv(take([{}] * 9, HEADER[1:]), "a.csv", ReadingSettings(timecode_rate=30))
    np.testing.assert_allclose(clip.time, np.arange(9) / 30, atol=1e-9)


@pytest.mark.parametrize("order", [lambda rows: rows[::-1], lambda rows: rows[1::2] + rows[::2][::-1]])
def test_rows_in_another_order_are_sorted_by_their_times(order):
    rows = [{"Timecode": f"{index / 50:.2f}", "JawOpen": index / 100} for index in range(40)]
    clip = read_live_link_csv(take(order(rows)), "a.csv")
    np.testing.assert_allclose(clip.blendshapes[:, JAW], np.arange(40) / 100, atol=1e-6)
    np.testing.assert_allclose(clip.time, np.arange(40) / 50, atol=1e-6)
    assert any("sorted" in text for text in clip.meta["warnings"])


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("0.", "0,"),  # decimal commas where commas separate: the jaw was 8e+05
        lambda text: "\n".join(f"{index},{line}" if index else line for index, line in enumerate(text.split("\n")) if line),
    ],
)
def test_rows_with_more_cells_than_names_are_refused(written):
    """Every value was read from the column of another one."""
    with pytest.raises(InvalidMotion, match=r"more cells than the header has names.*write numbers with a point"):
        read_live_link_csv(written(moving().decode()).encode(), "a.csv")


def test_latin_letters_in_a_header_are_read():
    content = moving([*HEADER, "M\u00e4nner"]).decode().encode("latin-1")
    clip = read_live_link_csv(content, "a.csv")
    check_moving(clip)
    assert "Männer" in clip.meta["warnings"][0]


def test_takes_are_known_by_content_not_by_name(tmp_path):
    path = tmp_path / "take.txt"
    path.write_bytes(moving())
    check_moving(open_motion(path))
    (tmp_path / "clip.npz.bak").write_bytes(nod(3).to_bytes())
    assert len(open_motion(tmp_path / "clip.npz.bak")) == 3


@pytest.mark.parametrize(("name", "yaw", "word"), [("degrees", 20.0, "degrees"), ("percent", 11.46, "percent")])
def test_degrees_and_percent_are_seen_and_said(name, yaw, word):
    clip = open_motion(CASES / f"{name}.csv")
    assert degrees(clip)[:, 0].max() == pytest.approx(yaw, abs=0.01)
    assert clip.blendshapes[:, JAW].max() == pytest.approx({"degrees": 0.2, "percent": 1.0}[name], abs=1e-4)
    assert word in clip.meta["warnings"][0]
    assert "use --" in clip.meta["warnings"][0]


def test_degrees_of_the_eyes_and_of_a_head_that_hardly_moves_are_seen():
    rows = [
        {"Timecode": f"00:00:{i // 30:02d}:{i % 30 * 2:02d}", "HeadYaw": 1.5 * np.sin(i / 5), "LeftEyeYaw": 20 * np.sin(i / 9)} for i in range(60)
    ]
    clip = read_live_link_csv(take(rows), "a.csv")
    assert degrees(clip)[:, 0].max() == pytest.approx(1.5, abs=0.01)
    assert np.degrees(clip.gaze[:, 0, 0]).min() == pytest.approx(-20, abs=0.1)
    assert len(clip.meta["warnings"]) == 2


def test_how_numbers_are_meant_can_be_said():
    still = read_live_link_csv(moving(), "a.csv", ReadingSettings(angles="degrees", values="percent"))
    assert degrees(still)[:, 0].max() == pytest.approx(0.4, abs=0.01)
    assert still.blendshapes[:, JAW].max() == pytest.approx(0.005, abs=1e-5)
    assert still.meta["warnings"] == []
    content = (CASES / "percent.csv").read_bytes()
    assert read_live_link_csv(content, "a.csv", ReadingSettings(values="shares")).blendshapes[:, JAW].max() == 100
    fast = read_live_link_csv((CASES / "degrees.csv").read_bytes(), "a.csv", ReadingSettings(angles="radians"))
    assert degrees(fast)[3, 0] == pytest.approx(np.degrees((6.1803 + np.pi) % (2 * np.pi) - np.pi), abs=0.1)
    with pytest.raises(InvalidInput, match="gons"):
        ReadingSettings.from_wire({"angles": "gons"})


def test_a_raised_take_is_not_percent():
    content = moving().replace(b",0.5,", b",1.4,")
    assert "percent" not in " ".join(read_live_link_csv(content, "a.csv").meta["warnings"])


def test_rows_without_a_face_are_bridged_and_said():
    clip = open_motion(CASES / "face_lost_rows.csv")
    assert len(clip) == 48
    np.testing.assert_allclose(clip.time, np.arange(48) / 30, atol=1e-9)
    assert not clip.valid[19:27].any()
    assert clip.valid[:19].all() and clip.valid[27:].all()
    np.testing.assert_allclose(clip.blendshapes[:, JAW], np.arange(48) / 60, atol=1e-6)
    assert np.abs(np.diff(degrees(clip)[:, 0])).max() < 5.0
    assert "no face in 8 of 48 frames" in clip.meta["warnings"][0]
    assert len(clip.meta["warnings"]) == 1


@pytest.mark.parametrize(
    "lost",
    [
        lambda cells: [cells[0], "0"],
        lambda cells: [cells[0]],
        lambda cells: [cells[0], "0", *["0.0"] * (len(cells) - 2)],
        lambda cells: [cells[0], "52", *["nan"] * (len(cells) - 2)],
        lambda cells: [cells[0], "52", *["null"] * (len(cells) - 2)],
        lambda cells: [cells[0], "52", *["-nan(ind)", "1.#QNAN", "#N/A"] * 20, "#DIV/0!"],
        lambda cells: [*cells[:6], "", *cells[7:]],
        lambda cells: [*cells[:6], "nan", *cells[7:]],
        lambda cells: cells[:20],
    ],
)
def test_rows_may_lack_a_face_in_any_way(lost):
    lines = [line.split(",") for line in moving().decode().strip().split("\n")]
    lines[31:36] = [lost(cells) for cells in lines[31:36]]
    clip = read_live_link_csv("\n".join(",".join(cells) for cells in lines).encode(), "a.csv")
    check_moving(clip, yaw=False)
    assert not clip.valid[30:35, 0].any()
    assert clip.valid[:, 0].sum() == 85
    assert any("no face in 5 of 90" in text for text in clip.meta["warnings"])


def test_a_head_that_was_lost_alone_is_bridged_alone():
    lines = [line.split(",") for line in moving().decode().strip().split("\n")]
    for cells in lines[31:36]:
        cells[HEADER.index("HeadYaw")] = ""
    clip = read_live_link_csv("\n".join(",".join(cells) for cells in lines).encode(), "a.csv")
    check_moving(clip, yaw=False)
    assert clip.valid[:, 0].all() and clip.valid[:, 1].sum() == 85
    np.testing.assert_allclose(angles(clip)[:, 0], 0.4 * np.sin(np.arange(90) / 9), atol=0.05)


def test_two_takes_in_one_file_follow_each_other():
    clip = read_live_link_csv(moving() + moving(HEADER[:2] + HEADER[2:][::-1]), "a.csv")
    np.testing.assert_allclose(np.diff(clip.time), 1 / 30, atol=1e-9)
    np.testing.assert_allclose(clip.blendshapes[90:, JAW], np.linspace(0, 0.5, 90), atol=1e-5)
    assert any("2 takes" in text for text in clip.meta["warnings"])


def hour(index):
    return f"{(3599 * 60 + index) // 3600 % 60:02d}:{(3599 * 60 + index) // 60 % 60:02d}:{index % 60:02d}"


@pytest.mark.parametrize(
    "clock",
    [
        hour,  # MM:SS:FF over an hour
        lambda index: f"{(46799 * 60 + index) // 216000 % 12 or 12:02d}:{(46799 * 60 + index) // 3600 % 60:02d}:"
        f"{(46799 * 60 + index) // 60 % 60:02d}:{index % 60:02d}",  # twelve hours without am and pm
        lambda index: f"{(86399 + index / 60) % 86400:.5f}",  # seconds of a day
        lambda index: str(int(2**32 - 1000 + index * 1000 / 60) % 2**32),  # milliseconds of 32 bits
        lambda index: f"{index % 60 / 60:.5f}",  # set back twice
        lambda index: f"{100 + index / 60 - (index >= 75):.5f}",  # by a second
    ],
)
def test_a_clock_that_is_set_back_goes_on(clock):
    """What came after it was left out, up to half of a take, or the whole take was refused."""
    clip = read_live_link_csv(take([{"Timecode": clock(index), "JawOpen": index / 200} for index in range(150)]), "a.csv")
    np.testing.assert_allclose(clip.time, np.arange(150) / 60, atol=2e-3)
    np.testing.assert_allclose(clip.blendshapes[:, JAW], np.arange(150) / 200, atol=1e-6)
    assert any("the clock is set back at line" in words for words in clip.meta["warnings"])


@pytest.mark.parametrize("nothing", ["", "nan", "null"])
def test_a_column_without_any_value_is_as_good_as_none(nothing):
    """Such a take had no face at all."""
    clip = read_live_link_csv(take([{"TongueOut": nothing, "CheekPuff": nothing, "JawOpen": 0.4, "HeadYaw": 0.1 * i} for i in range(5)]), "a.csv")
    assert clip.valid[:, 0].all() and "no values, so 0 is used: column CheekPuff, TongueOut" in clip.meta["warnings"]
    np.testing.assert_allclose(clip.blendshapes[:, JAW], 0.4)
    assert clip.blendshapes[:, BLENDSHAPE_INDEX["tongueOut"]].max() == 0


def test_a_header_or_a_row_without_a_time_after_the_last_row_takes_no_row():
    wider = ",".join([*HEADER, "Note"])
    for end in (wider, wider + "\n", "," * len(HEADER) + "x"):
        assert len(read_live_link_csv(take([{}] * 5) + end.encode(), "a.csv")) == 5
    with pytest.raises(InvalidMotion, match="no frames"):
        read_live_link_csv(take([]) + wider.encode(), "a.csv")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.51, 0.9])
def test_a_take_that_was_cut_off_is_read_and_said(share):
    content = moving()
    clip = read_live_link_csv(content[: int(len(content) * share)], "a.csv")
    assert len(clip) == pytest.approx(90 * share, abs=3)
    assert any("may have been cut off" in text for text in clip.meta["warnings"])


def test_missing_frames_are_said_with_their_place(tmp_path):
    lines = moving().split(b"\n")
    (tmp_path / "take.csv").write_bytes(b"\n".join(lines[:41] + lines[61:]))
    clip = open_motion(tmp_path / "take.csv")
    assert "missing in 1 place, the longest from 1.30 s to 2.00 s" in clip.meta["warnings"][0]


@pytest.mark.parametrize("extra", [[f"Curve_{i:05d}_{'z' * 60}" for i in range(3000)], ["a" * 100_000, "\udcff"], ["a\tb"]])
def test_what_is_said_of_odd_headers_is_short_and_can_be_sent(extra):
    lines = moving(rows=4).decode().strip().split("\n")
    text = "\n".join([",".join([lines[0], *extra]), *(line + ",0" * len(extra) for line in lines[1:])])
    clip = read_live_link_csv(text.encode("utf-8", "replace"), "\udcff" * 200)
    assert len(clip) == 4
    assert sum(len(said.encode()) for said in clip.meta["warnings"]) < 1500
    assert clip.meta["source"].encode()


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


def test_paths_that_cannot_be_are_a_short_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path, words in (
        (Path("/" + "a/" * 30_000 + ".csv"), "cannot read"),
        (Path("/tmp/a\0b.csv"), "cannot read"),
        (Path("/dev/zero"), "not a file"),
        (tmp_path / "pipe.csv", "not a file"),
        (tmp_path, "holds no pictures"),
    ):
        with pytest.raises(InvalidInput, match=words) as caught:
            open_motion(path)
        assert len(str(caught.value)) < 500
