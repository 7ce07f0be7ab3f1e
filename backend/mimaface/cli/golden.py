"""``mimaface golden``: compares the networks with recorded reference values."""

from __future__ import annotations

import argparse
from pathlib import Path

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``golden``."""
    golden = commands.add_parser("golden", help="compare the networks with a folder of reference values")
    golden.add_argument("folder", type=Path, help="the folder of .safetensors files and manifest.json")
    golden.add_argument("--salt", default="", help="the text from which the reference weights were derived")
    golden.set_defaults(command=_golden)


def _golden(parsed: argparse.Namespace) -> int:
    from mimaface.evaluation.golden_check import Golden

    total = misses = 0
    print(f"{'array':28} {'max |Δ|':>10} {'/ std':>10}")
    for row in Golden(parsed.folder, parsed.salt).rows():
        total, misses = total + 1, misses + (not row.ok)
        numbers = f"{row.difference:10.2e} {row.relative:10.2e}" if not row.problem else f"{'–':>10} {'–':>10}"
        print(f"{row.name:28} {numbers}  {row.words()}", flush=True)
    print(f"{total - misses} of {total} arrays agree")
    return 1 if misses else 0
