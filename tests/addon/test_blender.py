"""The built extension in real Blenders, each in its own process, against the real backend."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tomllib
from PIL import Image

from blender_runs import FIRST, ROOT, VERSIONS, blender_python, build_module, in_blender, in_window
from conftest import COLLINS

ARTEFACTS = ROOT / "artefacts"
pytestmark = pytest.mark.blender


@pytest.mark.parametrize("version", VERSIONS)
def test_the_whole_flow_survives_save_and_reopen(version, tmp_path, extension):
    # frames of the diffusion model do not depend on Blender's version, and take long
    engine = {"MIMAFACE_ENGINE": "demo"} if version == FIRST else {}
    result = in_blender(version, "flow.py", tmp_path, extension, **engine)
    assert result["version"].startswith(version)
    assert result["sums"]["jawOpen"] == pytest.approx(0.5, abs=1e-3), "the artist's slider"
    assert result["sums"]["mouthSmileLeft"] == pytest.approx(0.5, abs=1e-3), "the handle moved half its travel"
    assert result["sums"]["mouthSmileRight"] == pytest.approx(0, abs=1e-5)
    assert result["keys"]["jawOpen"] > 0.4, "the proxy head follows without the backend"
    assert result["live"]["shape"] == [384, 384, 4], "as large as it is taken to be seen before a window has shown it"
    assert result["live"]["changed"] > 300, "the mouth opens"
    assert result["live"]["wanted"] == [False, False], "for another object nothing is asked for, and nothing when it is off"
    assert result["live"]["by hand"] == [True, False], "moved at a frame, then another frame is gone to"
    assert result["crowded"] > 100, "operators in another context while the add-on's threads work do not end Blender"
    adjusted_by_hand(result["hand"], result["faceless"])
    preview_of_takes(result["preview"], result["names"])
    assert list(result["after"]) == ["mouth.L"], "placed points survive save and reload"
    first, second = result["strips"]
    assert (first["start"], first["length"], len(first["files"])) == (1, 10, 10)
    assert (second["start"], second["length"], len(second["files"])) == (1, 12, 12)
    assert first["channel"] != second["channel"], "takes do not overlap"
    pictures = [np.asarray(Image.open(path)).astype(int) for path in first["files"]]
    assert all(np.abs(a - b).mean() > 0.02 for a, b in zip(pictures, pictures[1:])), "pictures differ where the animation moves"
    assert np.abs(pictures[0] - np.asarray(Image.open(COLLINS).convert("RGB"))).max() <= 2, "frame 1 is the portrait at rest"
    assert result["sums_with_mocap"] == pytest.approx(result["artist"], abs=1e-3), "the artist's keys stay under the mocap layer"
    assert result["end"] == 96, "four seconds of take at 24 frames a second"


def preview_of_takes(found, names):
    assert found["shown"] == [[names[1], names[0]], [names[1]], []] and found["muted"] == names[:1]
    width, height = found["size"]
    assert width == pytest.approx(1.5 * height)
    place, without = found["places"]
    sides = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    np.testing.assert_allclose(place, sides * [width, height] + [50, 0], atol=1e-3, err_msg="as the artist laid the take")
    np.testing.assert_allclose(without, sides * 400, atol=1e-3, err_msg="as a new take is laid into 800 × 400")


def adjusted_by_hand(hand, faceless):
    assert (hand["mode"], hand["corners"], hand["error"]) == ("EDIT", 48, "")
    assert list(hand["placed"]) == ["mouth.L"] and hand["id"], "one point was moved, and is part of the portrait's id"
    assert np.array(hand["now"]) - hand["at"]["mouth.L"] == pytest.approx([8, 0], abs=0.1), "it is where it was dragged to"
    (stood, handle), (stands, moved) = hand["stood"], hand["stands"]
    assert stands[:3] == pytest.approx(stood[:3], abs=1e-4) and stands[6] == pytest.approx(stood[6], rel=1e-4), "the photograph has not moved"
    assert moved[0] - handle[0] == pytest.approx(8 * 2.0 / 512, abs=2e-3), "the handle of the corner went along: 2 m are 512 pixels"
    assert hand["wire"] and hand["rig"] == "POSE" and hand["parts"] == ["head", "head", "head", "photo"]
    assert "right eye lies below the lower one" in hand["crossed"] and hand["kept"] and hand["cancelled"], "nothing is lost by a mistake"
    assert "place the points of the face by hand" in faceless["refused"] and faceless["offered"] and faceless["rig"]
    assert faceless["taken"] and (faceless["error"], faceless["mode"], faceless["placed"]) == ("", "EDIT", 48)


def test_a_killed_backend_is_noticed_and_resume_completes(tmp_path, extension):
    result = in_blender(FIRST, "kill_backend.py", tmp_path, extension)
    assert result["slowest_ms"] < 2000, "waiting for a backend that is gone would take five seconds or more"
    assert "gone away" in result["message"]
    assert result["kept"] < 60 == result["done"] == result["strips"]
    assert result["files"] == [f"{index:06d}.png" for index in range(60)] + ["take.json"], "none lost, none doubled, no halves"
    pictures = {(Path(result["folder"]) / name).read_bytes() for name in result["files"][:-1]}
    assert len(pictures) == 60
    assert result["hung"] == {"state": "done", "done": 70, "message": "", "another": True}, "one press of Resume"


def test_a_killed_blender_leaves_the_job_finishing(tmp_path, extension):
    result = in_blender(FIRST, "kill_blender.py", tmp_path, extension, expected=-9)
    deadline = time.monotonic() + 60
    database = sqlite3.connect(Path(result["root"]) / "jobs.sqlite")
    while database.execute("SELECT state FROM jobs WHERE id=?", (result["job"],)).fetchone() != ("done",):
        assert time.monotonic() < deadline, "the job was not finished"
        time.sleep(0.2)
    assert len(list((Path(result["root"]) / "jobs" / result["job"]).glob("*.png"))) == 80
    while Path(f"/proc/{result['backend']}").exists() and sys.platform == "linux":
        assert time.monotonic() < deadline, "the backend did not end after its parent"
        time.sleep(0.2)


def test_mistakes_are_sentences_and_nothing_stays_dead(tmp_path, extension):
    result = in_blender(FIRST, "mistakes.py", tmp_path, extension)
    expected = {
        "generate without rig": "no portrait rig", "motion without rig": "no portrait rig", "resume without take": "no take",
        "cancel without take": "no take", "absent portrait": "not a file", "text as portrait": "not a picture", "no such face": "face 7",
        "huge portrait": "huge.tif is larger than 256 MB: save the photo as JPEG or PNG",
        "missing column": "line 1: column JawOpen is missing", "text as take": "not a picture that can be read",
        "folder that cannot be made": "mimaface", "copy report": "",
    }  # fmt: skip
    assert set(expected) == set(result["said"])
    for name, words in expected.items():
        assert words in result["said"][name], (name, result["said"][name])
        assert "Traceback" not in result["said"][name]
    assert result["done"] == 2
    assert result["lacking"] == {"released": "not installed: mimaface models pull released"}, "the panel says why it cannot be used"


def test_the_panels_show_in_a_real_window(tmp_path):
    in_window("window.py", tmp_path, "1600x1600")  # all of a long panel
    panels = (tmp_path / "panels.txt").read_text().split()
    assert len(panels) == 14, panels
    german = json.loads((tmp_path / "german.json").read_text())
    assert german == ["Wähle ein Foto oder einen Film: /absent.png ist keine Datei", "performance.mp4 wird gelesen: Bild 120 von 288"]
    ARTEFACTS.mkdir(exist_ok=True)
    for path in tmp_path.glob("window*.png"):
        shutil.copy(path, ARTEFACTS / path.name)
    picture = np.asarray(Image.open(tmp_path / "window.png").convert("RGB"))
    assert picture.std() > 10, "the window is not blank"
    view = picture[100:1300, 100:1000].astype(int)
    skin = (view[..., 0] > 150) & (view[..., 0] - view[..., 2] > 40) & (view[..., 0] - view[..., 2] < 130)
    assert skin.sum() > 3000, "the photographed face is seen on the proxy head"


def test_the_zip_is_whole_the_same_twice_and_valid(tmp_path, extension):
    again = build_module().build(tmp_path)
    assert again.read_bytes() == extension.read_bytes()
    with zipfile.ZipFile(extension) as archive:
        names = archive.namelist()
        for source in (ROOT / "backend" / "mimaface" / "protocol").glob("*.py"):
            packed = archive.read(f"protocol/{source.name}")
            assert hashlib.sha256(packed).digest() == hashlib.sha256(source.read_bytes()).digest(), source.name
    wheels = [Path(name).name for name in names if name.endswith(".whl")]
    for package, pythons in (("pyzmq", ("cp311", "cp312-abi3")), ("msgpack", ("cp311", "cp313"))):
        for python in pythons:
            for system in ("manylinux", "macosx", "win_amd64"):
                assert any(w.startswith(package) and python in w and system in w for w in wheels), (package, python, system)
    cli = next(blender_python(FIRST).parent.parent.glob("lib/**/bl_pkg/cli/blender_ext.py"), None)
    if cli is None:
        pytest.skip("no bpy 5.0 here, so no blender_ext.py to validate with")
    done = subprocess.run([blender_python(FIRST), cli, "validate", extension], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_platform_can_have_a_zip_of_its_own(tmp_path):
    module = build_module()
    whole = set()
    for platform in module.PLATFORMS:
        with zipfile.ZipFile(module.build(tmp_path, platform=platform)) as archive:
            names = archive.namelist()
            manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        wheels = {name for name in names if name.endswith(".whl")}
        assert manifest["platforms"] == [platform]
        assert {f"./{name}" for name in wheels} == set(manifest["wheels"])
        assert len(wheels) == 4, "two packages for two Pythons"
        assert {"LICENSE", "NOTICE", "protocol/LICENSE"} <= set(names), "GPL, what is inside under other licenses, Apache"
        assert "Install Backend" in manifest["permissions"]["network"], "else it talks to this computer only"
        whole |= wheels
    with zipfile.ZipFile(module.build(tmp_path)) as archive:
        assert {name for name in archive.namelist() if name.endswith(".whl")} == whole, "together they are the zip for all"
        assert b"bl_info" not in archive.read("__init__.py"), "the manifest is enough from 4.2 on"
    with zipfile.ZipFile(module.build(tmp_path, legacy=True)) as archive:
        assert b"bl_info = {" in archive.read("mimaface_addon/__init__.py")
        assert not any("manifest" in name or "wheel" in name for name in archive.namelist())
