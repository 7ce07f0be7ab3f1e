"""Live in a real window: a handle is dragged with the mouse, and the photograph follows; see ``scripts/window_live.py``."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from blender_runs import ROOT, in_blender, in_window
from conftest import COLLINS, HOPPER
from drivers.test_streams import jaw_packets

pytestmark = pytest.mark.blender
ARTEFACTS = ROOT / "artefacts"
MOUTH = np.s_[250:360, 400:520]  # of the window, in pixels
NAMES = (
    "before", "during", "after", "undone", "preview", "preview_strip", "preview_moved", "preview_wiped", "heard", "wiped", "image",
    "unscrubbed", "scrubbing", "scrubbed", "playing",
)  # fmt: skip


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> dict:
    """What the script noted, and the screenshots by name."""
    work = tmp_path_factory.mktemp("live")
    port = jaw_packets(work)
    (work / "port").write_text(str(port))
    in_window("window_live.py", work, "1200x900")
    ARTEFACTS.mkdir(exist_ok=True)
    for path in work.glob("live_*.png"):
        shutil.copy(path, ARTEFACTS / path.name)
    pictures = {name: np.asarray(Image.open(work / f"live_{name}.png").convert("RGB")).astype(int) for name in NAMES}
    return json.loads((work / "said.json").read_text()) | {"pictures": pictures}


def difference(seen: dict, first: str, second: str) -> float:
    """Mean of 0 to 255 about the mouth."""
    return float(np.abs(seen["pictures"][first][MOUTH] - seen["pictures"][second][MOUTH]).mean())


def test_a_dragged_handle_moves_the_photograph(seen):
    assert seen["mode"] == "POSE", "the first handle can be dragged at once"
    assert seen["badge"] == seen["offered"] and "Projected" in seen["badge"], "which one made the picture"
    assert seen["jaw while dragging"] == seen["jaw"] > 0.5 and seen["jaw undone"] == pytest.approx(0, abs=1e-5), "one drag is one undo step"
    assert difference(seen, "before", "during") > 8, "the mouth is open while the button is down"
    assert difference(seen, "during", "after") < 1
    assert difference(seen, "before", "undone") < 3, "but for the handle, which is selected now"
    assert seen["pictures while dragging"] >= 2 and seen["pictures while playing"] >= 2


def test_a_local_view_of_other_things_shows_no_picture(seen):
    assert seen["local"] == [True, True, False], "everything, the rig alone, another object alone"


def test_scrubbing_and_playback_show_the_animated_photograph(seen):
    assert seen["scrubbing"] == ["ANIM_OT_change_frame"] or not seen["scrubbing"], "the mouse drags the frame"
    assert difference(seen, "unscrubbed", "scrubbing") > 8 and difference(seen, "unscrubbed", "playing") > 8, "the jaw is open by keys"
    assert difference(seen, "unscrubbed", "scrubbed") < 1, "and shut at the first frame again"


def test_the_photograph_has_its_own_colours(seen):
    photo = np.asarray(Image.open(COLLINS).convert("RGB")).astype(float)
    shown = seen["pictures"]["before"]
    left, top, side = 196, 134, 599  # where the window shows it
    for x, y in ((0.2, 0.8), (0.7, 0.1), (0.9, 0.2)):  # suit and background, away from handles
        there = shown[round(top + y * side) - 2 :, round(left + x * side) - 2 :][:5, :5].mean((0, 1))
        here = photo[round(y * 511) - 2 :, round(x * 511) - 2 :][:5, :5].mean((0, 1))
        assert there == pytest.approx(here, abs=12), (x, y)


def test_the_photograph_follows_a_stream_that_leaves_nothing_behind(seen):
    assert seen["heard"] == [pytest.approx(0.58, abs=1e-3), "tracking"]
    assert difference(seen, "undone", "heard") > 8, "the mouth is open"
    assert seen["stopped"] == [0, 0], "nor in a step of undo that was made meanwhile"
    assert (seen["timers on"], seen["counts off"]["listens"], seen["counts off"]["mocap"]) == (True, False, 0)


def test_the_photograph_as_it_was_is_beside_the_picture(seen):
    before, heard, wiped = (seen["pictures"][name][MOUTH] for name in ("undone", "heard", "wiped"))
    middle = heard.shape[1] // 2 + 35  # the mouth is a little to the left of the photograph's middle
    assert np.abs(wiped[:, middle + 8 :] - heard[:, middle + 8 :]).mean() < 2, "the picture on the right"
    left = np.s_[:, : middle - 8]
    assert 3 * np.abs(wiped[left] - before[left]).mean() < np.abs(heard[left] - before[left]).mean(), "but for the handles, which ride on"


def test_the_image_editor_shows_the_picture_over_the_photograph(seen):
    shown, photo = seen["pictures"]["image"], Image.open(COLLINS).convert("RGB")
    left, high, right, low = seen["image"]
    there = shown[round(len(shown) - high) : round(len(shown) - low), round(left) : round(right)]
    away = np.abs(there - np.asarray(photo.resize(there.shape[1::-1])).astype(int)).mean(2)
    tenth = len(away) / 10
    mouth = away[round(2 * tenth) : round(3.6 * tenth), round(3.5 * tenth) : round(5.3 * tenth)]
    suit = away[round(7 * tenth) :, : round(2 * tenth)]
    assert suit.mean() < 8, "where nothing moves it is the photograph"
    assert mouth.mean() > suit.mean() + 8, "the mouth is open"


def test_the_sequencers_preview_shows_the_pose_where_no_strip_does_and_while_it_is_moved(seen):
    left, high, right, low = seen["preview"]
    middle, half = (left + right) / 2, (high - low) / 2  # the photograph is a square in a frame that is twice as wide
    photo, found = Image.open(COLLINS).convert("RGB"), {}
    for name in ("preview", "preview_strip", "preview_moved", "preview_wiped"):
        shown = seen["pictures"][name]
        there = shown[round(len(shown) - high) : round(len(shown) - low), round(middle - half) : round(middle + half)]
        away = np.abs(there - np.asarray(photo.resize(there.shape[1::-1])).astype(int)).mean(2)
        size = len(away) / 100
        mouth = away[round(25 * size) : round(33 * size), round(37 * size) : round(48 * size)]
        assert away[round(70 * size) : round(95 * size), round(10 * size) : round(20 * size)].mean() < 10, "the suit is where it belongs"
        found[name] = mouth.mean()
    assert min(found["preview"], found["preview_moved"]) > 25, "the jaw is open: by keys where no strip is, by hand over a strip"
    assert max(found["preview_strip"], found["preview_wiped"]) < 15, "a strip is shown when its frame is gone to, and left of the wipe"


def test_another_file_in_the_middle_of_a_preview_shows_its_own_pose(seen):
    assert seen["awaited"] is True and seen["opened"] == [True, True], "and the steps after it found a picture again"
    assert seen["mistakes"] == []


def test_nothing_of_it_stays_when_the_add_on_is_switched_off_amid_a_preview(seen):
    off = seen["counts off"]
    assert (off["handlers"], off["timers"], off["drawing"], off["texture"]) == (0, False, 0, False) and seen["drawing"] == 4
    assert seen["started by itself"] == "stopped", "a file with a portrait starts no backend, its first movement does"
    assert seen["on again"]["handlers"] == seen["counts on"]["handlers"] > 0


def test_portraits_that_go_in_the_middle_of_a_preview_or_a_stream_leave_nothing_behind(tmp_path, monkeypatch):
    """See ``scripts/window_parting.py``."""
    (tmp_path / "port").write_text(str(jaw_packets(tmp_path)))
    monkeypatch.setenv("MIMAFACE_OTHER", str(HOPPER))
    in_window("window_parting.py", tmp_path, "800x600")
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["mistakes"] == [] and said["awaited"] == [True] * 3, "it was in the middle each time"
    assert said["shown"] == {"second": True, "first": True, "other": True}, "the selected portrait's picture"
    assert said["nobody"] == [0, True, True, False]
    assert said["rigs"][:4] == [1, 2, 1, 2], "each is deleted by a step, and comes back"
    assert said["rigs"][4:] == [2, 1, 0, 1, 2, 1, 2, 2, 1, 0, 1, 2, 2], "and made by one; redo brings it back"
    assert said["amid"] == [2, 1, 2, 1], "deleted by keys amid the stream, undone, redone, undone: driven on each time"
    assert said["renamed"] == pytest.approx(0, abs=1e-5), "a stream is taken off a rig that was renamed meanwhile"
    assert said["without a rig"] == [0, True, None], "and listens on"
    assert said["empty"] == said["one"] | {"listens": False, "picture": True}, "no thread and no handler more than at first"
    assert said["off"] == {"threads": 0, "handlers": 0}


def test_a_picture_is_drawn_in_its_own_colours_by_the_newest_blender(tmp_path, extension):
    """Its wheel has no window, but a GPU since 5.2: what Live draws with is the same."""
    if shutil.which("xvfb-run") is None:
        pytest.skip("needs the program xvfb-run (Debian package xvfb)")
    on = ("xvfb-run", "-a", "-s", "-screen 0 640x480x24")
    found = in_blender("5.2", "offscreen.py", tmp_path, extension, on=on, LIBGL_ALWAYS_SOFTWARE="1")
    above, left, black = (200, 100, 50), (20, 128, 235), (0, 0, 0)
    np.testing.assert_allclose(found["shown"], [above, above, left, black], atol=2)
    np.testing.assert_allclose(found["wiped"], [black, above, black, black], atol=2, err_msg="left of the wipe nothing is drawn")
    assert found["edge"] == 255
