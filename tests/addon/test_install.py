"""Install Backend: with real Blenders, real environments and real pip, but tiny packages and no network; and the sentences of its failures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from blender_runs import FIRST, ROOT, in_blender
from mimaface.protocol.connection import process_exists
from mimaface_addon.core.backend import Backend

# Builds a wheel of a mimaface that names its folder, has nothing to compile, and is run by the Python of the tests
BUILDER = """
import os, time, zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    work = Path(os.environ["MIMAFACE_WORK"])
    if (work / "hold").exists():
        (work / "new.pid").write_text(str(os.getpid()))
        (work / "new.pid").replace(work / "builder.pid")
    while (work / "hold").exists():
        time.sleep(0.02)
    files = {"mimaface-0.1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: mimaface\\nVersion: 0.1.0\\n",
             "mimaface-0.1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"}
    run = "import os, sys\\nif 'serve' in sys.argv:\\n    python = os.environ['MIMAFACE_REAL']\\n"
    run += "    os.execv(python, [python, '-m', 'mimaface.cli', *sys.argv[1:]])\\n"
    files |= {"mimaface/__init__.py": "", "mimaface/protocol/__init__.py": "", "mimaface/cli.py": run,
              "mimaface/protocol/connection.py": "import os\\ndef default_folder():\\n    return os.environ['MIMAFACE_HOME']\\n"}
    with zipfile.ZipFile(Path(folder) / "mimaface-0.1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        wheel.writestr("mimaface-0.1.0.dist-info/RECORD", "")
    return "mimaface-0.1.0-py3-none-any.whl"
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "builder"\nbackend-path = ["."]\n[project]\nname = "mimaface"\nversion = "0.1.0"\n'


def wheel(folder: Path, name: str, version: str) -> None:
    """A package with nothing in it."""
    inside = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{inside}/RECORD", "")


@pytest.fixture
def tiny(tmp_path, extension) -> dict[str, str]:
    """The extension with a tiny source in place of the backend's, and the variables with which pip finds tiny packages only."""
    source = {"pyproject.toml": PYPROJECT, "builder.py": BUILDER, "backend/requirements.txt": "tiny==1.0\n", "BUILD": "one"}
    target = tmp_path / "tiny.zip"
    with zipfile.ZipFile(extension) as whole, zipfile.ZipFile(target, "w") as archive:
        for name in whole.namelist():
            if not name.startswith("source/") or name == "source/backend/install.py":
                archive.writestr(name, whole.read(name))
        for name, content in source.items():
            archive.writestr(f"source/{name}", content)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "torch", "2.13.0")
    wheel(wheels, "tiny", "1.0")
    return {
        "MIMAFACE_ZIP": str(target), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 100
    while process_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not process_exists(pid)


@pytest.mark.blender
@pytest.mark.parametrize("version", [FIRST, "5.2"])
def test_the_backend_is_installed_by_a_button(version, tmp_path, tiny):
    first = version == FIRST
    variables = tiny | {"MIMAFACE_FIRST": "1" if first else "", "MIMAFACE_REAL": sys.executable}
    result = in_blender(version, "installing.py", tmp_path, variables.pop("MIMAFACE_ZIP"), without=("MIMAFACE_PYTHON",), **variables)
    said, found = result["said"], result["found"]
    environment = tmp_path / "home" / "environment"
    python = environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    assert "press Install Backend" in said["none"]
    assert "tick Allow Online Access in Preferences > System, then press Install Backend again" in said["offline"]
    if first:
        assert said["step"].startswith("step 4 of 5: installing MIMAFace itself")
        assert found["once"] and found["waits"] == 1, "what is asked for meanwhile waits for it"
        assert found["in use"] == ["", False] and found["in use after cancel"] == "", "no half environment"
        assert (said["cancelled"], found["state"]) == ("The installation was cancelled: press Install Backend to go on", "stopped")
        assert found["ended with the add-on"] and found["kept"], "it went on where it was"
    assert (said["problem"], said["installed"]) == ("", "The backend is installed, and starts")
    assert found["python"] == found["noted"] == str(python) and found["preference"] == ""
    assert found["asked"] == ["job.list.reply"], "the backend that was installed answers"
    assert found["outdated"] == [False, True]
    if not first:
        assert found["in use during the update"] == "", "nothing half updated"
        assert ended(found["left alone"]), "the end of Blender ends it"
        assert not (tmp_path / "home" / "python.txt").exists()


def test_the_source_in_the_extension_is_the_whole_backend(tmp_path, extension):
    with zipfile.ZipFile(extension) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith("source/")])
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path / "source", check=True, capture_output=True, timeout=100)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        built = {name for name in wheel.namelist() if ".dist-info" not in name}
    packages = ROOT / "backend" / "mimaface", ROOT / "export" / "mimaface_export"
    paths = [(path, package.parent) for package in packages for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert built == {path.relative_to(parent).as_posix() for path, parent in paths}
    assert (tmp_path / "source" / "NOTICE").read_bytes() == (ROOT / "NOTICE").read_bytes()


def source(folder: Path, script: str) -> Path:
    """A source whose install.py is this script."""
    (folder / "backend").mkdir(parents=True)
    (folder / "backend" / "install.py").write_text(script)
    return folder


def installed(folder: Path, script: str, python: Path = Path(sys.executable)) -> Backend:
    """The backend after its installation by this script has ended."""
    backend = Backend(folder / "home")
    backend.install(python, source(folder / "source", script))
    deadline = time.monotonic() + 100
    while backend.state == "installing" and time.monotonic() < deadline:
        backend.poll()
        time.sleep(0.01)
    return backend


@pytest.mark.parametrize(("script", "sentence"), [
    ("print('install.py: no room: make some')\nraise SystemExit(1)", "no room: make some"),
    ("import os\nprint('  installing PyTorch …', flush=True)\nos._exit(9)",
     "the installation was ended (installing PyTorch …): press Install Backend to go on"),
    ("1 / 0", "the installation was ended (ZeroDivisionError: division by zero): press Install Backend to go on"),
    ("", "the installation was ended (no message): press Install Backend to go on"),  # it says that all went well, and nothing is there
])  # fmt: skip
def test_a_failure_is_a_sentence_and_never_looks_like_success(tmp_path, script, sentence):
    backend = installed(tmp_path, script)
    assert (backend.state, backend.problem, backend.doubtful) == ("lost", sentence, True)


def test_a_python_that_is_not_there_is_a_sentence(tmp_path):
    absent = tmp_path / "absent"
    backend = installed(tmp_path, "", absent)
    assert backend.state == "lost"
    assert backend.problem == f"{absent} cannot be used (No such file or directory): check that it may be read and written, then try again"
