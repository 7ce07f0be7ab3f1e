"""``mimaface bench``: measures the speed of every engine on this machine, and the time of each step."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.settings import QUALITIES, STANDARD

from .terminal import Commands

if TYPE_CHECKING:
    from rich.table import Table

Results = dict[str, dict[str, float]]  # engine, and quality unless standard → figure → value


def add(commands: Commands) -> None:
    """Add ``bench``."""
    bench = commands.add_parser("bench", help="measure the speed of the engines on this machine, and the time of each step")
    bench.add_argument("--engine", action="append", dest="engines", help="an engine, may be repeated (default: all that work here)")
    bench.add_argument(
        "--quality", action="append", dest="qualities", choices=QUALITIES,
        help="a quality, may be repeated (default: all that differ for the engine)",
    )  # fmt: skip
    bench.add_argument("--portrait", type=Path, help="a photograph of a face (default: the one that is installed)")
    bench.add_argument("--size", type=int, default=512, help="pixels of the longer side (default: 512)")
    bench.add_argument("--frames", type=int, default=48, help="frames of the shot (default: 48; fewer are less precise)")
    bench.add_argument("--json", type=Path, help="write the figures to this file")
    bench.add_argument("--against", type=Path, help="a --json file of an earlier run: print how many times better the figures are")
    bench.set_defaults(command=_bench)


def _bench(parsed: argparse.Namespace) -> int:
    from rich.console import Console

    from mimaface.evaluation.speed import Shot, measured
    from mimaface.face.head import ASSETS
    from mimaface.renderers.registry import states, usable

    engines = parsed.engines or [name for name, reason in states().items() if not reason]
    wanted = parsed.qualities or QUALITIES
    measurements = [(name, quality) for name in engines for quality in usable(name).qualities() if quality in wanted]
    if not measurements:
        raise InvalidInput(f"{', '.join(engines)}: no quality {' or '.join(wanted)}, which would differ", "leave out --quality")
    if parsed.frames < 1:
        raise InvalidInput(f"{parsed.frames} frames cannot be measured", "use 1 or more")
    earlier = _read(parsed.against) if parsed.against else {}
    console = Console()
    results: Results = {}
    portrait = parsed.portrait or ASSETS / "portrait.png"
    for engine, quality in measurements:
        name = engine if quality == STANDARD else f"{engine}, {quality}"
        with console.status(f"measuring {name}"):
            results[name] = measured(Shot(portrait, ASSETS / "take.csv", engine, parsed.size, parsed.frames, quality))
    console.print(_table(results, earlier, f"{parsed.size} pixels, {parsed.frames} frames"))
    if parsed.json:
        _write(parsed.json, results, parsed.size, parsed.frames)
    return 0


def _table(results: Results, earlier: Results, title: str) -> Table:
    """Returns a table with figures in rows and engines in columns; in brackets how many times better a figure is than in ``earlier``."""
    from rich.table import Table

    from mimaface.evaluation.speed import FIGURES

    table = Table("", *results, title=title)
    for key, figure in FIGURES.items():
        if not any(key in found for found in results.values()):
            continue
        cells = []
        for name, found in results.items():
            if key not in found:
                cells.append("")
                continue
            now, then = found[key], earlier.get(name, {}).get(key)
            better = (now, then) if figure.more_is_better else (then, now)
            ratio = f" ({better[0] / better[1]:.2f} x)" if then and now and better[0] and better[1] else ""
            cells.append(f"{now:.{figure.digits}f}{ratio}")
        table.add_row(figure.label, *cells)
    return table


def _read(path: Path) -> Results:
    import json

    try:
        results: Any = json.loads(path.read_text(encoding="utf-8"))["engines"]
        return {name: {key: float(value) for key, value in found.items()} for name, found in results.items()}
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", "name a file that mimaface bench --json wrote") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path.name} is not a file of mimaface bench", "write one with mimaface bench --json FILE") from error


def _write(path: Path, results: Results, size: int, frames: int) -> None:
    import json
    import os
    import platform

    from mimaface import __version__
    from mimaface.protocol.files import write_whole

    machine = {"processor": platform.processor() or platform.machine(), "system": platform.system(), "cores": os.cpu_count()}
    content = {"mimaface": __version__, "machine": machine, "size": size, "frames": frames, "engines": results}
    write_whole(path, json.dumps(content, indent=1).encode())
