"""The ``mimaface`` command. Heavy modules are imported by the sub-command that needs them."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface import __version__
from mimaface.protocol.errors import MimaFaceError
from mimaface.shortage import START, require, shortage

if TYPE_CHECKING:
    from mimaface.drivers import RetargetSettings
    from mimaface.protocol.motion import MotionClip

USER_ERROR, INTERRUPTED = 2, 130
SECONDS_A_MEGAPIXEL = 0.8  # of a frame by the fast engine, measured with 34 megapixels on two cores
SLOW = 5.0  # seconds a frame from which on the time is told before it is spent


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 a check failed, 2 a mistake explained, 130 stopped by Ctrl-C."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it says of damaged tags helps nobody
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except MimaFaceError as error:
        print(f"mimaface: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("mimaface: stopped", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        short = shortage(error)
        if short is None:
            raise
        print(f"mimaface: {short}", file=sys.stderr)
        return USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mimaface", description="Animate one portrait photo with controls, mocap or video.")
    parser.add_argument("--version", action="version", version=f"mimaface {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more while working")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    animate = commands.add_parser("animate", help="portrait + motion → frames or a video")
    animate.add_argument("portrait", type=Path)
    animate.add_argument("motion", type=Path, help=".motion.npz, Live Link Face .csv, or a video")
    animate.add_argument("-o", "--output", type=Path, required=True, help="a folder for PNG files, or an .mp4 file")
    animate.add_argument("--fps", type=float, default=0, help="frames per second of the output (default: the motion's own)")
    animate.add_argument("--size", type=int, default=0, help="pixels of the longer side (default: the photograph's)")
    animate.add_argument("--framing", choices=("photo", "face"), default="photo")
    animate.add_argument("--transparent", action="store_true", help="PNG with alpha: only the person")
    animate.add_argument(
        "--engine",
        default="demo",
        help="demo: the shipped model; proxy: the projected photo, fast; released: the authors' weights",
    )
    animate.add_argument("--seed", type=int, default=0)
    animate.add_argument("--face", type=int, default=0, help="which face of the picture, 0 is the largest")
    animate.add_argument("--absolute", action="store_true", help="apply the motion as recorded, not relative to its neutral")
    animate.add_argument("--overwrite", action="store_true")
    _add_retargeting(animate)
    animate.set_defaults(command=_animate)

    track = commands.add_parser("track", help="video or mocap → .motion.npz")
    track.add_argument("source", type=Path)
    track.add_argument("-o", "--output", type=Path, required=True)
    track.add_argument("--overwrite", action="store_true")
    _add_retargeting(track)
    track.set_defaults(command=_track)

    serve = commands.add_parser("serve", help="run the backend for Blender")
    serve.add_argument("--connection", type=Path, help="where to write the connection file")
    serve.add_argument("--root", type=Path, help="folder for jobs and logs")
    serve.add_argument("--parent-pid", type=int, help="end when this process has ended and no job is left")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--allow-remote", action="store_true")
    serve.set_defaults(command=_serve)

    doctor = commands.add_parser("doctor", help="what is installed and what works")
    doctor.set_defaults(command=_doctor)

    _add_golden(commands)
    _add_training(commands)
    _add_models(commands)
    return parser


def _add_training(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    from mimaface.data.commands import add_commands as add_data
    from mimaface.evaluation import ablations
    from mimaface.evaluation import commands as evaluation
    from mimaface.training import commands as training

    add_data(commands)
    train = commands.add_parser("train", help="train a model on shards: autoencoder, image, video")
    training.add_arguments(train)
    train.set_defaults(command=training.run)
    evaluate = commands.add_parser("evaluate", help="measure a model, the proxy and others on held-out shards")
    evaluation.add_arguments(evaluate)
    evaluate.set_defaults(command=evaluation.run)
    ablate = commands.add_parser("ablate", help="train and measure the paper's ablations")
    ablations.add_arguments(ablate)
    ablate.set_defaults(command=ablations.run)


def _add_golden(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    golden = commands.add_parser("golden", help="compare our networks with a folder of golden values")
    golden.add_argument("folder", type=Path, help="laid out like shared/golden: .safetensors files and manifest.json")
    golden.add_argument("--salt", default="", help="what the weights were filled with")
    golden.set_defaults(command=_golden)


def _add_models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="install, list, verify and remove models")
    actions = models.add_subparsers(title="actions", required=True, metavar="ACTION")
    pull = actions.add_parser("pull", help="download a published model and install it")
    pull.add_argument("name", help="released: the checkpoint of the paper's authors")
    convert = actions.add_parser("convert", help="install the released model from files that you have")
    convert.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="the published folder, or the files one by one")
    for action, work in ((pull, _models_install), (convert, _models_install)):
        action.add_argument("--vae", type=Path, help="folder or file of sd-vae-ft-mse (default: among the files, or the hub)")
        action.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="", help="default: as published")
        action.add_argument("--overwrite", action="store_true")
        action.set_defaults(command=work)
    actions.add_parser("list", help="installed models").set_defaults(command=_models_list)
    gaze = actions.add_parser("gaze", help="calibrate the released model's gaze with a video of somebody who looks around")
    gaze.add_argument("video", type=Path)
    gaze.set_defaults(command=_models_gaze)
    for name, words, work in (
        ("verify", "compare every file with its checksum", _models_verify),
        ("remove", "delete an installed model", _models_remove),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument("name")
        action.set_defaults(command=work)


def _add_retargeting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--neutral", default="", help='what the motion is relative to: "rest", "auto" or a frame number')
    parser.add_argument("--gain", action="append", default=[], metavar="NAME=FACTOR", help="an action, head, position or gaze; repeatable")
    parser.add_argument(
        "--flip", action="append", default=[], metavar="CHANNEL", help="head_yaw, head_pitch, … or one pair, such as mouthLeft; repeatable"
    )
    parser.add_argument(
        "--exchange", action="append", default=[], metavar="A=B", help="channels in each other's place, such as head_yaw=head_roll; repeatable"
    )
    parser.add_argument("--swap", action="store_true", help="exchange left and right")
    parser.add_argument("--smoothing", type=float, default=0.0, help="0 to 1")
    parser.add_argument(
        "--timecode-rate", type=float, default=0.0, help="frames a second that a take's time column counts (default: what it shows)"
    )
    parser.add_argument("--angles", default="", help="of a take: degrees or radians (default: what they show)")
    parser.add_argument("--values", default="", help="of a take's actions: percent or shares (default: what they show)")


def _retargeting(parsed: argparse.Namespace) -> RetargetSettings:
    from mimaface.drivers import RetargetSettings
    from mimaface.protocol.errors import InvalidInput

    gains = {}
    for text in parsed.gain:
        name, _, factor = text.partition("=")
        try:
            gains[name] = float(factor)
        except ValueError as error:
            raise InvalidInput(f"--gain {text}: not NAME=FACTOR", "for example --gain jawOpen=1.3") from error
    neutral = int(parsed.neutral) if parsed.neutral.isdecimal() else parsed.neutral
    return RetargetSettings(neutral, gains, tuple(parsed.flip), parsed.swap, parsed.smoothing, tuple(parsed.exchange))


def _open_motion(parsed: argparse.Namespace, path: Path) -> MotionClip:
    from rich.progress import Progress

    from mimaface.drivers import ReadingSettings, open_motion

    reading = ReadingSettings(parsed.timecode_rate, parsed.angles, parsed.values)
    with Progress(transient=True) as bar:
        task = bar.add_task(f"reading {path.name}", total=None)
        motion = open_motion(path, _retargeting(parsed), lambda done: bar.update(task, completed=done), reading)
    for warning in motion.meta.get("warnings", []):
        _say(f"{path.name}: {warning}")
    return motion


def _say(words: str) -> None:
    """A warning or a decision, beside the result; also on screens that lack some of its letters."""
    encoding = sys.stderr.encoding or "utf-8"
    print(f"mimaface: {words}".encode(encoding, "replace").decode(encoding), file=sys.stderr)


def _about_size(height: int, width: int, frames: int, size: int) -> str:
    """A sentence before frames so large that they take seconds each; else ""."""
    share = min(size / max(height, width), 1.0) if size else 1.0
    seconds = SECONDS_A_MEGAPIXEL * height * width * share**2 / 1e6
    if seconds < SLOW:
        return ""
    return (
        f"frames of {round(width * share)} x {round(height * share)} pixels take about {seconds:.0f} s each, "
        f"{seconds * frames / 60:.0f} min in all; --size 1280 is quicker"
    )


def _animate(parsed: argparse.Namespace) -> int:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mimaface.animate import animate, check
    from mimaface.drivers.rates import standard_rate
    from mimaface.face.portrait import Portrait
    from mimaface.output.sinks import exact_rate, is_film, open_sink
    from mimaface.output.sound import Sound, has_sound
    from mimaface.protocol.errors import Cancelled, InvalidInput
    from mimaface.protocol.settings import RenderSettings

    is_video = is_film(parsed.output)
    if parsed.transparent and is_video:
        raise InvalidInput(f"{parsed.output.name}: an .mp4 file cannot be transparent", "choose a folder for PNG files as output")
    settings = RenderSettings(
        parsed.engine, parsed.size, parsed.framing, parsed.transparent, parsed.absolute, parsed.seed, parsed.face
    )
    motion = _open_motion(parsed, parsed.motion)
    check(motion, settings)
    rate, words = (parsed.fps, "") if parsed.fps else standard_rate(motion)
    if words:
        _say(f"{parsed.motion.name}: {words}")
    rate = float(exact_rate(rate))
    motion = motion.at_rate(rate)
    sound = has_sound(parsed.motion)
    heard = Sound(parsed.motion, float(motion.time[0]), len(motion) / rate) if sound and is_video else None
    if sound and not is_video:
        _say(f"{parsed.motion.name}: its sound cannot go into a folder of pictures; an .mp4 file would have it")
    portrait = Portrait.open(parsed.portrait, parsed.face)
    for text in portrait.warnings:
        _say(text)
    if portrait.alpha is not None and is_video:
        _say(f"{parsed.portrait.name}: what is see-through is black in an .mp4 file; a folder of PNG files keeps it see-through")
    height, width = portrait.image.shape[:2]
    if words := _about_size(height, width, len(motion), parsed.size):
        _say(words)
    started, done = time.monotonic(), 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    stop = threading.Event()  # an exception in the middle of compiled code or of a file would leave halves behind
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        with open_sink(parsed.output, rate, parsed.overwrite, heard) as sink, Progress(*columns, transient=True) as bar:
            for frame in bar.track(animate(portrait, motion, settings, stop.is_set), len(motion), description="frames"):
                sink.write(frame.index, frame.image)
                done += 1
    except Cancelled:
        kept = f"{done} of {len(motion)} frames are in {parsed.output}" if not is_video and done else "nothing was kept"
        print(f"mimaface: stopped; {kept}", file=sys.stderr)
        return INTERRUPTED
    seconds = time.monotonic() - started
    print(f"{parsed.output}: {done} frames in {seconds:.1f} s ({done / seconds:.1f} frames/s)")
    return 0


def _track(parsed: argparse.Namespace) -> int:
    from mimaface.protocol.errors import InvalidInput, NotWritable

    if not parsed.output.name.endswith(".motion.npz"):
        raise InvalidInput(f"{parsed.output.name}: motion files end in .motion.npz", "rename the output")
    if parsed.output.exists() and not parsed.overwrite:
        raise InvalidInput(f"{parsed.output} exists", "choose another name or add --overwrite")
    if not parsed.output.parent.is_dir():
        raise NotWritable(f"the folder {parsed.output.parent} does not exist", "make it or choose another")
    motion = _open_motion(parsed, parsed.source)
    motion.save(parsed.output)
    print(f"{parsed.output}: {len(motion)} frames, {motion.duration:.2f} s")
    return 0


def _serve(parsed: argparse.Namespace) -> int:
    require(START)
    from mimaface.serving.process import serve

    serve(parsed.connection, parsed.root, parsed.parent_pid, parsed.host, parsed.allow_remote)
    return 0


def _doctor(parsed: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mimaface.doctor import findings

    table = Table("what", "", "state")
    fine = True
    for what, good, words in findings():
        fine &= good
        table.add_row(what, "[green]ok[/]" if good else "[red]no[/]", escape(words))
    Console().print(table)
    return 0 if fine else 1


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


def _models_install(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    options = (parsed.vae, parsed.dtype, parsed.overwrite)
    pulled = "paths" not in parsed
    folder, new = library.pull(parsed.name, *options) if pulled else library.convert(parsed.paths, *options)
    print(f"{folder.name} is in {folder}" if new else f"{folder.name} is already in {folder}")
    return 0


def _models_list(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    found = list(library.installed())
    for model in found:
        print(f"{model.name:20} {model.size / 1e9:6.2f} GB  {model.folder}  {model.state or 'ok'}")
    if not found:
        print(f"no model is installed in {library.models_folder()}; try: mimaface models pull released")
    folder, size = library.unfinished()
    if size:
        print(f"an unfinished download takes {size / 1e9:.2f} GB: pull again to go on, or delete {folder}")
    return 0


def _models_gaze(parsed: argparse.Namespace) -> int:
    from mimaface.drivers.video import video_frames
    from mimaface.renderers import gaze_calibration
    from mimaface.weights import library
    from mimaface.weights.convert import FaceNetworks

    networks = FaceNetworks.load(library.find(library.RELEASED).folder)
    adapter, frames = gaze_calibration.calibrate(networks, video_frames(parsed.video), parsed.video.name)
    gaze_calibration.keep(adapter, parsed.video.name)
    print(f"the gaze of {library.RELEASED} is fitted to {frames} frames of {parsed.video.name}")
    return 0


def _models_verify(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    total = wrong = 0
    for file, words in library.verify(parsed.name):
        total, wrong = total + 1, wrong + bool(words)
        if words:
            print(f"{file}: {words}")
    print(f"{parsed.name}: {total - wrong} of {total} files are as they were installed")
    return 1 if wrong else 0


def _models_remove(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    model = library.remove(parsed.name)
    print(f"{model.name} is gone, {model.size / 1e9:.2f} GB are free again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
