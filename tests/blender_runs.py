"""Runs of scripts in real Blenders, each in its own process, with the built extension."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import COLLINS
from mimaface.face.head import ASSETS

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "tests" / "addon" / "scripts"


def blender_python(version: str) -> Path:
    program = Path("Scripts/python.exe") if sys.platform == "win32" else Path("bin/python")
    return Path(os.environ.get(f"MIMAFACE_BLENDER_{version.replace('.', '')}", ROOT / f".venv-blender-{version}" / program))


VERSIONS = ("5.0", "4.2", "5.2", "4.5")
FIRST = next((version for version in VERSIONS if blender_python(version).exists()), VERSIONS[0])  # for what is the same in all


def build_module():
    specification = importlib.util.spec_from_file_location("build_addon", ROOT / "blender_addon" / "build.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def environment(work: Path, extension: Path) -> dict[str, str]:
    """Of a script; its backend's lines are counted by the tests of serving, and counting them makes it slower."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COVERAGE"))}
    return clean | {
        "MIMAFACE_ZIP": str(extension), "MIMAFACE_WORK": str(work), "MIMAFACE_HOME": str(work / "home"), "MIMAFACE_PYTHON": sys.executable,
        "MIMAFACE_PORTRAIT": str(COLLINS), "MIMAFACE_TAKE": str(ASSETS / "take.csv"), "BLENDER_USER_RESOURCES": str(work / "user"),
    }  # fmt: skip


def in_blender(
    version: str, script: str, work: Path, extension: Path, expected: int = 0, on: tuple[str, ...] = (),
    without: tuple[str, ...] = (), **variables: str,
) -> dict:  # fmt: skip
    """What a script found, in Blender of this version, started by the command ``on``; the test is skipped where that is not installed.

    ``without``: variables that the script must not have.
    """
    program = blender_python(version)
    if not program.exists():
        pytest.skip(f"no Blender {version} at {program}: run “python3 run.py test”, which installs it")
    given = {key: value for key, value in (environment(work, extension) | variables).items() if key not in without}
    done = subprocess.run([*on, program, SCRIPTS / script], env=given, capture_output=True, text=True, timeout=280)
    assert done.returncode == expected, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((work / "result.json").read_text())


def in_window(script: str, work: Path, size: str) -> None:
    """Run a script in a real window of Debian's Blender until it ends by itself; a small one is drawn sooner."""
    if shutil.which("blender") is None or shutil.which("xvfb-run") is None:
        pytest.skip("the window test needs the programs blender and xvfb-run (Debian packages blender and xvfb)")
    legacy = build_module().build(work / "dist", legacy=True)
    scripts = work / "user" / "scripts"
    with zipfile.ZipFile(legacy) as archive:
        archive.extractall(scripts / "addons", [name for name in archive.namelist() if "/source/" not in name])
    # an embedded Python looks for its home along PATH: another Python of the same version before Blender's would be taken
    variables = environment(work, legacy) | {
        "LIBGL_ALWAYS_SOFTWARE": "1", "BLENDER_USER_SCRIPTS": str(scripts),
        "PATH": f"{Path(shutil.which('blender')).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    command = ["xvfb-run", "-a", "-s", f"-screen 0 {size}x24", "blender", "--factory-startup", "--python", str(SCRIPTS / script)]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as running:
        try:
            said = running.communicate(timeout=280)[0]
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)  # the X server and Blender, too
            said = running.communicate()[0]
    assert running.returncode == 0, said[-3000:]
