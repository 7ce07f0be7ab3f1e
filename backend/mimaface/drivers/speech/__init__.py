"""Speech → ``MotionClip``: phones with their times, their visemes, and head, brow and lid motion from stress and pauses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mimaface.drivers.reading import Progress, ReadingSettings
from mimaface.drivers.table import LARGEST_FILE, decoded
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, InvalidMotion
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.rotation import head_angles_to_matrix, matrix_to_quaternion
from mimaface.protocol.texts import shown

from .accents import accent_motion, stressed
from .phones import REST, Phone, fill_with_rest
from .sound import RATE, STEP, blocks, level_of
from .spectrum import phones_by_spectrum
from .timings import read_timings
from .utterances import utterances
from .visemes import mouth_motion

__all__ = ["phones_motion", "speech_motion", "speech_steps", "timed_motion"]

FPS = 25.0  # default frame rate in frames per second of a motion made from sound
# decibels of standard deviation. Flatter utterances are tones or noise and are dropped; syllables vary by 6 and more
FLAT_LEVEL_DECIBELS = 2.0
DECIMALS = 4  # of a phone's seconds, so that what an editable file keeps is the same speech to the bit. Chosen: a tenth of a millisecond


def speech_steps(path: Path, reading: ReadingSettings, progress: Progress) -> Iterator[MotionClip | None]:
    """Yields None after each piece of a sound file, then the motion of a face that speaks it.

    Raises :class:`InvalidInput` for a file without sound or speech, and :class:`NotInstalled` without PyAV or PocketSphinx.
    """
    heard, count = list[Array](), 0
    progress("reading", 0, 0)
    for block in blocks(path):
        heard.append(level_of(block))
        count += len(block)
        yield None
    level = np.concatenate(heard)
    pieces = [piece for piece in utterances(level) if level[slice(*piece)].std() > FLAT_LEVEL_DECIBELS]
    nothing = InvalidInput(f"{path.name}: no speech is heard in it", "use a recording of one voice without music, or another file")
    if not pieces:
        raise nothing
    if reading.speech_model:
        from .networks import network_steps

        for clip in network_steps(np.concatenate(list(blocks(path))), pieces, reading, progress):
            yield clip and clip.but(meta={"format": "sound", **clip.meta, "source": path.name})
        return
    transcript = _transcript(path, reading)
    phones = list[Phone]()
    if transcript is not None:
        from .recogniser import aligned

        text, note = _read_transcript(transcript), f"the words are those of {transcript.name}"
        for found in aligned(np.concatenate(list(blocks(path))), text, transcript.name):
            phones = found or phones
            yield None
    else:
        note, find = _phone_finder(path, reading)
        for done, (begin, samples) in enumerate(_utterances(path, pieces), 1):
            phones += find(samples, begin / 100)
            progress("hearing", done, len(pieces))
            yield None
    if all(phone.viseme == REST for phone in phones):
        raise nothing
    notes = [note] if note else []
    yield speech_motion(phones, count / RATE, level, reading, source=path.name, format="sound", warnings=notes)


def speech_motion(phones: list[Phone], seconds: float, level: Array | None, reading: ReadingSettings, **meta: Any) -> MotionClip:
    """Returns the motion of ``phones`` over ``seconds``; ``level`` (N,) is the loudness every 10 ms in decibels, or None without
    sound.

    Its meta is ``meta``, and of the speech itself ``visemes``, as :mod:`mimaface.protocol.visemes` has them, and ``seconds``.
    """
    rate = reading.rate or FPS
    time = np.arange(max(int(np.ceil(seconds * rate - 1e-6)), 1)) / rate
    rounded = [replace(phone, begin=round(phone.begin, DECIMALS), end=round(phone.end, DECIMALS)) for phone in phones]
    spoken, accents = stressed(fill_with_rest(rounded, seconds), level)
    shapes = mouth_motion(spoken, time - reading.delay)
    unvoiced, angles = accent_motion(spoken, accents, time - reading.delay, reading.accents)
    quaternions = matrix_to_quaternion(head_angles_to_matrix(angles))
    visemes = [[phone.viseme, phone.begin, phone.strength] for phone in spoken]
    return MotionClip.at_rest(time, **meta, visemes=visemes, seconds=seconds).but(
        blendshapes=np.maximum(shapes, unvoiced), head_quat=quaternions
    )


def timed_motion(path: Path, sound: Path | None, reading: ReadingSettings) -> MotionClip:
    """Returns the motion of phones whose times a file contains, with stress from ``sound``. Raises :class:`InvalidMotion`."""
    if path.stat().st_size > LARGEST_FILE:
        raise InvalidMotion(f"{path.name}: {path.stat().st_size >> 20} MB is too large for a file of phone times", "export a shorter one")
    return phones_motion(decoded(path.read_bytes()) or "", path.name, sound, reading)


def phones_motion(text: str, name: str, sound: Path | None, reading: ReadingSettings) -> MotionClip:
    """:func:`timed_motion` of the ``text`` of such a file; ``name`` is what a sentence calls it."""
    phones, seconds = read_timings(text, name)
    level = None
    if sound is not None:
        level = np.concatenate([level_of(block) for block in blocks(sound)])
        seconds = max(seconds, len(level) / 100)
    if all(phone.viseme == REST for phone in phones):
        raise InvalidMotion(f"{name}: it contains no speech", "export the times of phones again, or choose another file")
    return speech_motion(phones, seconds, level, reading, source=name, format="phones")


def _phone_finder(path: Path, reading: ReadingSettings) -> tuple[str, Callable[[Array, float], list[Phone]]]:
    """Returns a note for the user and a function that finds the phones of an utterance."""
    if reading.language == "other":
        return "", phones_by_spectrum
    from .recogniser import Recogniser

    return f"{path.stem}.txt beside it, with the spoken English words, makes the lips exact", Recogniser().phones


def _utterances(path: Path, pieces: list[tuple[int, int]]) -> Iterator[tuple[int, Array]]:
    """Yields the start of each piece, in steps of 10 ms, and its samples; reads the file a second time."""
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
    """Returns the path of the transcript: the one in the settings, else the text file beside the sound with the same stem."""
    if reading.transcript:
        return Path(reading.transcript)
    unvoiced = path.with_suffix(".txt")
    return unvoiced if reading.language != "other" and unvoiced.is_file() else None


def _read_transcript(transcript: Path) -> str:
    try:
        if not transcript.is_file():
            raise InvalidInput(f"cannot read {shown(transcript)}: no such file", "check the path of the transcript")
        if transcript.stat().st_size > LARGEST_FILE:
            raise InvalidInput(f"{transcript.name}: too large for a transcript", "choose a text file of the spoken words")
        text = decoded(transcript.read_bytes())
    except OSError as error:
        raise InvalidInput(f"cannot read {shown(transcript)}: {error.strerror}", "check the path of the transcript") from error
    if text is None:
        raise InvalidInput(f"{transcript.name}: the transcript is not a text file", "save it as plain text")
    return text
