# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the extension zip: the add-on, the backend's protocol package unchanged, pyzmq and msgpack wheels, and the backend's source.

    python blender_addon/build.py [--output dist] [--split-platforms | --legacy]

Standard library only, besides pip for the wheels. The zip is the same for the same inputs, and for all platforms;
``--split-platforms`` makes one for each, with its wheels only. *Install Backend* installs ``source/``. ``--legacy`` leaves manifest and
wheels out, for Blender before 4.2 with both packages in its own Python.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import tomllib

HERE = Path(__file__).resolve().parent
ADDON, PROTOCOL = HERE / "mimaface_addon", HERE.parent / "backend" / "mimaface" / "protocol"
NAME = "mimaface_addon"
SOURCE = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", ".gitignore", "backend/install.py", "backend/requirements.txt")  # of the backend
PACKAGES = ("backend/mimaface", "export/mimaface_export")
PACKED = (".whl", ".safetensors", ".npz", ".tflite", ".png")  # what packing makes no smaller
PINS = ("pyzmq==27.1.0", "msgpack==1.1.2")
# Blender's name of a platform → the tags that pip is asked for, and what the names of its wheels hold
PLATFORMS = {
    "linux-x64": (("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"), ("manylinux",)),
    "macos-arm64": (("macosx_11_0_arm64", "macosx_10_15_universal2"), ("macosx_11_0_arm64", "universal2")),
    "macos-x64": (("macosx_10_15_x86_64", "macosx_10_9_x86_64", "macosx_10_15_universal2"), ("macosx_10_9_x86", "macosx_10_13_x86", "universal2")),
    "windows-x64": (("win_amd64",), ("win_amd64",)),
}  # fmt: skip
PYTHONS = ("3.11", "3.13")
OLDEST_LEGACY = (3, 4, 0)  # the oldest Blender that the tests run
STAMP = (2020, 1, 1, 0, 0, 0)


def download_wheels(folder: Path) -> list[Path]:
    """Fetch the wheels of every platform and Python into ``folder`` unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".complete"
    wanted = f"{PINS} {tuple(tags for tags, _ in PLATFORMS.values())} {PYTHONS}"
    if not (done.exists() and done.read_text() == wanted):
        for stale in folder.glob("*.whl"):
            stale.unlink()
        for platforms, _ in PLATFORMS.values():
            for python in PYTHONS:
                command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
                command += ["--python-version", python, "--implementation", "cp"]
                for platform in platforms:
                    command += ["--platform", platform]
                done_one = subprocess.run([*command, *PINS], stderr=subprocess.PIPE, text=True)
                if done_one.returncode:
                    lines = [line for line in done_one.stderr.splitlines() if line.startswith("ERROR")] or ["no message"]
                    raise SystemExit(f"build.py: the wheels for {platforms[0]}, Python {python} cannot be fetched: {lines[-1]}")
        done.write_text(wanted)
    return sorted(folder.glob("*.whl"))


def manifest_with(wheels: list[Path], platform: str = "") -> str:
    """The manifest with its wheels; ``platform``: for this one only."""
    text = (ADDON / "blender_manifest.toml").read_text(encoding="utf-8")
    if platform:
        text = re.sub(r"^platforms = .*$", f'platforms = ["{platform}"]', text, flags=re.MULTILINE)
    listed = "".join(f'  "./wheels/{wheel.name}",\n' for wheel in wheels)
    head, mark, rest = text.partition("\n# The network")
    return f"{head}wheels = [\n{listed}]\n{mark}{rest}"


def legacy_entry() -> bytes:
    """``__init__.py`` with the ``bl_info`` that Blender before 4.2 reads in place of the manifest."""
    manifest = tomllib.loads((ADDON / "blender_manifest.toml").read_text(encoding="utf-8"))
    info = {
        "name": manifest["name"], "author": manifest["maintainer"], "version": tuple(map(int, manifest["version"].split("."))),
        "blender": OLDEST_LEGACY, "location": "3D View and Sequencer > Sidebar > MIMAFace", "description": manifest["tagline"],
        "category": manifest["tags"][0],
    }  # fmt: skip
    head, mark, rest = (ADDON / "__init__.py").read_text(encoding="utf-8").partition("\ndef register()")
    return f"{head}bl_info = {info!r}\n\n{mark}{rest}".encode()


def source() -> dict[str, bytes]:
    """What ``backend/install.py`` installs the backend from, by its path in the zip; BUILD names the whole by its content."""
    root = HERE.parent
    paths = [*(root / name for name in SOURCE), *(path for name in PACKAGES for path in (root / name).rglob("*") if path.is_file())]
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if "__pycache__" not in path.parts}
    build = hashlib.sha256()
    for name, content in sorted(files.items()):
        build.update(f"{name} {len(content)}\n".encode() + content)
    return {f"source/{name}": content for name, content in {**files, "BUILD": build.hexdigest().encode()}.items()}


def contents(legacy: bool, wheels_folder: Path, platform: str = "") -> dict[str, bytes]:
    """Every file of the zip by its path in it."""
    files = {path.relative_to(ADDON).as_posix(): path.read_bytes() for path in ADDON.rglob("*.py")}
    files |= {f"protocol/{path.name}": path.read_bytes() for path in PROTOCOL.glob("*.py")}
    files |= {name: (HERE / name).read_bytes() for name in ("LICENSE", "NOTICE")}
    files |= {"protocol/LICENSE": (HERE.parent / "LICENSE").read_bytes(), **source()}
    if legacy:
        files["__init__.py"] = legacy_entry()
        return {f"{NAME}/{name}": content for name, content in files.items()}
    signs = PLATFORMS[platform][1] if platform else ("",)
    wheels = [wheel for wheel in download_wheels(wheels_folder) if any(sign in wheel.name for sign in signs)]
    files["blender_manifest.toml"] = manifest_with(wheels, platform).encode()
    return files | {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}


def build(output: Path, legacy: bool = False, platform: str = "") -> Path:
    """Write the zip into the folder ``output`` and return its path; ``platform``: for this one only, a key of ``PLATFORMS``."""
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{NAME}{'-legacy' if legacy else ''}{f'-{platform}' if platform else ''}.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sorted(contents(legacy, HERE.parent / "dist" / "wheels", platform).items()):
            info = zipfile.ZipInfo(name, STAMP)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE.parent / "dist")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--split-platforms", action="store_true")
    kind.add_argument("--legacy", action="store_true")
    arguments = parser.parse_args()
    for platform in PLATFORMS if arguments.split_platforms else ("",):
        target = build(arguments.output, arguments.legacy, platform)
        print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
