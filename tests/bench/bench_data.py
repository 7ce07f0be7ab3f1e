"""Synthetic training frames a second at 256² with one worker and with two, and where one worker's time goes.

python tests/bench/bench_data.py [OUT.json]

A frame is all that a sample holds of it: truth, projected and plain render, signals. Stages are processor time, so that other work on
the machine counts little; frames a second are by the clock. The person, the studio and the source picture are part of the whole.
"""

import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from measure import report

from mimaface.data import synthetic
from mimaface.data.synthetic import SyntheticConfig, make_sample, make_samples
from mimaface.reprojection import projection

SAMPLES = 16
STAGES = {
    "truth_render": [(synthetic.Camcorder, "take")],
    "prepare_proxy": [(synthetic.Reprojector, "__init__")],
    "proxy_render": [(synthetic.Reprojector, "render")],
    "albedo_render": [(synthetic, "render_albedo")],
    "person_and_studio": [(synthetic, "random_person"), (synthetic, "random_studio")],
    "measured_fit": [(synthetic, "measured_fit")],
    "of_it_correction": [(projection, "correct")],
}


def stage_ms(config: SyntheticConfig) -> dict[str, float]:
    """Milliseconds of processor time a sample in each stage, median over samples."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                spent[name] += 1000 * (time.process_time() - started)

        return run

    kept = [(owner, name, getattr(owner, name)) for places in STAGES.values() for owner, name in places]
    rows = []
    try:
        for stage, places in STAGES.items():
            for owner, name in places:
                setattr(owner, name, timed(stage, getattr(owner, name)))
        for index in range(SAMPLES):
            spent.clear()
            started = time.process_time()
            make_sample(1, index, config)
            rows.append({**spent, "whole_sample": 1000 * (time.process_time() - started)})
    finally:
        for owner, name, work in kept:
            setattr(owner, name, work)
    return {f"{stage}_ms": statistics.median(row[stage] for row in rows) for stage in (*STAGES, "whole_sample")}


def frames_per_second(config: SyntheticConfig, workers: int) -> float:
    """By the clock, with the start of the workers left out."""
    made = make_samples(2, 0, 3 * SAMPLES, config, workers)
    for _ in range(SAMPLES):
        next(made)
    started, count = time.perf_counter(), 0
    for _ in made:
        count += 1
    return config.frames * count / (time.perf_counter() - started)


def main() -> None:
    config = SyntheticConfig()
    make_sample(0, 0, config)  # compiles
    report(
        "data",
        {
            "picture": f"{config.size} x {config.size}",
            "frames_per_sample": config.frames,
            "load_before": os.getloadavg()[0],
            "priority": os.nice(0),
            **stage_ms(config),
            "frames_per_second_1_worker": frames_per_second(config, 1),
            "frames_per_second_2_workers": frames_per_second(config, 2),
        },
    )


if __name__ == "__main__":
    main()
