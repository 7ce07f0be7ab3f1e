"""Sound files as mono blocks at 16 kHz, read in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mimaface.drivers.containers import moving_pictures, opened
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.motion_files import MAX_FRAMES

RATE = 16000  # samples per second, as the acoustic model expects
STEP = 160  # samples per loudness value: 10 ms, one frame of the acoustic model
BLOCK = RATE  # samples per block
SHORTEST_GAP = 0.05  # seconds. Longer gaps between timestamps become silence; shorter ones are rounding
LONGEST = MAX_FRAMES / 60  # seconds, 55 minutes: at 60 frames per second the longest motion
# of full scale: a mean of the first second above which it is an offset of the sound card, which would hide pauses. Raised: more is kept
OFFSET = 0.005
CANCELLED = 0.01  # share of the louder channel's energy below which two channels have cancelled each other. Raised: more is called so
HINT = "use a sound such as .wav, .mp3, .m4a, .flac or .ogg"


def blocks(path: Path) -> Iterator[Array]:
    """Yields the sound of a file as (N,) float32 in [−1, 1], N ≤ ``BLOCK``; of a video from its first picture on.

    Channels are mixed, but for two that cancel each other; a constant offset is taken away; gaps are silence. Raises
    :class:`InvalidInput` for a file without readable sound, and :class:`NotInstalled` without PyAV.
    """
    waiting, count, done, offset = list[Array](), 0, 0, None
    for place, samples in _decoded(path):
        samples = samples[max(done - place, 0) if place < done - SHORTEST_GAP * RATE else 0 :]
        if place > done + SHORTEST_GAP * RATE:
            samples = np.concatenate([np.zeros(min(place - done, int(LONGEST * RATE)), np.float32), samples])
        done += len(samples)
        if done > LONGEST * RATE:
            raise InvalidInput(f"{path.name}: the sound is longer than {LONGEST / 60:.0f} minutes", "cut it into shorter ones")
        waiting.append(samples)
        count += len(samples)
        if count >= BLOCK:
            whole = np.concatenate(waiting)
            offset = _offset_of(whole[:BLOCK]) if offset is None else offset
            for start in range(0, count - BLOCK + 1, BLOCK):
                yield whole[start : start + BLOCK] - offset
            waiting = [whole[count // BLOCK * BLOCK :]]
            count %= BLOCK
    if done < STEP:
        raise InvalidInput(f"{path.name}: the sound has no length", "export it again, or choose another file")
    if count:
        whole = np.concatenate(waiting)
        yield whole - (_offset_of(whole) if offset is None else offset)


def _offset_of(samples: Array) -> np.float32:
    mean = np.float32(samples.mean())
    return mean if abs(mean) > OFFSET else np.float32(0)


def _decoded(path: Path) -> Iterator[tuple[int, Array]]:
    """Yields pieces of sound (N,) with their start in samples from the file's beginning."""
    import av

    with opened(path, "a sound", HINT) as container:
        if not container.streams.audio:
            raise InvalidInput(f"{path.name}: it contains no sound", "use a file with a sound track, or let the face of the video drive")
        begin: float | None = None
        if pictures := moving_pictures(container):
            begin = float(next(container.decode(pictures[0])).time or 0.0)
            container.seek(0)
        track = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="stereo" if track.channels == 2 else "mono", rate=RATE)
        for frame in container.decode(track):
            seconds = float(frame.time or 0.0)
            begin = seconds if begin is None else begin
            place = round((seconds - begin) * RATE)
            frame.pts = None
            for piece in resampler.resample(frame):
                samples = _mixed(np.nan_to_num(piece.to_ndarray(), nan=0.0, posinf=1.0, neginf=-1.0))
                if place + len(samples) > 0:
                    yield max(place, 0), np.ascontiguousarray(samples[max(-place, 0) :], np.float32)
                place += len(samples)


def _mixed(channels: Array) -> Array:
    """Returns channels (1 or 2, N) as one (N,): their mean, or the first if they cancel each other, as in a line with exchanged poles."""
    mean = channels.mean(axis=0)
    if len(channels) == 1 or np.square(mean).sum() > CANCELLED * np.square(channels).sum(axis=1).max():
        return np.asarray(mean)
    return np.asarray(channels[0])


def level_of(samples: Array) -> Array:
    """Returns loudness (N / 160,) of samples (N,) in decibels below full scale, one value every 10 ms; −100 is digital
    silence."""
    whole = samples[: len(samples) // STEP * STEP].reshape(-1, STEP).astype(np.float64)
    return np.asarray(10 * np.log10(np.square(whole).mean(axis=1) + 1e-10))


def levels(path: Path) -> Iterator[Array]:
    """Yields :func:`level_of` of each block of a file."""
    yield from map(level_of, blocks(path))
