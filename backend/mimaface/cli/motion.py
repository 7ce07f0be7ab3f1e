"""Options and reading of motion, for ``animate`` and ``track``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mimaface.protocol.errors import InvalidInput

from .terminal import warn

if TYPE_CHECKING:
    from mimaface.drivers import RetargetSettings
    from mimaface.face.fit import FittedFace
    from mimaface.protocol.motion import MotionClip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that change how motion is read and retargeted."""
    motion = parser.add_argument_group("how the motion is read")
    motion.add_argument(
        "--neutral", default="",
        help='the frame that counts as neutral: "rest", a frame number, or "auto": the one that shows the portrait, without one the calmest',
    )  # fmt: skip
    motion.add_argument(
        "--gain", action="append", default=[], metavar="NAME=FACTOR",
        help="multiply a blendshape, head, position or gaze by a factor; repeatable",
    )  # fmt: skip
    motion.add_argument(
        "--flip", action="append", default=[], metavar="CHANNEL",
        help="reverse the sign of head_yaw, head_pitch, … or of one pair, such as mouthLeft; repeatable",
    )  # fmt: skip
    motion.add_argument(
        "--exchange", action="append", default=[], metavar="A=B",
        help="exchange two channels, such as head_yaw=head_roll; repeatable",
    )  # fmt: skip
    motion.add_argument("--swap", action="store_true", help="exchange left and right")
    motion.add_argument("--smoothing", type=float, default=0.0, help="strength of the smoothing over time, 0 to 1")
    motion.add_argument(
        "--timecode-rate",
        type=float,
        default=0.0,
        help="frames per second of a take's timecode (default: detected from it), or of a folder's pictures (default: 25)",
    )
    motion.add_argument("--angles", default="", help="unit of a take's angles: degrees or radians (default: detected)")
    motion.add_argument("--values", default="", help="unit of a take's blendshapes: percent or shares of 1 (default: detected)")
    speech = parser.add_argument_group("how speech is read")
    speech.add_argument("--sound", action="store_true", help="drive by the sound of a video, not by the face in it")
    speech.add_argument(
        "--transcript", type=Path, help="a text with the English words that are said (default: the .txt beside the sound, if any)"
    )
    speech.add_argument(
        "--speech-model", type=Path, metavar="PATH",
        help="a network that hears speech: SadTalker's folder of checkpoints, or the .onnx of LAM-A2E or Audio2Face-3D (default: phones)",
    )  # fmt: skip
    speech.add_argument(
        "--language", default="en", help="en, or other: mouth shapes by the spectrum, for every other language (default: en)"
    )
    speech.add_argument("--delay", type=float, default=0.0, help="seconds by which the mouth is later than the sound (default: 0)")
    speech.add_argument(
        "--accents", type=float, default=1.0, help="strength of blinks, brows and head while speaking, 0 to 2 (default: 1)"
    )


def open_motion(parsed: argparse.Namespace, path: Path, fit: FittedFace | None = None) -> MotionClip:
    """Returns the retargeted motion of a file, read under a progress bar; print its warnings. ``fit``: of the portrait that it moves.

    Raises as :func:`drivers.open_motion`."""
    from rich.progress import Progress

    from mimaface import drivers

    transcript = str(parsed.transcript) if parsed.transcript else ""
    reading = drivers.ReadingSettings(
        parsed.timecode_rate, parsed.angles, parsed.values, parsed.sound, transcript, parsed.language, parsed.delay, parsed.accents,
        getattr(parsed, "fps", 0.0), str(parsed.speech_model or ""),  # only ``animate`` has --fps
    )  # fmt: skip
    with Progress(transient=True) as bar:
        task = bar.add_task(f"reading {path.name}", total=None)

        def counted(stage: str, done: int, total: int) -> None:
            bar.update(task, description=f"{stage} {path.name}", completed=done, total=total or None)

        motion = drivers.open_motion(path, _retargeting(parsed), counted, reading, fit)
    for warning in motion.meta.get("warnings", []):
        warn(f"{path.name}: {warning}")
    return motion


def _retargeting(parsed: argparse.Namespace) -> RetargetSettings:
    from mimaface.drivers import RetargetSettings

    gains = {}
    for text in parsed.gain:
        name, _, factor = text.partition("=")
        try:
            gains[name] = float(factor)
        except ValueError as error:
            raise InvalidInput(f"--gain {text}: not NAME=FACTOR", "for example --gain jawOpen=1.3") from error
    neutral = int(parsed.neutral) if parsed.neutral.isdecimal() else parsed.neutral
    return RetargetSettings(neutral, gains, tuple(parsed.flip), parsed.swap, parsed.smoothing, tuple(parsed.exchange))
