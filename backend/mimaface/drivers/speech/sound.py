"""The sound of a file as one track of 16 000 samples a second, a block at a time, so that its length costs no memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.drivers.containers import moving_pictures, opened
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion_files import MAX_FRAMES

Array = NDArray[Any]
RATE = 16000  # samples a second that the acoustic model knows
STEP = 160  # samples of which one level is told: 10 ms, as the acoustic model's frames
BLOCK = RATE  # samples that are handed on at a time
HOLE = 0.05  # seconds without sound in the file that are kept as silence; shorter ones are rounding
LONGEST = MAX_FRAMES / 60  # seconds: 55 minutes, whose frames at 60 a second make the longest motion
HINT = "use a sound such as .wav, .mp3, .m4a, .flac or .ogg"


def blocks(path: Path) -> Iterator[Array]:
    """The sound from the file's beginning on, a video's from its first picture on, as (N,) float32 of −1 to 1, N ≤ ``BLOCK``.

    All channels are mixed; missing pieces are silence. Raises :class:`InvalidInput` for what has no sound, or none that can be
    read, and :class:`NotInstalled` without PyAV.
    """
    waiting, count, done = list[Array](), 0, 0
    for place, samples in _decoded(path):
        samples = samples[max(done - place, 0) if place < done - HOLE * RATE else 0 :]
        if place > done + HOLE * RATE:
            samples = np.concatenate([np.zeros(min(place - done, int(LONGEST * RATE)), np.float32), samples])
        done += len(samples)
        if done > LONGEST * RATE:
            raise InvalidInput(f"{path.name}: the sound is longer than {LONGEST / 60:.0f} minutes", "cut it into shorter ones")
        waiting.append(samples)
        count += len(samples)
        if count >= BLOCK:
            whole = np.concatenate(waiting)
            for start in range(0, count - BLOCK + 1, BLOCK):
                yield whole[start : start + BLOCK]
            waiting = [whole[count // BLOCK * BLOCK :]]
            count %= BLOCK
    if done < STEP:
        raise InvalidInput(f"{path.name}: the sound has no length", "export it again, or choose another file")
    if count:
        yield np.concatenate(waiting)


def _decoded(path: Path) -> Iterator[tuple[int, Array]]:
    """Where each piece begins, in samples from the file's beginning, and the piece (N,)."""
    import av

    with opened(path, "a sound", HINT) as container:
        if not container.streams.audio:
            raise InvalidInput(f"{path.name}: there is no sound in it", "use a file with a sound track, or leave the face to drive")
        begin: float | None = None
        if pictures := moving_pictures(container):
            begin = float(next(container.decode(pictures[0])).time or 0.0)
            container.seek(0)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        for frame in container.decode(container.streams.audio[0]):
            seconds = float(frame.time or 0.0)
            begin = seconds if begin is None else begin
            place = round((seconds - begin) * RATE)
            frame.pts = None
            for piece in resampler.resample(frame):
                samples = piece.to_ndarray()[0]
                if place + len(samples) > 0:
                    yield max(place, 0), np.ascontiguousarray(samples[max(-place, 0) :], np.float32)
                place += len(samples)


def level_of(samples: Array) -> Array:
    """Loudness (N / 160,) of samples (N,) in decibels below full scale, a value every 10 ms; −100 is no sound at all."""
    whole = samples[: len(samples) // STEP * STEP].reshape(-1, STEP).astype(np.float64)
    return np.asarray(10 * np.log10(np.square(whole).mean(axis=1) + 1e-10))


def levels(path: Path) -> Iterator[Array]:
    """:func:`level_of` of every block of a file."""
    yield from map(level_of, blocks(path))
