"""Takes belong to the project: undo, saving, other computers, Stop, scene copies, in real Blenders against the real backend."""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

import pytest

from blender_runs import FIRST, VERSIONS, in_blender, in_window
from mimaface.marking.report import inspect

pytestmark = pytest.mark.blender
# cases that go through Blender's own undo, scenes, strips and handlers; in the others the add-on talks to its backend and to the disk
OF_BLENDER = (
    "undo", "undo_rig", "undo_import", "deleted_strip", "undo_of_deleting", "switched_off", "save_as", "removed", "copied_scene", "channels",
    "scene_switched", "deleted_scene", "from_elsewhere",
)  # fmt: skip
ONE = [["one", "done", 3]]


@pytest.fixture(scope="module")
def play(tmp_path_factory, extension):
    """A function that gives what each case saw: one Blender a version plays its cases, the first all of them."""

    @functools.cache
    def of(version: str) -> dict:
        cases = "" if version == FIRST else " ".join(OF_BLENDER)
        result = in_blender(version, "takes.py", tmp_path_factory.mktemp("takes"), extension, MIMAFACE_CASES=cases)
        assert result["version"].startswith(version)
        return result["said"]

    return of


@pytest.fixture(params=VERSIONS)
def said(request, play) -> dict:
    return play(request.param)


@pytest.fixture
def said_once(play) -> dict:
    return play(FIRST)


def test_undo_and_redo_leave_takes_and_strips_alone(said):
    assert said["undo"]["later edit"] == [ONE, ["one"], 0.0], "the edit is undone, the take is not"
    assert said["undo"]["generate itself"] == [ONE, ["one"]]
    assert said["undo"]["redo"] == [ONE, ["one"]]
    assert said["undo"]["while it is made"] == [["one", "two"], ["one", "two"]]
    assert said["undo"]["made"] == [["two", "done", 80], True, ["one", "two"]], "frames went on arriving"


def test_redo_brings_rig_and_import_back(said):
    assert said["undo_rig"] == {"before": 2, "undo": 1, "redo": 2}
    found = said["undo_import"]
    assert found["before"] == found["undo"] == 0 < found["imported"] == found["redo"]


def test_a_deleted_strip_stays_deleted(said):
    found = said["deleted_strip"]
    assert found["undo of another edit"] == [ONE, []]
    assert found["redo"] == []
    assert found["reopened"] == [ONE, []]
    assert found["asked for"] == ["one"], "Add Strip makes it again"
    assert found["linked copy"] == [1, 0]
    assert found["uuids"] == 2, "the linked copy's take is one of its own"
    assert said["undo_of_deleting"] == {"strips": ["one"], "takes": ONE}, "undo of the deletion itself is the artist's"


def test_stop_interrupts_and_resume_completes(said_once):
    found = said_once["stop"]
    assert found["state"] == "interrupted"
    assert "resume" in found["message"]
    assert found["error"] == "", "Stop is no error"
    assert found["resumed"] == [[["long", "done", 80]], True]
    assert "Fitting" in found["busy"]
    assert found["busy after stop"] == ""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs the limits of a process and a small disk")
def test_a_take_goes_on_by_itself_when_there_is_room(said_once):
    found = said_once["paused"]
    assert found["handles"][0] == "rendering" and found["handles"][1].endswith("it continues by itself when there is room")
    assert found["gone on"] == [[["long", "done", 80]], "", True]
    if found["disk"] is None:
        pytest.skip("mounting is not allowed here")
    assert found["disk"][0] == "rendering"
    assert "cannot be written" in found["disk"][1] and found["disk"][1].endswith("it continues by itself when there is room")
    assert found["disk gone on"] == [[["full", "done", 80]], "", True]


def test_switching_the_add_on_off_and_on_leaves_no_dead_state(said):
    assert said["switched_off"]["state"] == "interrupted" and said["switched_off"]["drawing"] == [[2, 2], [0, 0]]
    assert said["switched_off"]["resumed"] == [[["long", "done", 80]], True]


def test_a_backend_that_knows_nothing_is_given_the_photo_again(said_once):
    found = said_once["elsewhere"]
    assert found["generated"] == ["there", "done", 3]
    assert found["resumed"] == ["long", "done", 80]
    assert found["more rigs"] == 0


def test_frames_in_blender_are_marked_and_tell_of_consent(said_once):
    found = said_once["marking"]
    assert found["at first"] == [True, "not-stated"] and found["kept"] == ["given", False]
    first, second = ({finding.what: finding.words for finding in inspect(Path(frame))} for frame in found["frames"])
    for told in (first, second):
        assert told["content credentials"].startswith("whole") and told["made as"] == told["XMP"] == "compositeWithTrainedAlgorithmicMedia"
    assert first["consent"].startswith("not stated") and second["consent"] == "the person in the photograph agreed"
    assert "--no-watermark" not in first["watermark"] and "--no-watermark" in second["watermark"]


def test_save_as_keeps_takes(said):
    found = said["save_as"]
    assert found["saved as"] == [ONE, True]
    assert found["saved a copy"] == [True, True]
    assert found["v2/shot.blend"] == [ONE, True, "//../mimaface/one"]
    assert found["copy.blend"] == [ONE, True, "//mimaface/one"]
    assert found["project moved"] == [ONE, True]


def test_a_deleted_scene_that_undo_brings_back_gets_its_frames(said):
    """Its take was "rendering" for ever: what arrived meanwhile was thrown away, and Resume refused."""
    assert said["deleted_scene"] == {"takes": [["long", "done", 80]], "whole": True}


def test_frames_that_are_deleted_while_others_arrive_are_made_again(said_once):
    assert said_once["deleted_frames"] == {"takes": [["long", "done", 80]], "whole": True}


def test_takes_of_a_scene_from_a_file_elsewhere_are_found(said):
    """Their strips and folders were set to the folder of the same name beside the open file."""
    for link in (False, True):
        for when in ("at once", "opened again"):
            scenes, agree, elsewhere = said["from_elsewhere"][f"{link} {when}"]
            assert scenes == [ONE, ONE] and agree and sorted(elsewhere) == [False, True], (link, when)


def test_frames_that_another_file_has_are_not_deleted(said_once):
    found = said_once["two_files"]
    assert "the frames of one are those of shot.blend, too" in found["refused"]
    assert "the copy has it" not in found, "refused as well"
    assert found["the other file"] == [ONE, True]
    assert found["then"] == [[], False], "no other file has them any more"


def test_a_sequencer_s_own_scene_has_the_takes_and_another_rate_is_said(said_once):
    """The take played at another speed there, without a word."""
    found = said_once["sequencer_scene"]
    assert "Edit has 30 frames a second, this one 24: set both alike" in found["notice"] and found["alike"] == ""
    both = [["one", "done", 3], ["two", "done", 3]]
    assert sorted(found["takes"]) == [["Edit", both, ["one", "two"]], ["Scene", [], []]]


def test_a_take_that_is_removed_at_once_is_not_made(said_once):
    """The backend made all of its frames, for nobody."""
    assert said_once["removed_at_once"] == {"state": "cancelled", "takes": []}


def test_a_long_name_has_a_folder(said_once):
    assert said_once["long_name"] == {"letters": 300, "bytes": 120, "whole": True}


def test_frames_of_an_unsaved_file_move_beside_it(said_once):
    found, both = said_once["unsaved"], [[["one", "done", 3], ["two", "done", 60]], [True, True]]
    assert found["in the user's store"]
    assert found["kept by an uninstall"]
    assert found["saved"] == both, "the second was being made while the file was saved"
    assert found["beside"] == ["one", "two"]
    assert found["left behind"] == 0
    assert found["undo"] == both
    assert found["reopened"] == both


def test_takes_are_found_again(said_once):
    found, both = said_once["found_again"], [["lost", "done", 3], ["half", "done", 80]]
    assert [item[0] for item in found["crashed"][0]] == ["lost", "half"]
    assert found["crashed"][1] == ["lost", "half"], "strips, too"
    assert found["resumed"] == [both, [True, True]]
    assert found["another file"] == [], "takes of another file come only when they are asked for"
    assert found["find takes"] == [both, ["lost", "half"]]
    assert found["again"] == 2


def test_takes_are_renamed_hidden_and_removed(said):
    found, best = said["removed"], [["Best", "done", 3]]
    assert found["on top"] == [1, 2]
    assert found["renamed"] == ["Best", "Best", 1]
    assert found["hidden"] == [False, True]
    assert found["kept frames"] == [best, ["Best"], 3]
    assert [len(part) for part in found["undo"]] == [1, 1], "undo brings no take and no strip back"
    assert found["undo"][0] == best
    assert found["reopened"] == best, "nor does opening the file"
    assert found["deleted"] == [[], [], ["artist.txt"]], "what the artist put there stays"
    assert found["found"] == ONE, "Find Takes lists what was removed without its frames"


def test_copied_scenes_have_takes_of_their_own(said):
    assert said["copied_scene"] == {"own": True, "strips agree": True, "count": [1, 1]}


def test_a_take_of_a_file_just_opened_waits_for_its_backend(said_once):
    assert said_once["just_opened"]["first"] in ("waiting", "rendering"), "not interrupted, however quick the backend is"
    assert said_once["just_opened"]["then"] == [["new", "done", 3]]


def test_a_new_take_lies_on_top(said):
    assert said["channels"] == {"first": "one", "title": 20, "later": 30, "new": 21}


def test_the_rig_goes_into_the_scene_that_asked(said):
    found = said["scene_switched"]
    assert found["switched"], "the artist sees the scene of his choice"
    assert found["in the first"]
    assert found["more"] == 5
    assert found["in the other"] == 0


def test_a_folder_that_cannot_be_made_is_said_with_its_next_step(said_once):
    assert "is a file: rename it, or save the .blend in another folder" in said_once["no_folder"]["said"]
    assert said_once["no_folder"]["takes"] == []


def test_undo_and_redo_in_a_real_window(tmp_path):
    in_window("window_undo.py", tmp_path, "800x600")
    said = json.loads((tmp_path / "said.json").read_text())
    expected = {"takes": [["one", "done"]], "strips": ["one"], "rigs": 1, "parts": 4, "curves": 0}
    assert said["rig undone"] == {"takes": [], "strips": [], "rigs": 0, "parts": 0, "curves": 0}
    assert said["rig redone"] == {"takes": [], "strips": [], "rigs": 1, "parts": 4, "curves": 0}, "redo brings the rig back"
    assert said["moved"] != [0, 0, 0], "keys arrive"
    for name in ("later edit undone", "generate undone", "keys undone", "redone"):
        assert said[name] == expected, name
    expected["strips"] = []
    assert said["strip deleted"] == expected, "undo of a later edit leaves it deleted"
    assert said["imported"]["curves"] == said["import redone"]["curves"] == 62
    assert said["import undone"] == expected, "the adjusted import is one step"
    assert said["last operator"] == "MIMAFACE_OT_import_motion", "it is in the redo panel"
    assert said["half"] == pytest.approx(said["full"] / 2, rel=0.02), "the last adjustment counts; half a turn is not quite half its yaw"
    assert said["adjusted"]["curves"] == 62
    assert said["undone for good"] == expected
    assert (said["deleted"]["rigs"], said["deleted"]["parts"]) == (0, 0), "X takes head, eyes and photo along"
    assert said["delete undone"] == expected
    for name in ("duplicated", "duplicate redone"):
        assert (said[name]["rigs"], said[name]["parts"]) == (2, 8), f"{name}: the copy has its own"
    assert said["duplicate undone"] == expected


def test_reference_photos_are_the_portraits_and_are_sent_again(said_once):
    found = said_once["reference_photos"]
    assert found["longer"] and found["notice"].startswith("1 reference photos are used")
    assert found["take"] == [["known", "done", 3]]
    assert found["cleared"]
    assert found["moved"] > 1e-4 and found["back"] < 1e-6, "the rig is this person's head as all photographs show it, and then the portrait's own"
    assert "absent.png is not a file: choose photos or a video of the person" in found["absent"]


def test_the_panel_says_what_runs_the_networks_and_takes_have_a_quality(said_once):
    found = said_once["networks_and_quality"]
    assert set(found["known"]) == {"demo", "proxy", "released"}
    words, icons, properties = found["demo"]
    assert words.replace(" ", "") == "DenoisebyCUDACoreMLfailedandisusednomore(nodevice)ConsentOnly" and icons == ["INFO", "ERROR"]
    assert properties[:4] == ["engine", "quality", "framing", "size"]
    words, icons, properties = found["proxy"]
    assert (words, icons) == ("Consent Only", []) and properties[:3] == ["engine", "framing", "size"], "it has no model to sample"
    assert (found["asked"], found["done"]) == ("draft", "done")
