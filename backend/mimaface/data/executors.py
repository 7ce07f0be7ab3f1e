"""Executors of a run's units: local processes, or Ray Data on one or several machines; both use ``guarding.Guard``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from queue import SimpleQueue
from typing import Any

from mimaface.optional import imports
from mimaface.protocol.errors import OutOfResources

from .guarding import Answer, Guard, Unit
from .recorded import Outcome, RecordedConfig

# Blocks that Ray Data is given, each some units that one process does one after another: 10⁵ blocks would take it a quarter of an hour to make.
# Raised: smaller blocks, so machines end nearer to each other.
MOST_BLOCKS = 4000
Executor = Callable[[Sequence[Unit], RecordedConfig, float], Generator[Answer, None, None]]


def on_this_machine(workers: int = 1) -> Executor:
    """Returns an executor with ``workers`` local processes."""
    return partial(_with_processes, workers)


def on_ray(workers: int = 0) -> Executor:
    """Returns an executor on Ray Data with ``workers`` processes; 0: one per processor of the cluster.

    The cluster is that of ``RAY_ADDRESS``, or started here with ``ray start``, else this machine. All machines must have the
    folders under the same paths.
    """
    return partial(_with_ray, workers)


def _with_processes(workers: int, units: Sequence[Unit], config: RecordedConfig, limit: float) -> Generator[Answer, None, None]:
    guards = [Guard(config, limit) for _ in range(workers)]
    idle: SimpleQueue[Guard] = SimpleQueue()
    for guard in guards:
        idle.put(guard)

    def answer(unit: Unit) -> Answer:
        guard = idle.get()
        try:
            return guard(unit)
        finally:
            idle.put(guard)

    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in as_completed([pool.submit(answer, unit) for unit in units]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for guard in guards:
                guard.close()


def _with_ray(workers: int, units: Sequence[Unit], config: RecordedConfig, limit: float) -> Generator[Answer, None, None]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # disables Ray's usage reports
    with imports("--ray", "ray"):
        import ray
        import ray.data
    own = not ray.is_initialized()
    if own:
        ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
    try:
        settings = ray.data.DataContext.get_current()
        settings.enable_progress_bars = settings.enable_operator_progress_bars = settings.print_on_execution_start = False
        count = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        rows = ray.data.from_items([{"unit": unit.to_text()} for unit in units], override_num_blocks=min(len(units), MOST_BLOCKS))
        guard: Any = _RayGuard
        answers = rows.map(
            guard, fn_constructor_args=(config, limit), compute=ray.data.ActorPoolStrategy(size=min(count, len(units))), num_cpus=1
        )
        for row in answers.iter_rows():
            outcome = row["outcome"]
            yield Answer(None if outcome is None else Outcome(**outcome), tuple(row["error"]))
    except ray.exceptions.RayError as error:
        raise OutOfResources(f"Ray gave up ({next(iter(str(error).splitlines()), '')})", "start it again; it goes on where it was") from error
    finally:
        if own:
            ray.shutdown()


class _RayGuard:
    """Adapts a guard to Ray Data: rows to rows."""

    def __init__(self, config: RecordedConfig, limit: float) -> None:
        self.guard = Guard(config, limit)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        answer = self.guard(Unit.from_text(row["unit"]))
        return {"outcome": None if answer.outcome is None else asdict(answer.outcome), "error": list(answer.error)}
