"""What benchmarks print and write: a JSON file that names the machine; times are :func:`mimaface.evaluation.speed.median_ms`."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from mimaface.evaluation.speed import median_ms

__all__ = ["median_ms", "report"]


def report(name: str, figures: dict[str, float | int | str]) -> None:
    """Print the figures and write ``bench/<name>.json``, or the file named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("output", nargs="?", type=Path, default=Path("bench") / f"{name}.json")
    target = parser.parse_args().output
    machine = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"bench": name, "machine": machine, **figures}, indent=1))
    for key, value in figures.items():
        print(f"{key:42} {value:.3f}" if isinstance(value, float) else f"{key:42} {value}")
    print(target)
