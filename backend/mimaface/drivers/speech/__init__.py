"""Speech → ``MotionClip``: its phones, the visemes that they are seen as, and what a face does beside its mouth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.drivers.reading import ReadingSettings
from mimaface.drivers.table import LARGEST_FILE, decoded
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion
from mimaface.protocol.texts import shown

from .accents import accent_motion, stressed
from .phones import REST, Phone, filled
from .sound import RATE, STEP, blocks, level_of
from .spectrum import phones_by_spectrum
from .timings import read_timings
from .utterances import utterances
from .visemes import mouth_motion

__all__ = ["speech_steps", "timed_motion"]

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]
FPS = 25.0  # frames a second of a motion made from sound where nobody asks for another
EVEN = 2.0  # decibels: an utterance whose loudness varies less is a tone or a noise, while syllables come and go by 6 and more


def speech_steps(path: Path, reading: ReadingSettings, progress: Progress) -> Iterator[MotionClip | None]:
    """The motion of a face that says what is heard in a file: None after every piece of it, the motion last.

    Raises :class:`InvalidInput` for what has no sound or no speech, and :class:`NotInstalled` without PyAV or PocketSphinx.
    """
    heard, count = list[Array](), 0
    progress("reading", 0, 0)
    for block in blocks(path):
        heard.append(level_of(block))
        count += len(block)
        yield None
    level = np.concatenate(heard)
    pieces = [piece for piece in utterances(level) if level[slice(*piece)].std() > EVEN]
    nothing = InvalidInput(f"{path.name}: no speech is heard in it", "use a recording of one voice without music, or another file")
    if not pieces:
        raise nothing
    transcript = _transcript(path, reading)
    phones = list[Phone]()
    if transcript is not None:
        from .recogniser import aligned

        text, note = _read(transcript), f"the words are those of {transcript.name}"
        for found in aligned(np.concatenate(list(blocks(path))), text, transcript.name):
            phones = found or phones
            yield None
    else:
        note, find = _finder(path, reading)
        for done, (begin, samples) in enumerate(_utterances(path, pieces), 1):
            phones += find(samples, begin / 100)
            progress("hearing", done, len(pieces))
            yield None
    if all(phone.viseme == REST for phone in phones):
        raise nothing
    notes = [note] if note else []
    yield speech_motion(phones, count / RATE, level, reading).but(
        meta={"source": path.name, "format": "sound", "warnings": notes}
    )


def speech_motion(phones: list[Phone], seconds: float, level: Array | None, reading: ReadingSettings) -> MotionClip:
    """The motion of ``phones`` over ``seconds``; ``level`` (N,) is the loudness every 10 ms in decibels, where there is a sound."""
    rate = reading.rate or FPS
    time = np.arange(max(int(np.ceil(seconds * rate - 1e-6)), 1)) / rate
    spoken, accents = stressed(filled(phones, seconds), level)
    shapes = mouth_motion(spoken, time - reading.delay)
    beside, angles = accent_motion(spoken, accents, time - reading.delay, reading.accents)
    quaternions = matrix_to_quaternion(head_angles_to_matrix(angles))
    return MotionClip.at_rest(time).but(blendshapes=np.maximum(shapes, beside), head_quat=quaternions)


def timed_motion(path: Path, sound: Path | None, reading: ReadingSettings) -> MotionClip:
    """The motion of phones whose times are in a file, stressed as the ``sound`` is. Raises :class:`InvalidMotion`."""
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidMotion(f"{path.name}: {path.stat().st_size >> 20} MB are too much for the times of phones", "export a shorter one")
    phones, seconds = read_timings(decoded(path.read_bytes()) or "", path.name)
    level = None
    if sound is not None:
        level = np.concatenate([level_of(block) for block in blocks(sound)])
        seconds = max(seconds, len(level) / 100)
    if all(phone.viseme == REST for phone in phones):
        raise InvalidMotion(f"{path.name}: nothing is said in it", "export the times of phones again, or choose another file")
    return speech_motion(phones, seconds, level, reading).but(meta={"source": path.name, "format": "phones"})


def _finder(path: Path, reading: ReadingSettings) -> tuple[str, Callable[[Array, float], list[Phone]]]:
    """A note for the user, and what finds phones in an utterance."""
    if reading.language == "other":
        return "", phones_by_spectrum
    from .recogniser import Recogniser

    return f"{path.stem}.txt beside it, with the words that are said in English, makes the lips exact", Recogniser().phones


def _utterances(path: Path, pieces: list[tuple[int, int]]) -> Iterator[tuple[int, Array]]:
    """The begin of each piece, in steps of 10 ms, and its samples, read from the file once more."""
    kept, start, left = np.zeros(0, np.float32), 0, list(pieces)
    for block in blocks(path):
        kept = np.concatenate([kept, block])
        while left and start + len(kept) >= left[0][1] * STEP:
            begin, end = left.pop(0)
            yield begin, kept[begin * STEP - start : end * STEP - start]
        wanted = left[0][0] * STEP if left else start + len(kept)
        drop = min(max(wanted - start, 0), len(kept))
        kept, start = kept[drop:], start + drop


def _transcript(path: Path, reading: ReadingSettings) -> Path | None:
    """The file with what is said: the one that was named, else the text beside the sound with its name."""
    if reading.transcript:
        return Path(reading.transcript)
    beside = path.with_suffix(".txt")
    return beside if reading.language != "other" and beside.is_file() else None


def _read(transcript: Path) -> str:
    try:
        if not transcript.is_file():
            raise InvalidInput(f"cannot read {shown(transcript)}: no such file", "check the path of the transcript")
        if transcript.stat().st_size > LARGEST_FILE:
            raise InvalidInput(f"{transcript.name}: too large for a transcript", "choose a text of what is said")
        text = decoded(transcript.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot read {shown(transcript)}: {error.strerror}", "check the path of the transcript") from error
    if text is None:
        raise InvalidInput(f"{transcript.name}: the transcript is not a text", "save it as plain text")
    return text
