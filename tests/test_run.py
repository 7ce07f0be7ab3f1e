"""run.py: the decisions it takes, and its sentences."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
specification = importlib.util.spec_from_file_location("run", ROOT / "run.py")
run = importlib.util.module_from_spec(specification)
specification.loader.exec_module(run)


@pytest.mark.parametrize(
    ("system", "nvidia", "resolved", "cpu_index"),
    [
        ("linux", False, "2.13.0+cpu", False),
        ("linux", False, "2.13.0", True),
        ("linux", False, "", True),
        ("linux", True, "2.13.0", False),
        ("darwin", False, "", False),
        ("win32", False, "", False),
    ],
)
def test_no_cuda_for_machines_without_it(system, nvidia, resolved, cpu_index):
    assert (run.CPU_INDEX in run.choose_torch(system, nvidia, resolved)) == cpu_index


def test_it_uses_only_the_standard_library():
    done = subprocess.run([sys.executable, "-I", "-S", str(ROOT / "run.py"), "help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "run.py demo" in done.stdout


def test_an_environment_is_made_once(tmp_path):
    made = []

    def fill(folder):
        made.append(folder)

    for _ in range(2):
        run.make_environment(tmp_path / "env", sys.executable, "a test", "content", fill)
    assert len(made) == 1
    run.make_environment(tmp_path / "env", sys.executable, "a test", "other content", fill)
    assert len(made) == 2


def test_failures_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(run.Stopped, match=r"trying failed: boom"):
        run.run([sys.executable, "-c", "import sys; print('boom'); sys.exit(3)"], "trying")
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e9})())
    monkeypatch.setattr(run, "ROOT", tmp_path)
    with pytest.raises(run.Stopped, match=r"1\.0 GB are free, 6 GB are needed"):
        run.check_folder()
    monkeypatch.setattr(run.sys, "version_info", (3, 9, 0))
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    with pytest.raises(run.Stopped, match=r"Python 3\.11 is needed"):
        run.find_python()


def test_every_locked_package_has_one_exact_version():
    lines = [
        line for line in (ROOT / "backend" / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert all(line.count("==") == 1 for line in lines)
    assert not any(line.lower().startswith(("nvidia", "torch=", "torchvision", "triton")) for line in lines)
