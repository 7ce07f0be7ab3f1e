# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the extension zip: the add-on, the backend's protocol package unchanged, and pyzmq and msgpack wheels.

    python blender_addon/build.py [--output dist] [--legacy]

Standard library only, besides pip for the wheels. The zip is the same for the same inputs. ``--legacy`` leaves manifest and
wheels out, for Blender before 4.2 with both packages in its own Python.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADDON, PROTOCOL = HERE / "mimaface_addon", HERE.parent / "backend" / "mimaface" / "protocol"
NAME = "mimaface_addon"
PINS = ("pyzmq==27.1.0", "msgpack==1.1.2")
PLATFORMS = (
    ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"), ("macosx_11_0_arm64", "macosx_10_15_universal2"),
    ("macosx_10_15_x86_64", "macosx_10_9_x86_64", "macosx_10_15_universal2"), ("win_amd64",),
)  # fmt: skip
PYTHONS = ("3.11", "3.13")
STAMP = (2020, 1, 1, 0, 0, 0)


def download_wheels(folder: Path) -> list[Path]:
    """Fetch the wheels of every platform and Python into ``folder`` unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / ".complete"
    wanted = f"{PINS} {PLATFORMS} {PYTHONS}"
    if not (done.exists() and done.read_text() == wanted):
        for stale in folder.glob("*.whl"):
            stale.unlink()
        for platforms in PLATFORMS:
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


def manifest_with(wheels: list[Path]) -> str:
    listed = "".join(f'  "./wheels/{wheel.name}",\n' for wheel in wheels)
    head, mark, rest = (ADDON / "blender_manifest.toml").read_text(encoding="utf-8").partition("[permissions]")
    return f"{head}wheels = [\n{listed}]\n\n{mark}{rest}"


def contents(legacy: bool, wheels_folder: Path) -> dict[str, bytes]:
    """Every file of the zip by its path in it."""
    files = {path.relative_to(ADDON).as_posix(): path.read_bytes() for path in ADDON.rglob("*.py")}
    files |= {f"protocol/{path.name}": path.read_bytes() for path in PROTOCOL.glob("*.py")}
    files["LICENSE"] = (HERE / "LICENSE").read_bytes()
    if legacy:
        return {f"{NAME}/{name}": content for name, content in files.items()}
    wheels = download_wheels(wheels_folder)
    files["blender_manifest.toml"] = manifest_with(wheels).encode()
    return files | {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}


def build(output: Path, legacy: bool = False) -> Path:
    """Write the zip into the folder ``output`` and return its path."""
    output.mkdir(parents=True, exist_ok=True)
    target = output / f"{NAME}{'-legacy' if legacy else ''}.zip"
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in sorted(contents(legacy, HERE.parent / "dist" / "wheels").items()):
            info = zipfile.ZipInfo(name, STAMP)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE.parent / "dist")
    parser.add_argument("--legacy", action="store_true")
    arguments = parser.parse_args()
    target = build(arguments.output, arguments.legacy)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
