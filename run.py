#!/usr/bin/env python3
"""Set MIMAFace Animator up and run it, with the standard library only.

python3 run.py install    environments with pinned packages, in .venv and .venv-blender-*
python3 run.py demo       install, then make the demo in real Blender
python3 run.py test       install, then every check and test (more arguments go to pytest)
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHONS = ("3.11", "3.12", "3.13")  # that the backend runs on
BLENDERS = {  # by version: the Python that its wheel is for, and its packages
    "5.0": ("3.11", ("bpy==5.0.1", "numpy==1.26.4")),
    "5.2": ("3.13", ("bpy==5.2.3", "numpy==2.2.6")),
    "4.2": ("3.11", ("bpy==4.2.23", "numpy==1.26.4")),
    "4.5": ("3.11", ("bpy==4.5.15", "numpy==1.26.4")),
}
PREFIXES = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/Library/Frameworks/Python.framework/Versions/{version}/bin")
UV = "uv==0.13.9"
TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_BYTES = 6e9
CUDA_BYTES = 8e9  # that a CUDA build of PyTorch needs besides: 3 GB of downloads, 5 GB unpacked
MOST_WORKERS = 4  # processes of the tests, each with a core and about 3 GB of its own, its Blender and backend included
COMPILE = ("-m", "mimaface.cli", "bench", "--engine", "proxy", "--size", "64", "--frames", "24")  # compiles the kernels: half a minute
NO_NETWORK = ("Temporary failure", "Connection", "getaddrinfo", "lookup address", "No matching distribution")  # in pip's output
WINDOWS = sys.platform == "win32"


class Stopped(Exception):
    """One sentence for the user."""


def main(arguments: list[str]) -> int:
    command, rest = (arguments or ["help"])[0], arguments[1:]
    try:
        if command == "test":
            return test(rest)
        if command in ("install", "demo"):
            (install if command == "install" else demo)()
            return 0
        print(__doc__)
        return 0 if command in ("help", "-h", "--help") else 2
    except Stopped as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("run.py: stopped; run it again to go on", file=sys.stderr)
        return 130


def install(all_blenders: bool = False) -> list[str]:
    """The backend's environment and Blender's; returns the Blenders that are ready, or the one to use first."""
    check_folder()
    content = (ROOT / "backend" / "requirements.txt").read_text() + (ROOT / "pyproject.toml").read_text() + TORCH
    make_environment(ROOT / ".venv", PYTHONS, "the backend", content, install_backend)
    note_interpreter(program(ROOT / ".venv"))
    return install_blenders(all_blenders)


def install_backend(folder: Path) -> None:
    install_torch(folder)
    pip(folder, "pinned packages", "-r", str(ROOT / "backend" / "requirements.txt"))
    pip(folder, "MIMAFace itself", "--no-deps", "--no-build-isolation", "-e", str(ROOT))
    run([str(program(folder)), *COMPILE], "compiling, once")


def install_blenders(every: bool) -> list[str]:
    """For the tests every Blender whose Python is on this machine; for the rest the first that can be had.

    One that is installed comes first, then one for the Python that runs this; only where no Python fits any, one is fetched.
    """
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    ready: list[str] = []
    problems: list[Stopped] = []
    order = sorted(BLENDERS, key=lambda version: (not blender_folder(version).exists(), BLENDERS[version][0] != here))
    there = [version for version in order if has_python(version)]
    for version in there or order[:1]:
        try:
            install_blender(version)
            ready.append(version)
        except Stopped as error:
            problems.append(error)
        if ready and not every:
            break
    if not ready and not every:
        raise problems[0]
    for problem in problems:
        print(f"note: {problem}", flush=True)
    return ready


def install_blender(version: str) -> None:
    python, packages = BLENDERS[version]

    def fill(folder: Path) -> None:
        try:
            pip(folder, packages[0], *packages)
        except Stopped as error:
            machine = f"{platform.system()} {platform.machine()}"
            raise Stopped(f"{error} (there may be no {packages[0]} wheel for {machine})") from error

    make_environment(blender_folder(version), (python,), f"Blender {version}", " ".join(packages), fill)


def has_python(version: str) -> bool:
    """Whether this machine has the Python that a Blender needs, in its environment or anywhere else."""
    return usable(blender_folder(version), BLENDERS[version][:1]) or find_python(BLENDERS[version][:1]) is not None


def blender_folder(version: str) -> Path:
    return ROOT / f".venv-blender-{version}"


def make_environment(folder: Path, pythons: tuple[str, ...], what: str, content: str, fill: Callable[[Path], None]) -> None:
    """Make a virtual environment and fill it, unless its marker says that this was done for the same content."""
    marker = folder / ".complete"
    digest = hashlib.sha256(f"{content}{ROOT}".encode()).hexdigest()
    works = usable(folder, pythons)
    if works and marker.exists() and marker.read_text() == digest:
        return
    python = "" if works else find_python(pythons) or fetch_python(pythons, what)
    print(f"preparing {what} in {folder.name}", flush=True)
    marker.unlink(missing_ok=True)
    if not works:  # not there, left half made, of another Python, or its Python is gone
        shutil.rmtree(folder, ignore_errors=True)
        run([python, "-m", "venv", str(folder)], "making a virtual environment")
    fill(folder)
    marker.write_text(digest)


def install_torch(folder: Path) -> None:
    """PyTorch, without CUDA's packages on a machine without an NVIDIA GPU if that build can be had."""
    for arguments in torch_choices(folder):
        try:
            return pip(folder, "PyTorch", *arguments)
        except Stopped as error:
            if arguments == [TORCH]:
                raise
            if shutil.disk_usage(ROOT).free < NEEDED_BYTES + CUDA_BYTES:
                raise Stopped(f"{error}; the build for GPUs would need {CUDA_BYTES / 1e9:.0f} GB more of disk") from error
            print(f"note: {CPU_INDEX} gives no PyTorch: taking the build for GPUs, a download of about 3 GB", flush=True)


def torch_choices(folder: Path) -> list[list[str]]:
    """What to tell pip, the best first, so that a machine without an NVIDIA GPU gets no CUDA packages."""
    resolved = ""
    if sys.platform == "linux" and not has_nvidia():
        asked = [str(program(folder)), "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--no-deps", TORCH]
        report = subprocess.run(asked, capture_output=True, text=True).stdout
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


def find_python(versions: tuple[str, ...]) -> str | None:
    """A Python of one of these versions that can make virtual environments: this one, else one that is on this machine."""
    own = [sys.executable] if f"{sys.version_info[0]}.{sys.version_info[1]}" in versions else []
    candidates = own + [path for version in versions for path in places_of_python(version)]
    return next((path for path in candidates if path and version_of(path) in versions), None)


def places_of_python(version: str) -> list[str]:
    """Where installers put a Python of this version, whether or not that is on the PATH."""
    home, found = Path.home(), [shutil.which(f"python{version}") or ""]
    if WINDOWS and (launcher := shutil.which("py")):
        asked = [launcher, f"-{version}", "-c", "import sys; print(sys.executable)"]
        found.append(subprocess.run(asked, capture_output=True, text=True).stdout.strip())
    program = "python.exe" if WINDOWS else f"bin/python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / ("pyenv-win/versions" if WINDOWS else "versions")
    managed = home / ("AppData/Roaming/uv/python" if WINDOWS else ".local/share/uv/python")
    kept = ((pyenv, f"{version}.*"), (managed, f"cpython-{version}.*"), (ROOT / ".venv-python", f"cpython-{version}.*"))
    for folder, pattern in kept:
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
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True).returncode == 0


def fetch_python(versions: tuple[str, ...], what: str) -> str:
    """A Python from uv, in a folder of this project's own."""
    version, tool, folder = versions[0], ROOT / ".venv-uv", ROOT / ".venv-python"
    needed = f"{what} needs Python {' or '.join(versions)}, which this machine has not"
    print(f"{needed}: fetching {version} into .venv-python (about 30 MB)", flush=True)
    if not version_of(sys.executable):
        lacking = f"{sys.executable} cannot make virtual environments"
        raise Stopped(f"{lacking}: install its venv package, or Python {version}, and run again")
    try:
        if not usable(tool, (version_of(sys.executable),)):
            run([sys.executable, "-m", "venv", "--clear", str(tool)], "making a virtual environment")
        pip(tool, "uv", UV)
        fetch = [str(program(tool)), "-m", "uv", "python", "install", "--no-bin", "--install-dir", str(folder), version]
        run(fetch, f"fetching Python {version}")
    except Stopped as error:
        raise Stopped(f"{error}; or install Python {version} yourself and run again") from error
    if (python := find_python((version,))) is None:
        raise Stopped(f"the Python {version} that was fetched does not run: install Python {version} yourself and run again")
    return python


def check_folder() -> None:
    try:
        probe = ROOT / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Stopped(f"{ROOT} cannot be written ({error.strerror}): copy it to a folder of your own") from error
    if (ROOT / ".venv" / ".complete").exists():
        return
    if (free := shutil.disk_usage(ROOT).free) < NEEDED_BYTES:
        raise Stopped(f"{free / 1e9:.1f} GB are free, {NEEDED_BYTES / 1e9:.0f} GB are needed: make room and run again")


def program(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if WINDOWS else "bin/python")


def pip(folder: Path, what: str, *arguments: str) -> None:
    command = [str(program(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    run(command, f"installing {what}")


def run(command: list[str], what: str) -> None:
    """Run quietly, showing the time; on failure one sentence with the last line of the output."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    live = sys.stdout.isatty()
    while True:
        try:
            output, _ = process.communicate(timeout=1)
            break
        except subprocess.TimeoutExpired:
            if live:
                print(f"\r  {what} … {time.monotonic() - started:.0f} s", end="", flush=True)
    if process.returncode:
        lines = [line for line in output.splitlines() if line.strip() and not line.startswith("WARNING")]
        last = lines[-1].strip().removeprefix("cause: ") if lines else "no message"
        hint = ": is the network up" if any(word in output for word in NO_NETWORK) else ""
        raise Stopped(f"{what} failed{hint}: {last}")
    print(f"\r  {what}: {time.monotonic() - started:.0f} s", flush=True)


def note_interpreter(path: Path) -> None:
    """Set the path of the backend's Python in the add-on's preferences."""
    asked = [str(path), "-c", "from mimaface.protocol.connection import default_folder; print(default_folder())"]
    output = subprocess.run(asked, capture_output=True, text=True)
    if output.returncode:
        raise Stopped(f"the backend does not start: {output.stderr.strip().splitlines()[-1]}")
    folder = Path(output.stdout.strip())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "python.txt").write_text(str(path), encoding="utf-8")
    except OSError as error:
        print(f"note: {folder} cannot be written ({error.strerror}); set the backend's Python in the add-on's preferences")


def demo() -> None:
    blender = install()[0]
    started, folder = time.monotonic(), ROOT / "demo"
    if folder.exists():
        kept = next(ROOT / f"demo.{number}" for number in range(1, 1000) if not (ROOT / f"demo.{number}").exists())
        folder.rename(kept)
        print(f"the demo made before is now {kept.name}")
    folder.mkdir()
    backend, assets = program(ROOT / ".venv"), ROOT / "backend" / "mimaface" / "assets"
    call([str(backend), "blender_addon/build.py"])
    environment = clean_environment() | {
        "MIMAFACE_ZIP": str(ROOT / "dist" / "mimaface_addon.zip"), "MIMAFACE_WORK": str(folder), "MIMAFACE_PYTHON": str(backend),
        "MIMAFACE_PORTRAIT": str(assets / "portrait.png"), "MIMAFACE_TAKE": str(assets / "take.csv"),
        "MIMAFACE_HOME": str(folder / ".home"), "BLENDER_USER_RESOURCES": str(folder / ".blender"),
    }  # fmt: skip
    call([str(program(blender_folder(blender))), "blender_addon/demo.py"], environment)
    call([str(backend), "blender_addon/demo_pictures.py", str(folder)])
    print(f"the demo took {time.monotonic() - started:.0f} s")


def test(arguments: list[str]) -> int:
    if missing := sorted(set(BLENDERS) - set(install(all_blenders=True))):
        print(f"note: without Blender {', '.join(missing)}: the tests in it will be skipped", flush=True)
    backend = str(program(ROOT / ".venv"))
    ask = functools.partial(subprocess.run, cwd=ROOT, env=clean_environment(), capture_output=True, text=True)
    contract = ("-c", "from importlinter.cli import lint_imports_command as c; c()")
    checks = ("-m", "ruff", "check", "."), ("-m", "mypy"), ("-m", "mypy", "-p", "mimaface_addon"), contract
    with ThreadPoolExecutor(1) as beside:  # tests that wait for other programs leave the checks time
        checked = beside.map(ask, [[backend, *check] for check in checks])
        ask([backend, *COMPILE])  # for all workers
        ask([backend, "blender_addon/build.py"])  # before workers want its wheels
        command = [backend, "-m", "pytest", "-n", str(min(os.cpu_count() or 1, MOST_WORKERS)), "--dist", "loadfile", "--no-loadscope-reorder"]
        command += arguments or ["--cov", "--cov-report", "term"]  # a part of the tests covers a part
        code = subprocess.run(command, cwd=ROOT, env=clean_environment() | {"OMP_NUM_THREADS": "1"}).returncode
    failed = [done for done in checked if done.returncode]
    print("".join(f"{done.stdout}{done.stderr}failed: {' '.join(done.args[1:])}\n" for done in failed), end="", file=sys.stderr)
    return code or len(failed)


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}


def call(command: list[str], environment: dict[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=ROOT, env=environment or clean_environment()).returncode:
        raise Stopped(f"{Path(command[1]).name} failed: see above")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
