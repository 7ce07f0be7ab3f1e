#!/usr/bin/env python3
"""Set MIMAFace Animator up and run it, with the standard library only.

python3 run.py backend    the backend with pinned packages, in .venv: all that a Blender of your own needs
python3 run.py install    the backend, and Blender in .venv-blender-*
python3 run.py demo       install, then make the demo in real Blender
python3 run.py test       install, then every check and test (more arguments go to pytest)
"""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "backend"))
from install import (
    COMPILE,
    Stopped,
    clean_environment,
    digest,
    find_python,
    install_backend,
    make_environment,
    pip,
    program,
    usable,
)

BLENDERS = {  # by version: the Python that its wheel is for, and its packages
    "5.0": ("3.11", ("bpy==5.0.1", "numpy==1.26.4")),
    "5.2": ("3.13", ("bpy==5.2.3", "numpy==2.2.6")),
    "4.2": ("3.11", ("bpy==4.2.23", "numpy==1.26.4")),
    "4.5": ("3.11", ("bpy==4.5.15", "numpy==1.26.4")),
}
MOST_WORKERS = 4  # processes of the tests, each with a core and about 3 GB of its own, its Blender and backend included


def main(arguments: list[str]) -> int:
    command, rest = (arguments or ["help"])[0], arguments[1:]
    commands: dict[str, Callable[[], object]] = {"backend": backend, "install": install, "demo": demo}
    try:
        if command == "test":
            return test(rest)
        if command in commands:
            commands[command]()
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
    backend()
    return install_blenders(all_blenders)


def backend() -> None:
    install_backend(ROOT / ".venv")


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

    make_environment(blender_folder(version), (python,), f"Blender {version}", digest(" ".join(packages)), fill)


def has_python(version: str) -> bool:
    """Whether this machine has the Python that a Blender needs, in its environment or anywhere else."""
    return usable(blender_folder(version), BLENDERS[version][:1]) or find_python(BLENDERS[version][:1], ROOT) is not None


def blender_folder(version: str) -> Path:
    return ROOT / f".venv-blender-{version}"


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


def call(command: list[str], environment: dict[str, str] | None = None) -> None:
    if subprocess.run(command, cwd=ROOT, env=environment or clean_environment()).returncode:
        raise Stopped(f"{Path(command[1]).name} failed: see above")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
