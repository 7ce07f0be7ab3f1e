"""Live Capture in real Blenders: a sender on loopback, the real backend, the rig that follows and the takes that are keyed."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from blender_runs import VERSIONS, in_blender
from drivers.test_streams import jaw_packets
from mimaface.drivers.streams import KINDS, MICROPHONE, WEBCAM
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface_addon.core.capture import LEVELS, SOURCES, Source
from mimaface_addon.protocol.errors import InvalidInput


def test_the_panel_offers_what_the_backend_listens_to():
    devices = dict.fromkeys((WEBCAM, MICROPHONE), -1)
    assert {source.kind: source.port for source in SOURCES} == {kind: decoder().port for kind, decoder in KINDS.items()} | devices
    assert all(name in BLENDSHAPE_INDEX for _, names in LEVELS for name in names)


def test_the_address_is_as_the_command_line_has_it():
    source = Source("vts", "VTube Studio", 21412, "must", "")
    assert source.address(" 192.168.0.20 ", 0) == "vts://192.168.0.20" and source.address("phone", 77) == "vts://phone:77"
    with pytest.raises(InvalidInput, match="address of the smartphone is missing"):
        source.address(" ", 0)
    assert SOURCES[0].address("", 0) == "livelink://"
    assert source.address("fe80::1%en0", 77) == "vts://[fe80::1%en0]:77" and source.address("[::1]", 0) == "vts://[::1]"
    webcam = next(item for item in SOURCES if item.kind == WEBCAM)
    found = [webcam.address(*place) for place in (("", 0), ("", 2), (" Integrated Camera ", 0))]
    assert found == ["webcam:0", "webcam:2", "webcam:Integrated Camera"]
    microphone = next(item for item in SOURCES if item.kind == MICROPHONE)
    assert [microphone.address("", 3), microphone.address(" hw:1 ", 0)] == ["microphone:", "microphone:hw:1"]


@pytest.fixture(scope="module")
def play(tmp_path_factory, extension):
    @functools.cache
    def of(version: str) -> dict:
        work = tmp_path_factory.mktemp("capture")
        return in_blender(version, "capturing.py", work, extension, MIMAFACE_PORT=str(jaw_packets(work)))

    return of


@pytest.fixture(params=VERSIONS)
def said(request, play) -> dict:
    return play(request.param)


@pytest.mark.blender
def test_the_rig_follows_without_keys_and_is_as_it_was_afterwards(said):
    found = said["following"]
    assert found["listens"] == ["Live Link Face", True]
    assert (found["light before"], found["light"], found["keys"]) == ("waiting", "tracking", False)
    assert found["jaw"] == pytest.approx(0.4, abs=1e-3) == found["levels"]["Jaw"]
    assert found["released"] == pytest.approx(0.05, abs=1e-5) == found["saved"], "put back, and what a file holds"
    assert found["again"] == pytest.approx(0.2, abs=1e-3) and found["from neutral"] == pytest.approx(0.1, abs=1e-3)
    assert "choose Live Link (ARKit)" in found["note"]


@pytest.mark.blender
def test_a_take_is_keyed_from_the_current_frame_on(said):
    found = said["taking"]
    frames, values = np.array(found["keys"]).T
    assert frames.tolist() == list(range(5, 20)), "29 steps of a 60th of a second, at 30 frames a second"
    np.testing.assert_allclose(values, 0.04 * np.arange(15), atol=1e-3)
    assert "frames 5 to 19" in found["notice"] and said["frame_end"] == 19
    assert found["over curves"] == pytest.approx(0.58, abs=1e-3) == found["over curves on another frame"], "the stream is shown, not the take"


@pytest.mark.blender
def test_what_is_punched_in_leaves_the_rest(said):
    found = said["taking"]
    before, after = dict(found["keys"]), dict(found["punched"])
    np.testing.assert_allclose([after[frame] for frame in (9, 10, 11, 12)], [0, 0.04, 0.08, 0.12], atol=1e-3)
    assert {frame: after[frame] for frame in before if not 9 <= frame <= 12} == {frame: before[frame] for frame in before if not 9 <= frame <= 12}
    assert found["curve again"][0] == pytest.approx(found["curve again"][1], abs=1e-3)
    assert found["markers"] == [[5, "00:01:23:20"], [9, "00:01:23:20"]], "each begins with the sender's timecode"
    frames, values = np.array(found["punched"]).T
    thin = np.array(found["reduced"]).T
    assert found["bent"][0] <= 0.0201 < found["bent"][1], "curves that the artist has bent, too"
    assert len(thin[0]) < len(frames) and np.abs(np.interp(frames, *thin) - values).max() <= 0.0101


@pytest.mark.blender
def test_it_ends_with_a_sentence(said):
    found = said["ends"]
    assert found["off"] == [False, None, True] and found["polls"] == [False, False]
    assert "cannot listen" in found["taken"] and "use another port" in found["taken"]
    assert "address that its app shows" in found["no phone"] and "no such camera" in found["no camera"]
    assert "microphone:none such: it cannot be opened" in found["no microphone"]
    assert found["mouth alone"] == pytest.approx([0.58, 0.25, 0.4, 0.25], abs=1e-3), "a voice leaves the head; and all is put back"
    assert "no face is tracked" in found["no face"] and found["tried again"] == ""
    assert "backend" in found["backend gone"]
    assert "is kept: press Kept Takes to import it" in found["backend gone"]


@pytest.mark.blender
def test_a_take_in_progress_is_kept_and_can_be_imported(said):
    found = said["ends"]
    for ending, first in (("another file", 0.06), ("switched off", 0.08), ("killed", 0.1)):
        assert found[ending][0] == pytest.approx([first, first + 0.02, first + 0.04], abs=1e-3), ending
    assert "is kept: press Kept Takes to import it" in found["another file"][1]
    assert found["imported"][0] == [1, pytest.approx(0.1, abs=1e-3)]


@pytest.mark.blender
def test_of_two_senders_one_is_heard_until_the_other_is_chosen(said):
    found = said["several"]
    assert found["mixed"] == pytest.approx(0.04, abs=1e-3) and "does not send any more" in found["nobody"]


@pytest.mark.blender
def test_of_two_rigs_one_that_is_deleted_amid_the_stream_comes_back_and_is_moved_on(said):
    found = said["several"]["two rigs"]
    assert found["two"] == [0.03, 0.2] and found["deleted"] == [0.24], "the other one is moved instead"
    assert found["undone"] == [0.03, 0.28] and found["redone"] == [0.32] and found["undone again"] == [0.03, 0.36]
    assert found["copied"] == [0.03, 0, 0.4] and found["renamed"] == [0.03, 0.44, 0], "only one at a time holds the stream's values"
    assert found["stopped"] == [0.03, 0, 0] and found["held"] == [False] * 3
    assert found["by hand"] == 0.07, "steps of undo after the stream are the artist's"
