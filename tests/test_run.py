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
    choices = run.choose_torch(system, nvidia, resolved)
    assert (run.CPU_INDEX in choices[0]) == cpu_index
    assert choices[-1] == [run.TORCH], "the build for GPUs where no other can be had"


def test_it_uses_only_the_standard_library():
    done = subprocess.run([sys.executable, "-I", "-S", str(ROOT / "run.py"), "help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "run.py demo" in done.stdout


def test_an_environment_is_made_once_and_anew_when_its_python_is_gone(tmp_path):
    folder, made = tmp_path / "env", []
    for _ in range(2):
        run.make_environment(folder, run.PYTHONS, "a test", "content", made.append)
    assert len(made) == 1
    run.make_environment(folder, run.PYTHONS, "a test", "other content", made.append)
    assert len(made) == 2
    assert run.usable(folder, run.PYTHONS) and not run.usable(folder, ("3.9",)), "another Python would not do"
    next(folder.rglob("pip/__init__.py")).parent.rename(folder / "no pip")
    assert not run.usable(folder, run.PYTHONS)
    run.program(folder).unlink()
    run.make_environment(folder, run.PYTHONS, "a test", "other content", made.append)
    assert len(made) == 3 and run.usable(folder, run.PYTHONS)


def pretend_python(path: Path, version: str, runs: bool = True) -> Path:
    """A program that answers as a Python of that version does, or fails as pyenv's stand-ins do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{f'echo {version}' if runs else 'exit 127'}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which this Python is alone."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    monkeypatch.setattr(run, "PREFIXES", (str(tmp_path / "usr" / "bin"),))
    monkeypatch.setattr(run, "ROOT", tmp_path / "project")
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
@pytest.mark.parametrize("place", ["bin/python3.14", "home/.pyenv/versions/3.14.2/bin/python3.14", "usr/bin/python3.14"])
def test_a_python_is_found_wherever_it_lies_and_only_if_it_runs(machine, place):
    assert run.find_python(run.PYTHONS) == sys.executable
    assert run.find_python(("3.14",)) is None
    pretend_python(machine / "bin" / "python3.14", "3.14", runs=False)
    assert run.find_python(("3.14",)) is None
    found = pretend_python(machine / place, "3.14")
    assert run.find_python(("3.14",)) == str(found)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
@pytest.mark.parametrize(
    ("here", "others", "first", "all_of_them"),
    [
        ((3, 11), [], "5.0", ["5.0", "4.2", "4.5"]),
        ((3, 13), [], "5.2", ["5.2"]),
        ((3, 12), [], "5.0", ["5.0"]),  # its Python is fetched
        ((3, 12), ["3.13"], "5.2", ["5.2"]),
        ((3, 13), ["3.11"], "5.2", ["5.2", "5.0", "4.2", "4.5"]),
    ],
)
def test_blender_is_the_one_that_fits_the_python_that_is_there(machine, monkeypatch, here, others, first, all_of_them):
    version = ".".join(map(str, here))
    monkeypatch.setattr(run.sys, "version_info", (*here, 1))
    monkeypatch.setattr(run.sys, "executable", str(pretend_python(machine / "own" / "python3", version)))
    for other in others:
        pretend_python(machine / "bin" / f"python{other}", other)
    installed = []
    monkeypatch.setattr(run, "install_blender", installed.append)
    assert run.install_blenders(every=False) == [first] == installed
    assert run.install_blenders(every=True) == all_of_them


def test_a_blender_that_cannot_be_had_is_passed_over(machine, monkeypatch, capsys):
    def fails(version):
        if version == "5.0":
            raise run.Stopped("no wheel")

    monkeypatch.setattr(run, "install_blender", fails)
    monkeypatch.setattr(run, "find_python", lambda versions: sys.executable)
    assert "5.0" not in run.install_blenders(every=True)
    assert "note: no wheel" in capsys.readouterr().out
    monkeypatch.setattr(run, "find_python", lambda versions: sys.executable if versions == ("3.11",) else None)
    monkeypatch.setattr(run, "BLENDERS", {"5.0": run.BLENDERS["5.0"]})
    assert run.install_blenders(every=True) == [], "its tests are skipped"
    with pytest.raises(run.Stopped, match="no wheel"):
        run.install_blenders(every=False)


def test_a_python_that_is_nowhere_is_fetched_and_that_is_said_before(machine, monkeypatch, capsys):
    said = []

    def pretend_run(command, what):
        said.append(capsys.readouterr().out)
        if "python" in command and "install" in command:
            assert command[-1] == "3.14"
            pretend_python(run.ROOT / ".venv-python" / "cpython-3.14.1-linux" / "bin" / "python3.14", "3.14")

    monkeypatch.setattr(run, "run", pretend_run)
    assert run.fetch_python(("3.14", "3.15"), "Blender 9") == run.find_python(("3.14",))
    assert "Blender 9 needs Python 3.14 or 3.15, which this machine has not: fetching 3.14" in said[0]

    def no_network(command, what):
        raise run.Stopped(f"{what} failed: is the network up: no route")

    monkeypatch.setattr(run, "run", no_network)
    with pytest.raises(run.Stopped, match=r"is the network up.*or install Python 3\.15 yourself and run again"):
        run.fetch_python(("3.15",), "Blender 10")


def test_the_build_for_gpus_is_taken_where_no_other_can_be_had_and_there_is_room(tmp_path, monkeypatch, capsys):
    tried = []

    def pip(folder, what, *arguments):
        tried.append(arguments)
        if "--index-url" in arguments:
            raise run.Stopped("installing PyTorch failed: is the network up: no route")

    monkeypatch.setattr(run, "pip", pip)
    monkeypatch.setattr(run, "torch_choices", lambda folder: run.choose_torch("linux", False, "2.13.0"))
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())
    free = 1e12
    run.install_torch(tmp_path)
    assert tried[-1] == (run.TORCH,)
    assert "a download of about 3 GB" in capsys.readouterr().out
    free = 9e9
    with pytest.raises(run.Stopped, match=r"no route; the build for GPUs would need 8 GB more of disk"):
        run.install_torch(tmp_path)


def test_the_exit_code_says_whether_it_went_well(monkeypatch, capsys):
    monkeypatch.setattr(run, "install", lambda all_blenders=False: ["5.0"])
    assert run.main(["install"]) == 0
    assert run.main(["help"]) == 0 and run.main([]) == 0
    assert run.main(["instal"]) == 2

    def no_room(all_blenders=False):
        raise run.Stopped("no room")

    monkeypatch.setattr(run, "install", no_room)
    assert run.main(["install"]) == 1
    assert capsys.readouterr().err == "run.py: no room\n"


def test_failures_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(run.Stopped, match=r"trying failed: boom"):
        run.run([sys.executable, "-c", "import sys; print('boom'); sys.exit(3)"], "trying")
    monkeypatch.setattr(run.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e9})())
    monkeypatch.setattr(run, "ROOT", tmp_path)
    with pytest.raises(run.Stopped, match=r"1\.0 GB are free, 6 GB are needed"):
        run.check_folder()


def test_every_locked_package_has_one_exact_version():
    lines = [
        line for line in (ROOT / "backend" / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert all(line.count("==") == 1 for line in lines)
    assert not any(line.lower().startswith(("nvidia", "torch=", "torchvision", "triton")) for line in lines)
