"""The rig in real Blenders, without a backend: one process a version, the cases of ``scripts/rig_cases.py``."""

from __future__ import annotations

import json
import subprocess
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageOps

from blender_runs import SCRIPTS, VERSIONS, blender_python, environment
from conftest import CASES, motion_of
from mimaface.face.head import Head
from mimaface.face.pose import poses_for
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.rotation import head_angles_to_matrix

pytestmark = pytest.mark.blender
EXIF = CASES / "exif_6.jpg"


@pytest.fixture(scope="module", params=VERSIONS)
def seen(request, tmp_path_factory, extension, heads) -> dict:
    """What every case saw in one version of Blender."""
    if not blender_python(request.param).exists():
        pytest.skip(f"no Blender {request.param} here: “python3 run.py test” installs it")
    work = tmp_path_factory.mktemp(f"rig-{request.param}")
    variables = environment(work, extension) | {"MIMAFACE_HEADS": str(heads)}
    command = [blender_python(request.param), SCRIPTS / "rig_cases.py"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((work / "result.json").read_text()) | {"work": work}


def test_eye_look_sliders_turn_the_eyes(seen):
    result = seen["eyes"]
    assert result["ball"] == pytest.approx(30, abs=0.01), "the eyeball on the proxy head"
    assert np.array(result["gaze"]) == pytest.approx(np.array([[30, 0.1 * 180 / np.pi], [30, 0]]), abs=0.01), "and in the frames"


def angles_to(place: np.ndarray, eye: np.ndarray) -> list[float]:
    """Yaw and pitch of an eye whose target at rest is half a metre before it and is at ``place`` now; both (3,) in Blender's axes."""
    x, depth, y = place - eye
    return [float(np.arctan2(side, 0.5 - depth)) for side in (x, y)]


def test_the_gaze_target_is_free_in_the_head_in_the_world_and_the_camera(seen, portrait):
    found, rests = seen["gaze"]["seen"], {name: np.array(place) for name, place in seen["gaze"]["rests"].items()}
    eyes, moved = (rests["seen.L"], rests["seen.R"]), np.array([0.1, -0.1, 0.05])
    gaze, place = found["head"]
    assert place == pytest.approx(rests["gaze_target"] + moved, abs=1e-5)
    assert gaze == pytest.approx(np.array([angles_to(moved + eye, eye) for eye in eyes]), abs=1e-4)
    assert found["head turned"][0] == pytest.approx(np.array(gaze), abs=1e-4), "the head carries it along"
    for before, after in (("head turned", "world"), ("world turned back", "head again")):
        assert found[after][1] == pytest.approx(found[before][1], abs=1e-4), "it stays where it is"
        assert found[after][0] == pytest.approx(np.array(found[before][0]), abs=0.01), "but for the distance of the eyes"
    assert found["world turned back"][1] == pytest.approx(found["world"][1], abs=1e-5), "also when the head turns back"
    moved = np.array(found["world"][1]) - rests["gaze_target"]
    assert found["world turned back"][0] == pytest.approx(np.array([angles_to(moved + eye, eye) for eye in eyes]), abs=1e-4)
    left, right = found["left alone"][0]
    assert left == pytest.approx([np.arctan2(0.1, 0.5), 0], abs=1e-4) and right == pytest.approx([0, 0], abs=1e-5)
    assert seen["gaze"]["copy"] == [5, True], "a copy looks at its own"


def test_eyes_look_into_the_camera_whatever_the_head_does(seen, portrait):
    fit = portrait.fit
    centres = Head.load().eye_centres_for(fit.identity)
    for name, angle in (("camera", 0.0), ("camera turned", 0.35)):
        turn = head_angles_to_matrix(np.array([angle, 0.0, 0.0]))
        for eye, centre, own in zip(seen["gaze"]["seen"][name][0], centres, fit.gaze):
            yaw, pitch = np.array(eye) + own
            looks = turn @ fit.rotation @ [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)]
            to_camera = -(turn @ fit.rotation @ centre + fit.translation)
            away = np.degrees(np.arccos(looks @ to_camera / np.linalg.norm(to_camera)))
            assert away < (0.1 if name == "camera" else 3), (name, away)


def test_handles_are_drawn_on_the_moved_face_and_say_which_way_they_go(seen):
    result = seen["riding"]
    rest, opened, turned = ({name: np.array(place) for name, place in result[key].items()} for key in ("rest", "open", "turned"))
    for name, place in result["own"].items():
        assert rest[name] == pytest.approx(place, abs=1e-6)
    down = {name: (rest[name] - opened[name])[2] for name in rest}
    assert down["jaw"] > 0.015 and down["lip.lower"] > 0.01, "metres"
    assert max(abs(down[name]) for name in ("lip.upper", "brow", "lid.L", "brow.R")) < 0.002
    assert np.linalg.norm(turned["jaw"] - turned["brow"]) == pytest.approx(np.linalg.norm(opened["jaw"] - opened["brow"]), abs=1e-5)
    assert turned["jaw"][0] > opened["jaw"][0] + 0.01, "and turn with the head"
    assert result["shapes"]["lip.upper"] == "MIMAFace handle +Y-Z" and result["shapes"]["jaw"] == "MIMAFace handle +X+Z-X-Y"
    assert set(result["hidden"]) == {"head_mocap", *(f"face.{name}" for name in rest), "seen.L", "seen.R", "camera.L", "camera.R"}
    assert result["invalid"] == 0


def test_handles_end_where_their_blendshapes_do(seen):
    result = seen["limits"]
    assert result["jaw"] == 1.0, "slider 2 and a jaw dragged 9 cm"
    assert result["forward"] == pytest.approx(1, abs=1e-3)
    assert result["smile"] == pytest.approx(0.5, abs=1e-3)
    assert result["gaze"] == pytest.approx([1, 0], abs=1e-5)
    assert np.linalg.norm(result["place"]) == pytest.approx(np.hypot(0.03, 0.03), abs=1e-6), "3 cm down and 3 cm out"


def test_lips_close_until_they_meet_whatever_parts_them(seen, portrait):
    result = seen["mouth"]
    assert result["invalid"] == 0
    for name, extra in (("alone", 0.0), ("open", 0.4)):
        shown = np.array([list(result[name].values())])
        frames = poses_for(portrait.fit, motion_of({"mouthClose": 1.0, "jawOpen": extra}))[0].blendshapes
        assert shown[0] == pytest.approx(frames, abs=2e-3), "the proxy head and the frames are one"
        assert 0.1 < result[name]["mouthClose"] < 0.85
    assert result["back"]["jawOpen"] == 0.0, "the photograph's own opening can be taken away"


def test_a_hidden_rig_moves_and_one_that_cannot_is_a_sentence(seen):
    result = seen["hidden"]
    assert result["seen"].pop("still off") is True
    assert len(result["seen"]) == 4
    for name, jaw in result["seen"].items():
        assert jaw == pytest.approx([0, 0.5, 1], abs=1e-3), name
    assert "Pose Position" in result["said"]["rest"]
    assert "press Tab" in result["said"]["edit"]
    assert result["scenes"] == 1, "nothing is left behind"


def test_what_is_posed_without_a_key_stays(seen):
    result = seen["unkeyed"]
    assert result["slider"] == pytest.approx(0.9)
    assert result["bone"] == pytest.approx(0.1)
    assert result["made"] == pytest.approx([0.2] * 3, abs=1e-5), "the frames are those of the keys"
    assert result["frame"] == 1


def test_step_and_preview_range_are_heeded(seen):
    assert seen["ranges"] == {"whole": list(range(1, 10)), "stepped": [1, 5, 9], "preview": [3, 4, 5]}


def test_an_import_has_position_groups_and_the_right_rate(seen):
    result = seen["imported"]
    assert result["made"] == [25, 62, 25], "a second at 30, in a scene of 24 frames a second"
    assert result["place"] == pytest.approx([0.05, 0.02, -0.1], abs=1e-5)
    assert result["middle"] == pytest.approx([0.025, 0.01, -0.05], abs=1e-5)
    assert result["influence 0"] == pytest.approx([0, 0, 0], abs=1e-6)
    assert result["jaw"] == pytest.approx(0.75, abs=1e-3), "0.25 of the artist, 0.5 of the take"
    assert result["quat"] == pytest.approx([np.cos(0.15), 0, np.sin(0.15), 0], abs=1e-5)
    assert result["groups"] == [
        "Mocap Brows", "Mocap Cheeks and Nose", "Mocap Eyes", "Mocap Gaze", "Mocap Head", "Mocap Jaw", "Mocap Mouth",
    ]  # fmt: skip
    assert result["curves"] == 63, "the artist's one, too"


def test_a_linked_rig_is_refused_and_an_override_keeps_what_is_keyed(seen):
    result = seen["linked"]
    assert "linked from asset.blend" in result["said"]["linked"] and "library override" in result["said"]["linked"]
    assert "editable" in result["said"]["system"]
    assert result["current"] == [True, True], "selected itself, and by its head"
    assert result["keyed"] is True
    assert result["before"] == result["after"] == 64, "62 of the take, the asset's own and the one keyed here"
    assert result["own"] is True
    assert result["place"] == pytest.approx([0.05, 0.02, -0.1], abs=1e-5)
    assert result["place again"] == pytest.approx(result["place"])
    assert result["slider"] == pytest.approx(0.4), "after saving and opening"


def test_of_two_portraits_the_selected_one_is_meant(seen):
    collins, hopper = ["collins rig", "collins.jpg"], ["hopper rig", "hopper.jpg"]
    found = seen["two"]["found"]
    assert found.pop("loaded last") == hopper
    for name in ("selected collins rig", "selected collins rig Head", "selected collins photo", "chosen in the panel", "pinned"):
        assert found.pop(name) == collins, name
    for name in ("selected hopper rig", "unpinned", "selected, with a camera in the field"):
        assert found.pop(name) == hopper, name
    assert not found
    assert "Camera is not a portrait rig" in seen["two"]["camera"]


def test_a_portrait_is_born_where_there_is_room(seen):
    result = seen["birth"]
    assert result["first"][0] > 1, "beside the default cube"
    assert result["second"][0] - result["first"][0] > 2, "the second beside the first photograph"
    assert result["third"] == pytest.approx([result["cursor"][0] - 1, *result["cursor"][1:]], abs=1e-5), "on the cursor where nothing is"
    assert set(result["together"]) == {result["collection"]} == {"collins portrait"}
    assert result["scenes"] == ["Other"] and result["pointer"] is True, "in the scene that it was asked for"
    assert result["packed"] is True


def test_a_photograph_stands_at_the_cursor_with_handles_on_its_landmarks(seen, hopper):
    result = seen["born"]
    assert result["mode"] == "POSE"
    height, width = hopper.image.shape[:2]
    low, high = np.array(result["corners"][0]), np.array(result["corners"][2])
    assert (high - low) == pytest.approx([2 * width / height, 0, 2], abs=1e-5), "2 m high"
    assert (low + high) / 2 == pytest.approx([3, 2, 2], abs=1e-5), "it stands on the cursor"
    for bone, landmark in (("mouth.L", 291), ("mouth.R", 61), ("lip.lower", 18), ("jaw", 152), ("brow.L", 334), ("lid.R", 159)):
        x, _, z = (np.array(result["places"][bone]) - low) / 2 * height
        assert [x, height - z] == pytest.approx(hopper.fit.landmarks[landmark, :2], abs=0.2), f"{bone}, in pixels of the photograph"
        assert result["places"][bone][1] < 2, "before it"
    assert set(result["evaluated"]) == {"hopper rig", "hopper photo"}, "the mesh head costs nothing while it is not shown"
    assert len(result["shown"]) == 5
    assert result["rest"] < 1e-5, "nothing moves yet"
    front = {name: np.array(place)[[0, 2]] / result["scale"][0] for name, place in result["places"].items() if name in result["colours"]}
    others = ("gaze_target", "gaze.L", "gaze.R", "head")
    handles = [name for name, palette in result["colours"].items() if palette != "DEFAULT" and name not in others]
    assert len(handles) == 13
    arrows, opened = np.array(result["arrows"])[:, [0, 2]] / result["scale"][0], front["jaw"] - [0, 0.03]
    free = min(np.linalg.norm(arrows - place, axis=1).min() for place in (*front.values(), opened))
    assert free > 2 * result["radius"], "and none meets the arrows of the head, nor does the open jaw's"
    assert all(result["places"]["jaw"][1] < place[1] < result["corners"][0][1] for place in result["arrows"]), "which are before the photograph"
    near = min(np.linalg.norm(front[a] - front[b]) for a, b in combinations(handles, 2))
    assert near > 2 * result["radius"], "from the front no two handles meet"
    assert [result["colours"][name] for name in ("brow.L", "brow.R", "brow")] == ["THEME04", "THEME01", "THEME09"], "a side has a colour"


def test_a_photo_turned_by_its_tag_stands_upright(seen):
    result = seen["upright"]
    assert result == {"size": [384, 450], "same": True}, "on the head as beside it"
    shown = np.load(seen["work"] / "upright.npy").astype(int)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(EXIF)).convert("RGB")).astype(int)
    assert np.abs(shown - wanted).max() <= 2


def test_parts_go_with_their_rig(seen):
    result = seen["deleted"]
    assert result["left"] == ["collins photo", "collins rig", "collins rig Eye left", "collins rig Eye right", "collins rig Head"]
    assert result["pointer"] is True and result["current"] == "collins rig"
    assert result["keys"]["copy"] == pytest.approx(1) and result["keys"]["original"] < 0.5, "each head follows its own rig"
    assert result["parts"] == [4, 4]
    assert result["photo kept"] is True, "a photo taken from its rig is not swept away"


def test_a_rig_of_an_earlier_version_is_brought_up_to_date(seen):
    result = seen["earlier"]
    assert result["jaw"] == pytest.approx(0.3, abs=1e-3) and "add the portrait again" in result["said"]
    assert result["place"] == pytest.approx([0.05, 0.02, -0.1], abs=1e-5)
    assert result["gaze"] == pytest.approx(25, abs=0.01)
    assert (result["drivers"], result["invalid"]) == (62, 0)


def test_the_whole_pose_is_mirrored_reset_and_keyed(seen):
    found = seen["face"]
    before, after = found["blendshapes"]
    assert before[BLENDSHAPE_INDEX["mouthSmileLeft"]] == pytest.approx(0.7, abs=1e-3)
    assert before[BLENDSHAPE_INDEX["browOuterUpLeft"]] == pytest.approx(0.5, abs=1e-3), "a handle at half its way"
    for name in BLENDSHAPE_NAMES:
        assert after[BLENDSHAPE_INDEX[mirror_name(name)]] == pytest.approx(before[BLENDSHAPE_INDEX[name]], abs=1e-4), name
    np.testing.assert_allclose(found["gaze"][1], np.array(found["gaze"][0])[::-1] * (-1, 1), atol=1e-4)
    assert np.abs(found["gaze"][0]).max() > 0.1
    w, x, y, z = found["head"][0]
    assert min(abs(x), abs(y), abs(z)) > 0.02
    np.testing.assert_allclose(found["head"][1], [w, x, -y, -z], atol=1e-5)
    assert found["twice"] < 1e-4, "mirrored twice is as before"
    sliders, bones = 52 + 4 + 2, 3 * 18 + 2 * 4
    assert len(found["keyed"]) == sliders + bones
    assert found["is asset"], "the pose library shows it"
    assert found["action is kept"]
    assert found["applied"] < 1e-4, "sliders, too"
    assert found["sets"] == ["MIMAFace Portrait"]
    assert found["by set"] == found["keyed"], "Blender's own Insert Keyframe with the set keys the same"
    assert max(found["rested"][:2]) < 3e-5
    assert found["rested"][2] < 0.99, "the head stays turned"
