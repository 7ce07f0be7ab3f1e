"""The files of ``mimaface`` whose functions run between ``animate()`` and its first frame that moves, in the order of their first calls.

python tests/bench/trips.py [proxy | demo | released]

Compiled kernels are seen by the functions that call them; what opening the photograph has cached is not run again. The table
"From animate() to pixels" of docs/ARCHITECTURE.md is made with it.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from types import FrameType

import mimaface

PACKAGE = Path(mimaface.__file__).parent


def files_of(engine: str) -> list[str]:
    """Files below the package whose functions run up to the first frame that moves, of 512 pixels by this engine."""
    assets = PACKAGE / "assets"
    portrait, motion = mimaface.Portrait.open(assets / "portrait.png"), mimaface.open_motion(assets / "take.csv")
    found: dict[str, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(str(PACKAGE)) and not is_import(frame):
            found[Path(path).relative_to(PACKAGE).with_suffix("").as_posix()] = None

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        next(frame for frame in mimaface.animate(portrait, motion, mimaface.RenderSettings(engine=engine, size=512)) if not frame.still)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return list(found)


def is_import(frame: FrameType) -> bool:
    """Whether a call is part of an import of the package: a module, a class, or what they call."""
    around: FrameType | None = frame
    while around is not None and around.f_code.co_name not in ("<module>", "files_of"):
        around = around.f_back
    return around is not None and around.f_code.co_filename.startswith(str(PACKAGE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", nargs="?", default="proxy", help="the renderer (default: %(default)s)")
    files = files_of(parser.parse_args().engine)
    print(f"{len(files)} files: {', '.join(files)}")


if __name__ == "__main__":
    main()
