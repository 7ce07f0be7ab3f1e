"""Speed benchmark of a renderer in a separate process, so that start, memory and caches are a user's."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mimaface.protocol.errors import InternalError, MimaFaceError
from mimaface.protocol.settings import STANDARD

if TYPE_CHECKING:
    from mimaface.protocol.motion import MotionClip
    from mimaface.protocol.settings import RenderSettings

RATE = 24.0  # frames per second of the rendered motion
REPETITIONS = 5  # repetitions of separately measured parts
NETWORKS = ("encode_images", "encode_source", "context", "denoise", "decode_latents", "refine")  # methods of an engine
FIRST_FRAME_LINE = "the first frame is there"  # line printed by the measured process after its first frame


class Figure(NamedTuple):
    """Label of a figure in the table, its significant decimals, and whether more is better."""

    label: str
    digits: int = 1
    more_is_better: bool = False


FIGURES = {  # in the table's order
    "frames_per_second": Figure("frames a second", 2, True),
    "first_frame_s": Figure("from the start of the program to the first frame, s", 2),
    "one_pose_ms": Figure("one pose of a portrait that is ready, ms"),
    "draw_ms": Figure("the posed photograph, alone, ms a frame"),
    "encode_images_ms": Figure("encoder, ms a frame"),
    "context_ms": Figure("appearance and motion, ms a frame"),
    "denoise_ms": Figure("U-Net, ms a frame"),
    "refine_ms": Figure("refiner, ms a frame"),
    "decode_latents_ms": Figure("decoder, ms a frame"),
    "png_ms": Figure("PNG, alone, ms a frame"),
    "evaluations": Figure("U-Net evaluations a new frame", 2),
    "outside_networks": Figure("share of the time outside the networks", 3),
    "copies": Figure("copies between host and device a frame", 1),
    "memory_mb": Figure("memory at most, MB", 0),
}


@dataclass(frozen=True)
class Shot:
    """The measured render: a picture file, a motion file of at least ``frames`` frames at ``RATE``, a renderer, a size in
    pixels, and a quality of the renderer.
    """

    portrait: Path
    motion: Path
    engine: str
    size: int
    frames: int
    quality: str = STANDARD


def measured(shot: Shot) -> dict[str, float]:
    """Returns figures by the names of ``FIGURES`` that apply to the renderer. Raises :class:`InternalError` if the measurement
    fails.
    """
    arguments = [str(value) for value in (shot.portrait, shot.motion, shot.engine, shot.size, shot.frames, shot.quality)]
    started = time.monotonic()
    command = [sys.executable, "-m", __name__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        first = time.monotonic() - started
        rest, errors = child.communicate()
    if child.returncode or line.strip() != FIRST_FRAME_LINE:
        last = (errors.strip().splitlines() or ["without a word"])[-1]
        raise InternalError(f"the measurement of engine {shot.engine} ended: {last}", "run it again with fewer frames or a smaller size")
    return {"first_frame_s": first, **json.loads(rest.splitlines()[-1])}


class TimedEngine:
    """An engine wrapper that measures the ``seconds`` in each method and counts ``evaluations`` of the U-Net in frames."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.reset()

    def reset(self) -> None:
        """Resets the counters."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.evaluations = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        return self._timed(name, value) if name in NETWORKS else value

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = method(*arguments, **named)
            synchronise(self._engine.device.type)
            self.seconds[name] += time.perf_counter() - started
            if name == "denoise":
                sample = arguments[0] if arguments else named["sample"]
                self.evaluations += sample.shape[0] * sample.shape[2]
            return result

        return call


def synchronise(device: str) -> None:
    """Waits until a device of this type ("cpu", "cuda") is idle."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _measure(shot: Shot) -> Iterator[dict[str, float]]:
    """Runs in the measured process: yields ``{}`` after the first frame, then the figures."""
    from mimaface.drivers import open_motion
    from mimaface.engines.pool import EnginePool, Load
    from mimaface.face.portrait import Portrait
    from mimaface.protocol.settings import RenderSettings
    from mimaface.renderers.registry import usable

    engines: list[TimedEngine] = []

    class TimedPool(EnginePool):
        def get(self, folder: Path, load: Load) -> Any:
            engine = super().get(folder, lambda folder, by: TimedEngine(load(folder, by)))
            engines[:] = [engine]
            return engine

    portrait, motion = Portrait.open(shot.portrait), beginning(open_motion(shot.motion), shot.frames)
    settings = RenderSettings(engine=shot.engine, size=shot.size, quality=shot.quality)
    session = usable(shot.engine).open(portrait, settings, TimedPool())

    def images(motion: MotionClip) -> Iterator[Any]:
        return (frame.image for frame in session.shot(motion, 0, {}) if frame is not None)

    begun = images(motion)
    picture = next(begun)
    yield {}
    for _ in begun:
        pass
    figures = _shot_figures(lambda motion: sum(1 for _ in images(motion)), motion, engines)
    figures |= _part_figures(portrait, motion, settings, picture)
    yield figures | {"memory_mb": memory()} if memory() else figures


def beginning(motion: MotionClip, frames: int) -> MotionClip:
    """Returns the first ``frames`` of a motion at ``RATE``, or all of a shorter one."""
    clip = motion.at_rate(RATE)
    return clip.resampled(clip.time[:frames])


def _shot_figures(render: Callable[[MotionClip], int], motion: MotionClip, engines: list[TimedEngine]) -> dict[str, float]:
    """Returns figures of a shot with portrait and engine loaded; ``render`` renders all frames of a motion and returns their
    number.
    """
    for engine in engines:
        engine.reset()
    started = time.perf_counter()
    count = render(motion)
    whole = time.perf_counter() - started
    figures = {"frames_per_second": count / whole, "outside_networks": 1.0, "copies": 0.0}
    for engine in engines:
        figures |= {f"{name}_ms": 1000 * seconds / count for name, seconds in engine.seconds.items() if name != "encode_source"}
        figures |= {"evaluations": engine.evaluations / count, "outside_networks": 1 - sum(engine.seconds.values()) / whole}
        figures["copies"] = copies(lambda: render(motion), engine.device.type) / count
    pose = one_pose(motion)
    figures["one_pose_ms"] = median_ms(lambda: render(pose), REPETITIONS, 1)
    return figures


def one_pose(motion: MotionClip) -> MotionClip:
    """Returns the middle frame of a motion, alone, as a preview asks for it: relative to rest, as relative to itself nothing would move."""
    middle = motion.resampled(motion.time[len(motion) // 2 :][:1])
    return middle.but(meta={**middle.meta, "neutral": "rest"})


def _part_figures(portrait: Any, motion: MotionClip, settings: RenderSettings, picture: Any) -> dict[str, float]:
    """Returns figures of parts that run concurrently in a shot, measured separately."""
    from mimaface.face.pose import poses_for
    from mimaface.pictures import encode_png
    from mimaface.reprojection.reprojector import Reprojector

    renderer = Reprojector(portrait, settings.size)
    pose = poses_for(portrait.fit, motion)[len(motion) // 2]
    return {"draw_ms": median_ms(lambda: renderer.posed(pose), REPETITIONS), "png_ms": median_ms(lambda: encode_png(picture), REPETITIONS)}


def copies(work: Callable[[], object], device: str) -> int:
    """Returns the number of copies between host and GPU memory in ``work``; 0 on a CPU."""
    if device != "cuda":
        return 0
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
        work()
    events = found.key_averages()
    return sum(event.count for event in events if any(way in event.key for way in ("Memcpy HtoD", "Memcpy DtoH")))


def memory() -> float:
    """Returns the peak memory of this process in megabytes; 0 if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    # bytes on macOS, else kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def median_ms(work: Callable[[], object], runs: int = 15, warm_up: int = 3) -> float:
    """Returns the median milliseconds of ``work`` after warm-up runs."""
    import statistics

    for _ in range(warm_up):
        work()
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def main(arguments: list[str]) -> None:
    """Entry point of the measured process."""
    portrait, motion, engine, size, frames, quality = arguments
    try:
        for figures in _measure(Shot(Path(portrait), Path(motion), engine, int(size), int(frames), quality)):
            print(json.dumps(figures) if figures else FIRST_FRAME_LINE, flush=True)
    except MimaFaceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
