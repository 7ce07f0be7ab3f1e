"""``mimaface points``: writes the points of a portrait's face to a file that the user edits for ``animate --points``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidInput, NoFaceFound
from mimaface.protocol.files import writable, write_whole
from mimaface.protocol.texts import shown

from .terminal import Commands, new_output, warn


def add(commands: Commands) -> None:
    """Add ``points``."""
    points = commands.add_parser("points", help="write the points of a face to a file, to place them by hand")
    points.add_argument("portrait", type=Path, help="a photograph of a face, a drawing, a toy")
    points.add_argument(
        "-o", "--output", type=Path, required=True, help="the .json file to write: name: [pixels from the left, from the top]"
    )
    points.add_argument("--face", type=int, default=0, help="number of the face in the photograph; 0 is the largest")
    points.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    points.set_defaults(command=_points)


def _points(parsed: argparse.Namespace) -> int:
    from mimaface.face.points import in_middle, of_landmarks
    from mimaface.face.portrait import Portrait
    from mimaface.pictures import open_picture

    if parsed.output.suffix != ".json":
        raise InvalidInput(f"{parsed.output.name}: points are written to a .json file", "rename the output")
    new_output(parsed.output, parsed.overwrite)
    height, width = open_picture(parsed.portrait)[0].image.shape[:2]
    try:
        found = of_landmarks(Portrait.open(parsed.portrait, parsed.face).fit.landmarks)
        found = {name: (u, v) for name, (u, v) in found.items() if 0 <= u <= width and 0 <= v <= height}
    except NoFaceFound:
        if parsed.face:
            raise
        found = in_middle(width, height)
        warn(f"no face found in {parsed.portrait.name}: the points are of a generic face in its middle; place them on the face")
    lines = ",\n".join(f"  {json.dumps(name)}: [{u:.1f}, {v:.1f}]" for name, (u, v) in found.items())
    with writable(parsed.output):
        write_whole(parsed.output, f"{{\n{lines}\n}}\n".encode())
    print(
        f"{parsed.output}: {len(found)} points; correct the wrong ones, delete the right ones, then animate with --points"
    )
    return 0


def read(path: Path) -> dict[str, Any]:
    """Returns the points, name → [u, v] in pixels, of a file that ``mimaface points`` wrote. Raises :class:`InvalidInput`."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot read {shown(path)}: {error.strerror}", "check the path") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path.name} is not JSON ({error})", "write it with “mimaface points”, then change numbers only"
        ) from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path.name} contains no points by name", "write it with “mimaface points”, then change numbers only")
    return found
