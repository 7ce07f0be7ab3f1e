"""``mimaface inspect``: prints the provenance that a picture or film contains."""

from __future__ import annotations

import argparse
from pathlib import Path

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``inspect``."""
    inspect = commands.add_parser("inspect", help="print a picture's or film's content credentials, XMP and watermark, and what is missing")
    inspect.add_argument("file", type=Path, help="a picture or a film")
    inspect.set_defaults(command=_inspect)


def _inspect(parsed: argparse.Namespace) -> int:
    from mimaface.marking.report import inspect

    fine = True
    for finding in inspect(parsed.file):
        print(f"{'   ' if finding.fine else ' ! '}{finding.what:<20} {finding.words}")
        fine = fine and (finding.fine or finding.what == "consent")
    return 0 if fine else 1
