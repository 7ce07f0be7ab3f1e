"""run.py and the backend's install.py: the decisions they take, and their sentences."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
specification = importlib.util.spec_from_file_location("run", ROOT / "run.py")
run = importlib.util.module_from_spec(specification)
specification.loader.exec_module(run)
install = sys.modules["install"]  # which run.py imports


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
    choices = install.choose_torch(system, nvidia, resolved)
    assert (install.CPU_INDEX in choices[0]) == cpu_index
    assert choices[-1] == [install.TORCH], "the build for GPUs where no other can be had"


def test_it_uses_only_the_standard_library():
    done = subprocess.run([sys.executable, "-I", "-S", str(ROOT / "run.py"), "help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert "run.py demo" in done.stdout


def test_an_environment_is_made_once_and_anew_when_its_python_is_gone(tmp_path):
    folder, made = tmp_path / "env", []
    for _ in range(2):
        install.make_environment(folder, install.PYTHONS, "a test", "content", made.append)
    assert len(made) == 1
    install.make_environment(folder, install.PYTHONS, "a test", "other content", made.append)
    assert len(made) == 2
    assert install.usable(folder, install.PYTHONS) and not install.usable(folder, ("3.9",)), "another Python would not do"
    next(folder.rglob("pip/__init__.py")).parent.rename(folder / "no pip")
    assert not install.usable(folder, install.PYTHONS)
    install.program(folder).unlink()
    install.make_environment(folder, install.PYTHONS, "a test", "other content", made.append)
    assert len(made) == 3 and install.usable(folder, install.PYTHONS)


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
    monkeypatch.setattr(install, "PREFIXES", (str(tmp_path / "usr" / "bin"),))
    monkeypatch.setattr(run, "ROOT", tmp_path / "project")
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")
@pytest.mark.parametrize("place", ["bin/python3.14", "home/.pyenv/versions/3.14.2/bin/python3.14", "usr/bin/python3.14"])
def test_a_python_is_found_wherever_it_lies_and_only_if_it_runs(machine, place):
    assert install.find_python(install.PYTHONS, run.ROOT) == sys.executable
    assert install.find_python(("3.14",), run.ROOT) is None
    pretend_python(machine / "bin" / "python3.14", "3.14", runs=False)
    assert install.find_python(("3.14",), run.ROOT) is None
    found = pretend_python(machine / place, "3.14")
    assert install.find_python(("3.14",), run.ROOT) == str(found)


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
            raise install.Stopped("no wheel")

    monkeypatch.setattr(run, "install_blender", fails)
    monkeypatch.setattr(run, "find_python", lambda versions, kept: sys.executable)
    assert "5.0" not in run.install_blenders(every=True)
    assert "note: no wheel" in capsys.readouterr().out
    monkeypatch.setattr(run, "find_python", lambda versions, kept: sys.executable if versions == ("3.11",) else None)
    monkeypatch.setattr(run, "BLENDERS", {"5.0": run.BLENDERS["5.0"]})
    assert run.install_blenders(every=True) == [], "its tests are skipped"
    with pytest.raises(install.Stopped, match="no wheel"):
        run.install_blenders(every=False)


def test_a_python_that_is_nowhere_is_fetched_and_that_is_said_before(machine, monkeypatch, capsys):
    said = []

    def pretend_run(command, what):
        said.append(capsys.readouterr().out)
        if "python" in command and "install" in command:
            assert command[-1] == "3.14"
            pretend_python(run.ROOT / ".venv-python" / "cpython-3.14.1-linux" / "bin" / "python3.14", "3.14")

    monkeypatch.setattr(install, "run", pretend_run)
    assert install.fetch_python(("3.14", "3.15"), "Blender 9", run.ROOT) == install.find_python(("3.14",), run.ROOT)
    assert "Blender 9 needs Python 3.14 or 3.15, which this machine has not: fetching 3.14" in said[0]

    def no_network(command, what):
        raise install.Stopped(f"{what} failed (no route): check the network, then try again")

    monkeypatch.setattr(install, "run", no_network)
    with pytest.raises(install.Stopped, match=r"check the network.*or install Python 3\.15 yourself, then try again"):
        install.fetch_python(("3.15",), "Blender 10", run.ROOT)


def test_the_build_for_gpus_is_taken_where_no_other_can_be_had_and_there_is_room(tmp_path, monkeypatch, capsys):
    tried = []

    def pip(folder, what, *arguments):
        tried.append(arguments)
        if "--index-url" in arguments:
            raise install.Stopped("installing PyTorch failed (no route): check the network, then try again")

    monkeypatch.setattr(install, "pip", pip)
    monkeypatch.setattr(install, "torch_choices", lambda folder: install.choose_torch("linux", False, "2.13.0"))
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())
    free = 1e12
    install.install_torch(tmp_path)
    assert tried[-1] == (install.TORCH,)
    assert "a download of about 3 GB" in capsys.readouterr().out
    free = 9e9
    with pytest.raises(install.Stopped, match=r"then try again; the build for GPUs would need 8 GB more of disk"):
        install.install_torch(tmp_path)


def test_the_exit_code_says_whether_it_went_well(monkeypatch, capsys):
    monkeypatch.setattr(run, "install", lambda all_blenders=False: ["5.0"])
    assert run.main(["install"]) == 0
    assert run.main(["help"]) == 0 and run.main([]) == 0
    assert run.main(["instal"]) == 2

    def no_room(all_blenders=False):
        raise install.Stopped("no room")

    monkeypatch.setattr(run, "install", no_room)
    assert run.main(["install"]) == 1
    assert capsys.readouterr().err == "run.py: no room\n"


def test_failures_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(install.Stopped, match=r"trying failed \(boom\): try again"):
        install.run([sys.executable, "-c", "import sys; print('boom'); sys.exit(3)"], "trying")
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e9})())
    with pytest.raises(install.Stopped, match=r"1\.0 GB are free, 6 GB are needed: make room on the disk"):
        install.check_room(tmp_path / "environment")


@pytest.mark.parametrize(("output", "advice"), [
    ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "make room on the disk"),
    ("ERROR: No matching distribution found for torch==2.13.0", "check the network"),
    ("ERROR: [Errno 13] Permission denied: 'a.dll'", "end the programs that use this folder, or make it writable"),
])  # fmt: skip
def test_a_failure_says_what_to_do(output, advice):
    with pytest.raises(install.Stopped) as stopped:
        install.run([sys.executable, "-c", f"raise SystemExit({output!r})"], "trying")
    assert str(stopped.value) == f"trying failed ({output.removeprefix('ERROR: ')}): {advice}, then try again"


def test_variables_of_another_python_and_pip_do_not_reach_what_it_runs(monkeypatch, tmp_path):
    for name in install.FOREIGN:
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example")
    asked = f"import os, sys; sys.exit([name for name in {install.FOREIGN} if name in os.environ] + [os.environ['PIP_INDEX_URL']])"
    with pytest.raises(install.Stopped, match=r"trying failed \(\['https://mirror.example'\]\)"):
        install.run([sys.executable, "-c", asked], "trying")


def test_two_installations_into_one_folder_are_not_mixed(tmp_path):
    folder = tmp_path / "home" / "environment"
    ended = r"another program is installing into .*: wait until it has ended, then try again"
    with install.alone(folder), pytest.raises(install.Stopped, match=ended), install.alone(folder):
        pass
    with install.alone(folder):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(install.Stopped, match=r"file cannot be written .*: make it writable, then try again"), install.alone(tmp_path / "file" / "a"):
        pass


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment in a user's folder which is complete and noted, and the names of what is installed into it from now on."""
    folder, done = tmp_path / "environment", []
    python = install.program(folder)
    python.parent.mkdir(parents=True)
    python.write_text("")
    (folder / ".complete").write_text("old")
    (tmp_path / "python.txt").write_text(str(python))
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "usable", lambda folder, versions: True)
    monkeypatch.setattr(install, "install_torch", lambda folder: done.append("torch"))
    monkeypatch.setattr(install, "pip", lambda folder, what, *arguments: done.append(what))
    monkeypatch.setattr(install, "run", lambda command, what: done.append(what))
    monkeypatch.setattr(install, "default_folder", lambda python: str(tmp_path))
    monkeypatch.setattr(install.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e12})())
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "requirements.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "BUILD").write_text("new")
    return folder, done


def test_an_update_is_in_use_only_when_it_is_whole(environment, monkeypatch):
    folder, done = environment
    noted = folder.parent / "python.txt"

    def breaks(folder):
        assert not noted.exists() and not (folder / ".complete").exists(), "nothing half updated is started"
        raise install.Stopped("no network")

    whole = install.install_torch
    monkeypatch.setattr(install, "install_torch", breaks)
    with pytest.raises(install.Stopped, match="no network"):
        install.install_backend(folder)
    assert not noted.exists() and install.program(folder).exists(), "what is there is kept"
    monkeypatch.setattr(install, "install_torch", whole)
    install.install_backend(folder)
    assert done == ["torch", "pinned packages", "MIMAFace itself", "compiling, once"]
    assert noted.read_text() == str(install.program(folder)) and (folder / ".complete").read_text() == "new"
    install.install_backend(folder)
    assert len(done) == 4, "nothing is done twice"
    monkeypatch.setattr(install, "default_folder", lambda python: "" if len(done) == 4 else str(folder.parent))
    install.install_backend(folder)
    assert len(done) == 8, "a damaged one is filled anew"


def test_an_environment_that_does_not_work_is_made_anew_the_next_time(environment, monkeypatch):
    folder, _ = environment

    def breaks(command, what):
        raise install.Stopped("compiling failed (no module numpy): try again")

    monkeypatch.setattr(install, "run", breaks)
    with pytest.raises(install.Stopped, match="compiling failed"):
        install.install_backend(folder)
    assert not folder.exists() and not (folder.parent / "python.txt").exists()
    folder.mkdir()
    (folder.parent / "BUILD").unlink()
    with pytest.raises(install.Stopped, match="compiling failed"):
        install.install_backend(folder)
    assert folder.exists(), "a developer's is kept"


def test_the_backend_alone_is_installed_into_the_clone(monkeypatch):
    made = []
    monkeypatch.setattr(run, "install_backend", made.append)
    assert run.main(["backend"]) == 0
    assert made == [ROOT / ".venv"]


def test_every_locked_package_has_one_exact_version():
    lines = [
        line for line in (ROOT / "backend" / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
    ]
    assert all(line.count("==") == 1 for line in lines)
    assert not any(line.lower().startswith(("nvidia", "torch=", "torchvision", "triton")) for line in lines)
