"""Install the backend into an environment of its own, with the standard library only; for run.py and Blender's Install Backend.

python3 backend/install.py FOLDER    the environment to make; without a terminal, it ends when its standard input is closed
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # a clone, or the copy that the extension brings, which has the file BUILD
PYTHONS = ("3.11", "3.12", "3.13")  # that the backend runs on
PREFIXES = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/Library/Frameworks/Python.framework/Versions/{version}/bin")
UV = "uv==0.13.9"
TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_BYTES = 6e9
CUDA_BYTES = 8e9  # that a CUDA build of PyTorch needs besides: 3 GB of downloads, 5 GB unpacked
COMPILE = ("-m", "mimaface.cli", "bench", "--engine", "proxy", "--size", "64", "--frames", "24")  # compiles the kernels: half a minute
ADVICE = {  # words in a program's output: what to do
    ("Temporary failure", "Connection", "getaddrinfo", "lookup address", "No matching distribution"): "check the network, then try again",
    ("No space left", "not enough space", "Disk quota"): "make room on the disk, then try again",
    ("Permission denied", "Access is denied"): "end the programs that use this folder, or make it writable, then try again",
}
FOREIGN = (  # variables of the Python that starts this, or that let pip install elsewhere than into the environment
    "PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQ_TRACKER", "PIP_BUILD_TRACKER",
)  # fmt: skip
WINDOWS = sys.platform == "win32"


class Stopped(Exception):
    """One sentence for the user."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    end_with_input()
    try:
        install_backend(Path(arguments[0]).absolute())
    except Stopped as error:
        print(f"install.py: {error}", flush=True)
        return 1
    except KeyboardInterrupt:
        print("install.py: stopped; run it again to go on", flush=True)
        return 130
    return 0


def end_with_input() -> None:
    """End this process and its children when standard input is closed: by Cancel, or by the end of Blender, whatever ended it."""
    if os.isatty(0):  # started by hand: Ctrl-C ends it
        return
    if not WINDOWS:
        os.setpgrp()

    def wait() -> None:
        os.read(0, 1)  # not sys.stdin, whose lock would make the end of this process fail
        if sys.platform == "win32":
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(os.getpid())])
        else:
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def install_backend(folder: Path) -> None:
    """Make the environment ``folder``, unless it is complete, and note its Python for the add-on.

    An incomplete one is not in use: its Python is noted only after it has made frames. What was installed before a break is kept.
    """
    build, python = ROOT / "BUILD", program(folder)
    shipped = build.is_file()
    marker = folder / ".complete"
    try:
        pins = (ROOT / "backend" / "requirements.txt").read_text() + (ROOT / "pyproject.toml").read_text() + TORCH
        content = build.read_text() if shipped else digest(pins)
        with alone(folder):
            check_room(folder)
            if marker.exists() and not default_folder(python):  # it was damaged
                marker.unlink()
            make_environment(folder, PYTHONS, "the backend", content, lambda folder: fill(folder, shipped))
            note_interpreter(python)
    except OSError as error:
        raise Stopped(f"{error.filename or folder} cannot be used ({error.strerror}): make room on the disk, then try again") from error


def digest(content: str) -> str:
    """What is written into an environment of this clone that was made for ``content``."""
    return hashlib.sha256(f"{content}{ROOT}".encode()).hexdigest()


def fill(folder: Path, shipped: bool) -> None:
    """``shipped``: by the extension, whose folder may go: so the backend is copied, and an environment that does not work is removed."""
    withdraw_interpreter(folder)
    install_torch(folder)
    pip(folder, "pinned packages", "-r", str(ROOT / "backend" / "requirements.txt"))
    pip(folder, "MIMAFace itself", "--no-deps", "--no-build-isolation", *([] if shipped else ["-e"]), str(ROOT))
    try:
        run([str(program(folder)), *COMPILE], "compiling, once")
    except Stopped:
        if shipped:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def make_environment(folder: Path, pythons: tuple[str, ...], what: str, content: str, fill: Callable[[Path], None]) -> None:
    """Make a virtual environment and fill it, unless its marker says that this was done for the same ``content``."""
    marker = folder / ".complete"
    works = usable(folder, pythons)
    if works and marker.exists() and marker.read_text() == content:
        return
    python = "" if works else find_python(pythons, folder.parent) or fetch_python(pythons, what, folder.parent)
    print(f"preparing {what} in {folder.name}", flush=True)
    marker.unlink(missing_ok=True)
    if not works:  # not there, left half made, of another Python, or its Python is gone
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", str(folder)], "making a virtual environment")
    fill(folder)
    marker.write_text(content)


def install_torch(folder: Path) -> None:
    """PyTorch, without CUDA's packages on a machine without an NVIDIA GPU if that build can be had."""
    for arguments in torch_choices(folder):
        try:
            return pip(folder, "PyTorch", *arguments)
        except Stopped as error:
            if arguments == [TORCH]:
                raise
            if shutil.disk_usage(folder).free < NEEDED_BYTES + CUDA_BYTES:
                raise Stopped(f"{error}; the build for GPUs would need {CUDA_BYTES / 1e9:.0f} GB more of disk") from error
            print(f"note: {CPU_INDEX} gives no PyTorch: taking the build for GPUs, a download of about 3 GB", flush=True)


def torch_choices(folder: Path) -> list[list[str]]:
    """What to tell pip, the best first, so that a machine without an NVIDIA GPU gets no CUDA packages."""
    resolved = ""
    if sys.platform == "linux" and not has_nvidia():
        asked = [str(program(folder)), "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--no-deps", TORCH]
        report = subprocess.run(asked, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=clean_environment()).stdout
        with contextlib.suppress(ValueError, KeyError, IndexError):
            resolved = str(json.loads(report)["install"][0]["metadata"]["version"])
    return choose_torch(sys.platform, has_nvidia(), resolved)


def choose_torch(system: str, nvidia: bool, resolved: str) -> list[list[str]]:
    """``resolved`` is the version that pip's own indexes would give: when it is a CPU build already, they are enough."""
    if system != "linux" or nvidia or resolved.endswith("+cpu"):
        return [[TORCH]]
    return [[TORCH, "--index-url", CPU_INDEX], [TORCH]]


def has_nvidia() -> bool:
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def find_python(versions: tuple[str, ...], kept: Path) -> str | None:
    """A Python of one of these versions that can make virtual environments: this one, else one that is on this machine or in ``kept``."""
    own = [sys.executable] if f"{sys.version_info[0]}.{sys.version_info[1]}" in versions else []
    candidates = own + [path for version in versions for path in places_of_python(version, kept)]
    return next((path for path in candidates if path and version_of(path) in versions), None)


def places_of_python(version: str, kept: Path) -> list[str]:
    """Where installers put a Python of this version, whether or not that is on the PATH."""
    home, found = Path.home(), [shutil.which(f"python{version}") or ""]
    if WINDOWS and (launcher := shutil.which("py")):
        asked = [launcher, f"-{version}", "-c", "import sys; print(sys.executable)"]
        found.append(subprocess.run(asked, capture_output=True, text=True).stdout.strip())
    program = "python.exe" if WINDOWS else f"bin/python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / ("pyenv-win/versions" if WINDOWS else "versions")
    managed = home / ("AppData/Roaming/uv/python" if WINDOWS else ".local/share/uv/python")
    for folder, pattern in ((pyenv, f"{version}.*"), (managed, f"cpython-{version}.*"), (kept / ".venv-python", f"cpython-{version}.*")):
        found += [str(path / program) for path in sorted(folder.glob(pattern), reverse=True)]
    if not WINDOWS:
        found += [f"{prefix.format(version=version)}/python{version}" for prefix in PREFIXES]
    return [path for path in found if path and Path(path).exists()]


def version_of(python: str | Path) -> str:
    """Such as "3.12"; nothing when it does not run (as pyenv's stand-ins may not) or lacks what makes virtual environments."""
    asked = [str(python), "-c", "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, env=clean_environment(), timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def usable(folder: Path, versions: tuple[str, ...]) -> bool:
    """Whether this virtual environment has a running Python of one of these versions, with pip."""
    python = program(folder)
    if not python.exists() or version_of(python) not in versions:
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, env=clean_environment()).returncode == 0


def fetch_python(versions: tuple[str, ...], what: str, kept: Path) -> str:
    """A Python from uv, in a folder of this project's own in ``kept``."""
    version, tool, folder = versions[0], kept / ".venv-uv", kept / ".venv-python"
    needed = f"{what} needs Python {' or '.join(versions)}, which this machine has not"
    print(f"{needed}: fetching {version} into .venv-python (about 30 MB)", flush=True)
    if not version_of(sys.executable):
        lacking = f"{sys.executable} cannot make virtual environments"
        raise Stopped(f"{lacking}: install its venv package, or Python {version}, then try again")
    try:
        if not usable(tool, (version_of(sys.executable),)):
            run([sys.executable, "-m", "venv", "--clear", str(tool)], "making a virtual environment")
        pip(tool, "uv", UV)
        fetch = [str(program(tool)), "-m", "uv", "python", "install", "--no-bin", "--install-dir", str(folder), version]
        run(fetch, f"fetching Python {version}")
    except Stopped as error:
        raise Stopped(f"{error}; or install Python {version} yourself, then try again") from error
    if (python := find_python((version,), kept)) is None:
        raise Stopped(f"the Python {version} that was fetched does not run: install Python {version} yourself, then try again")
    return python


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One installation into ``folder`` at a time; the system frees the lock when this process ends. Raises :class:`Stopped`."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f"{folder.name}.lock").open("ab")
    except OSError as error:
        raise Stopped(f"{folder.parent} cannot be written ({error.strerror}): make it writable, then try again") from error
    with lock:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise Stopped(f"another program is installing into {folder}: wait until it has ended, then try again") from error
        except OSError:
            print("note: this file system has no locks: install once at a time", flush=True)
        yield


def check_room(folder: Path) -> None:
    if not (folder / ".complete").exists() and (free := shutil.disk_usage(folder.parent).free) < NEEDED_BYTES:
        raise Stopped(f"{free / 1e9:.1f} GB are free, {NEEDED_BYTES / 1e9:.0f} GB are needed: make room on the disk, then try again")


def program(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if WINDOWS else "bin/python")


def pip(folder: Path, what: str, *arguments: str) -> None:
    command = [str(program(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    run(command, f"installing {what}")


def run(command: list[str], what: str) -> None:
    """Run quietly, showing the time, or in a log the beginning; on failure one sentence with the last line of the output."""
    started, live = time.monotonic(), sys.stdout.isatty()
    begin = "\r" if live else ""
    print(f"  {what} …", end="" if live else "\n", flush=True)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=clean_environment()
    )
    while True:
        try:
            output, _ = process.communicate(timeout=1)
            break
        except subprocess.TimeoutExpired:
            if live:
                print(f"\r  {what} … {time.monotonic() - started:.0f} s", end="", flush=True)
    if process.returncode:
        lines = [line for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
        last = lines[-1].strip().removeprefix("cause: ").removeprefix("ERROR: ") if lines else "no message"
        advice = next((step for words, step in ADVICE.items() if any(word in output for word in words)), "try again")
        raise Stopped(f"{what} failed ({last}): {advice}")
    print(f"{begin}  {what}: {time.monotonic() - started:.0f} s", flush=True)


def default_folder(python: Path) -> str:
    """The user's folder of the backend as its Python says, which imports it; "" where it cannot."""
    asked = [str(python), "-c", "from mimaface.protocol.connection import default_folder; print(default_folder())"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=clean_environment())
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def note_interpreter(python: Path) -> None:
    """Write the path of the backend's Python where the add-on reads it."""
    if not (found := default_folder(python)):
        raise Stopped(f"the backend does not start with {python}: try again")
    folder = Path(found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "python.txt").write_text(str(python), encoding="utf-8")
    except OSError as error:
        print(f"note: {folder} cannot be written ({error.strerror}); set the backend's Python in the add-on's preferences")


def withdraw_interpreter(folder: Path) -> None:
    """While an environment in the user's folder is filled, the add-on must not start it."""
    noted = folder.parent / "python.txt"
    if noted.is_file() and noted.read_text(encoding="utf-8") == str(program(folder)):
        noted.unlink()


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in FOREIGN}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
