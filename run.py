#!/usr/bin/env python3
"""Set MIMAFace Animator up and run it, with the standard library only.

python3 run.py install    environments with pinned packages, in .venv and .venv-blender-*
python3 run.py demo       install, then make the demo in real Blender
python3 run.py test       install, then every check and test (more arguments go to pytest)
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHON = (3, 11)
BLENDERS = {"5.0": "bpy==5.0.1", "4.2": "bpy==4.2.23"}
BLENDER_PACKAGES = ("numpy==1.26.4",)
TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
NEEDED_BYTES = 6e9
WINDOWS = sys.platform == "win32"


class Stopped(Exception):
    """One sentence for the user."""


def main(arguments: list[str]) -> int:
    command, rest = (arguments or ["help"])[0], arguments[1:]
    commands = {"install": lambda: install(), "demo": lambda: demo(), "test": lambda: test(rest)}
    if command not in commands:
        print(__doc__)
        return 0 if command in ("help", "-h", "--help") else 2
    try:
        return commands[command]() or 0
    except Stopped as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("run.py: stopped; run it again to go on", file=sys.stderr)
        return 130


# installing


def install(blenders: tuple[str, ...] = ("5.0",), optional: bool = False) -> None:
    """The backend and Blender environments; with ``optional`` a Blender that cannot be had is only noted."""
    python = find_python()
    check_folder()
    backend = ROOT / ".venv"
    lock = ROOT / "backend" / "requirements.txt"
    make_environment(backend, python, "the backend", lock.read_text() + (ROOT / "pyproject.toml").read_text(), install_backend)
    note_interpreter(program(backend))
    for version in blenders:
        folder = ROOT / f".venv-blender-{version}"
        try:
            make_environment(
                folder, python, f"Blender {version}", BLENDERS[version], lambda path, v=version: install_blender(path, v)
            )
        except Stopped as error:
            if not optional:
                raise
            print(f"note: {error}; its tests will be skipped")


def install_backend(folder: Path) -> None:
    pip(folder, "PyTorch", *torch_arguments(folder))
    pip(folder, "pinned packages", "-r", str(ROOT / "backend" / "requirements.txt"))
    pip(folder, "MIMAFace itself", "--no-deps", "--no-build-isolation", "-e", str(ROOT))


def install_blender(folder: Path, version: str) -> None:
    try:
        pip(folder, BLENDERS[version], BLENDERS[version], *BLENDER_PACKAGES)
    except Stopped as error:
        machine = f"{platform.system()} {platform.machine()}"
        raise Stopped(f"{error} (there may be no {BLENDERS[version]} wheel for {machine})") from error


def make_environment(folder: Path, python: str, what: str, content: str, fill) -> None:
    """Make a virtual environment and fill it, unless its marker says that this was done for the same content."""
    marker = folder / ".complete"
    digest = hashlib.sha256(f"{content}{python}{ROOT}{TORCH}{BLENDER_PACKAGES}".encode()).hexdigest()
    if marker.exists() and marker.read_text() == digest and program(folder).exists():
        return
    print(f"preparing {what} in {folder.name}", flush=True)
    marker.unlink(missing_ok=True)
    if program(folder).exists() and subprocess.run([program(folder), "-m", "pip", "--version"], capture_output=True).returncode:
        shutil.rmtree(folder)  # left half made, or by a Python without ensurepip
    if not program(folder).exists():
        run([python, "-m", "venv", str(folder)], "making a virtual environment")
    fill(folder)
    marker.write_text(digest)


def torch_arguments(folder: Path) -> list[str]:
    """What to tell pip so that a machine without an NVIDIA GPU gets no CUDA packages."""
    resolved = ""
    if not has_nvidia() and sys.platform == "linux":
        report = subprocess.run(
            [str(program(folder)), "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-", "--no-deps", TORCH],
            capture_output=True, text=True,
        )  # fmt: skip
        if report.returncode == 0:
            try:
                resolved = json.loads(report.stdout)["install"][0]["metadata"]["version"]
            except (ValueError, KeyError, IndexError):
                resolved = ""
    return choose_torch(sys.platform, has_nvidia(), resolved)


def choose_torch(system: str, nvidia: bool, resolved: str) -> list[str]:
    """``resolved`` is the version that pip's own indexes would give: when it is a CPU build already, they are enough."""
    if system != "linux" or nvidia or resolved.endswith("+cpu"):
        return [TORCH]
    return [TORCH, "--index-url", CPU_INDEX]


def has_nvidia() -> bool:
    return shutil.which("nvidia-smi") is not None or Path("/proc/driver/nvidia/version").exists()


def find_python() -> str:
    """A Python of the version that Blender 5.0 carries."""
    if sys.version_info[:2] == PYTHON:
        return sys.executable
    wanted = ".".join(map(str, PYTHON))
    launcher = shutil.which("py")
    if WINDOWS and launcher:
        found = subprocess.run(
            [launcher, f"-{wanted}", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True
        )
        if found.returncode == 0:
            return found.stdout.strip()
    path = shutil.which(f"python{wanted}")
    if path:
        return path
    raise Stopped(f"Python {wanted} is needed and was not found; this is {platform.python_version()}: install it and run again")


def check_folder() -> None:
    try:
        probe = ROOT / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise Stopped(f"{ROOT} cannot be written ({error.strerror}): copy it to a folder of your own") from error
    if (ROOT / ".venv" / ".complete").exists():
        return
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
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
        last = lines[-1].strip() if lines else "no message"
        network = any(word in output for word in ("Temporary failure", "Connection", "getaddrinfo", "No matching distribution"))
        hint = ": is the network up" if network else ""
        raise Stopped(f"{what} failed{hint}: {last}")
    print(f"\r  {what}: {time.monotonic() - started:.0f} s", flush=True)


def note_interpreter(path: Path) -> None:
    """Tell the add-on where the backend's Python is."""
    output = subprocess.run(
        [str(path), "-c", "from mimaface.protocol.connection import default_folder; print(default_folder())"],
        capture_output=True,
        text=True,
    )
    if output.returncode:
        raise Stopped(f"the backend does not start: {output.stderr.strip().splitlines()[-1]}")
    folder = Path(output.stdout.strip())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "python.txt").write_text(str(path), encoding="utf-8")
    except OSError as error:
        print(f"note: {folder} cannot be written ({error.strerror}); set the backend's Python in the add-on's preferences")


# running


def demo() -> int:
    install()
    started = time.monotonic()
    folder = ROOT / "demo"
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
    call([str(program(ROOT / ".venv-blender-5.0")), "blender_addon/demo.py"], environment)
    call([str(backend), "blender_addon/demo_pictures.py", str(folder)])
    print(f"the demo took {time.monotonic() - started:.0f} s")
    return 0


def test(arguments: list[str]) -> int:
    install(tuple(BLENDERS), optional=True)
    backend = str(program(ROOT / ".venv"))
    checks = (["-m", "ruff", "check", "."], ["-m", "mypy"], ["-c", "from importlinter.cli import lint_imports_command as c; c()"])
    failed = [check for check in checks if subprocess.run([backend, *check], cwd=ROOT, env=clean_environment()).returncode]
    code = subprocess.run([backend, "-m", "pytest", *arguments], cwd=ROOT, env=clean_environment()).returncode
    for check in failed:
        print(f"failed: {' '.join(check)}", file=sys.stderr)
    return code or len(failed)


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}


def call(command: list[str], environment: dict[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=ROOT, env=environment or clean_environment()).returncode:
        raise Stopped(f"{Path(command[1]).name} failed: see above")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
