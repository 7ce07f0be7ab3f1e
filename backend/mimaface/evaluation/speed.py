"""How fast a renderer is here and where its time goes, measured in a process of its own: start, memory and caches are those of a user."""

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

if TYPE_CHECKING:
    from mimaface.protocol.motion import MotionClip
    from mimaface.protocol.settings import RenderSettings

RATE = 24.0  # frames a second of the motion that is rendered
REPEATED = 5  # times that a part is measured by itself
NETWORKS = ("encode_images", "encode_source", "context", "denoise", "decode_latents", "refine")  # methods of an engine
FIRST = "the first frame is there"  # what the measured process says then


class Figure(NamedTuple):
    """What a figure is called in the table, how many digits of it say something, and whether more is better."""

    label: str
    digits: int = 1
    more_is_better: bool = False


FIGURES = {  # in the order of the table
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
    """What is rendered: a picture file, a motion file of at least ``frames`` frames at ``RATE``, by a renderer, at a size in pixels."""

    portrait: Path
    motion: Path
    engine: str
    size: int
    frames: int


def measured(shot: Shot) -> dict[str, float]:
    """Figures by the names of ``FIGURES``, those that the renderer has. Raises :class:`InternalError` where the measurement fails."""
    arguments = [str(value) for value in (shot.portrait, shot.motion, shot.engine, shot.size, shot.frames)]
    started = time.monotonic()
    command = [sys.executable, "-m", __name__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        first = time.monotonic() - started
        rest, errors = child.communicate()
    if child.returncode or line.strip() != FIRST:
        last = (errors.strip().splitlines() or ["without a word"])[-1]
        raise InternalError(f"the measurement of engine {shot.engine} ended: {last}", "run it again with fewer frames or a smaller size")
    return {"first_frame_s": first, **json.loads(rest.splitlines()[-1])}


class TimedEngine:
    """An engine that counts the ``seconds`` in each method and the ``evaluations`` of the U-Net, a frame each."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.forget()

    def forget(self) -> None:
        """Count from nothing."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.evaluations = 0

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._engine, name)
        return self._timed(name, value) if name in NETWORKS else value

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = method(*arguments, **named)
            finish(self._engine.device.type)
            self.seconds[name] += time.perf_counter() - started
            if name == "denoise":
                sample = arguments[0] if arguments else named["sample"]
                self.evaluations += sample.shape[0] * sample.shape[2]
            return result

        return call


def finish(device: str) -> None:
    """Wait until a device of this type ("cpu", "cuda") has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _measure(shot: Shot) -> Iterator[dict[str, float]]:
    """In the measured process: nothing but a first ``{}`` when the first frame is there, then the figures."""
    from mimaface.drivers import open_motion
    from mimaface.engines.pool import EnginePool
    from mimaface.face.portrait import Portrait
    from mimaface.protocol.settings import RenderSettings
    from mimaface.renderers.registry import usable

    engines: list[TimedEngine] = []

    class TimedPool(EnginePool):
        def get(self, folder: Path, load: Callable[[Path], Any]) -> Any:
            engine = super().get(folder, lambda folder: TimedEngine(load(folder)))
            engines[:] = [engine]
            return engine

    portrait, motion = Portrait.open(shot.portrait), beginning(open_motion(shot.motion), shot.frames)
    settings = RenderSettings(engine=shot.engine, size=shot.size)
    session = usable(shot.engine).open(portrait, settings, TimedPool())

    def images(motion: MotionClip) -> Iterator[Any]:
        return (frame.image for frame in session.shot(motion, 0, {}) if frame is not None)

    begun = images(motion)
    picture = next(begun)
    yield {}
    for _ in begun:
        pass
    figures = _in_the_whole(lambda motion: sum(1 for _ in images(motion)), motion, engines)
    figures |= _alone(portrait, motion, settings, picture)
    yield figures | {"memory_mb": memory()} if memory() else figures


def beginning(motion: MotionClip, frames: int) -> MotionClip:
    """The first ``frames`` of a motion at ``RATE``, or all of a shorter one."""
    clip = motion.at_rate(RATE)
    return clip.resampled(clip.time[:frames])


def _in_the_whole(render: Callable[[MotionClip], int], motion: MotionClip, engines: list[TimedEngine]) -> dict[str, float]:
    """Figures of a shot of a portrait and an engine that are ready: ``render`` makes all frames of a motion and returns their number."""
    for engine in engines:
        engine.forget()
    started = time.perf_counter()
    count = render(motion)
    whole = time.perf_counter() - started
    figures = {"frames_per_second": count / whole, "outside_networks": 1.0, "copies": 0.0}
    for engine in engines:
        figures |= {f"{name}_ms": 1000 * seconds / count for name, seconds in engine.seconds.items() if name != "encode_source"}
        figures |= {"evaluations": engine.evaluations / count, "outside_networks": 1 - sum(engine.seconds.values()) / whole}
        figures["copies"] = copies(lambda: render(motion), engine.device.type) / count
    still = beginning(motion, 1)
    figures["one_pose_ms"] = median_ms(lambda: render(still), REPEATED, 1)
    return figures


def _alone(portrait: Any, motion: MotionClip, settings: RenderSettings, picture: Any) -> dict[str, float]:
    """Parts that pass beside others in a shot."""
    from mimaface.face.pose import poses_for
    from mimaface.pictures import encode_png
    from mimaface.reprojection.reprojector import Reprojector

    renderer = Reprojector(portrait, settings.size)
    pose = poses_for(portrait.fit, motion)[len(motion) // 2]
    return {"draw_ms": median_ms(lambda: renderer.posed(pose), REPEATED), "png_ms": median_ms(lambda: encode_png(picture), REPEATED)}


def copies(work: Callable[[], object], device: str) -> int:
    """How often ``work`` copies between the host's memory and a GPU's; on a CPU there is nothing to copy."""
    if device != "cuda":
        return 0
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as found:
        work()
    events = found.key_averages()
    return sum(event.count for event in events if any(way in event.key for way in ("Memcpy HtoD", "Memcpy DtoH")))


def memory() -> float:
    """Megabytes of memory that this process had at most; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024)  # bytes, or kilobytes


def median_ms(work: Callable[[], object], runs: int = 15, warm_up: int = 3) -> float:
    """Median milliseconds of ``work`` after some runs that do not count."""
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
    """The measured process."""
    portrait, motion, engine, size, frames = arguments
    try:
        for figures in _measure(Shot(Path(portrait), Path(motion), engine, int(size), int(frames))):
            print(json.dumps(figures) if figures else FIRST, flush=True)
    except MimaFaceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
