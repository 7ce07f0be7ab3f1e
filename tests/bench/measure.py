"""Timing for the benchmarks: warm-up, median, and a JSON file that names the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path


def median_ms(work: Callable[[], object], runs: int = 15, warm_up: int = 3) -> float:
    """Median milliseconds of ``work`` after some runs that do not count."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


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
