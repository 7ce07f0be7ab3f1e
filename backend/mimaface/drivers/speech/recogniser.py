"""Which phones are spoken when: PocketSphinx with the model of English that it brings, with and without the words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimaface.protocol.errors import InvalidInput, NotInstalled

from .phones import Phone, phones_of
from .sound import RATE, level_of
from .transcript import spoken

Array = NDArray[Any]
FRAMES = 100  # of the acoustic model, a second
LOUD = -20.0  # decibels below full scale that the loud parts of an utterance are brought to: the model knows speech near a microphone
# Share of full scale of the noise that is laid under all: the model has never heard digital silence. Of four sentences of espeak-ng it
# finds 30 of 49 p, b and m with it and its lead, and 14 without.
NOISE = 1e-3
LEAD = 0.3  # seconds of that noise before and after, in which the model finds its level
# weight of what phones usually follow each other, against what is heard; 0.5 to 6 find as many within 8 of 196, and 1 is the middle
LANGUAGE_WEIGHT = 1.0
BEAM = 1e-20  # share of the best path's likelihood below which others are given up; the authors' advice for phones
TOGETHER = 8.0  # seconds of words whose phones are told at once, for memory: it grows with seconds times words


def _decoder(**options: Any) -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        raise NotInstalled("reading speech needs PocketSphinx", 'pip install "mimaface[audio]"; --language other does without') from error
    if options.pop("phones", False):
        options["allphone"] = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
    return pocketsphinx.Decoder(lm=None, loglevel="FATAL", **options)


class Recogniser:
    """Phones without knowing the words. Raises :class:`NotInstalled` without PocketSphinx."""

    def __init__(self) -> None:
        self._decoder = _decoder(phones=True, lw=LANGUAGE_WEIGHT, beam=BEAM, pbeam=BEAM)

    def phones(self, samples: Array, begin: float) -> list[Phone]:
        """The phones of an utterance (N,) that begins at ``begin`` seconds; [] where none is heard."""
        _decode(self._decoder, samples)
        found = list[Phone]()
        for each in self._decoder.seg() or ():
            first, last = (begin - LEAD + frame / FRAMES for frame in (each.start_frame, each.end_frame + 1))
            found += phones_of(each.word, first, last)
        return found


def aligned(samples: Array, text: str, name: str) -> Iterator[list[Phone] | None]:
    """The phones of ``text`` where they are spoken in ``samples`` (N,): None after every piece, all phones last.

    Raises :class:`InvalidInput`, naming the transcript's ``name``, for words that are not those of the sound.
    """
    decoder = _decoder()
    words = spoken(text, decoder)
    if not words:
        raise InvalidInput(f"{name}: there are no words in the transcript", "write what is said, or take the transcript away")
    unfit = InvalidInput(f"{name}: these words are not spoken in the sound", "correct the transcript, or take it away")
    try:
        decoder.set_align_text(" ".join(words))
        _decode(decoder, samples)
        times = [(each.word, each.start_frame, each.end_frame + 1) for each in decoder.seg() or ()]
    except RuntimeError as error:
        raise unfit from error
    if not times:
        raise unfit
    yield None
    found = list[Phone]()
    for piece in _pieces(times):
        first, last = piece[0][1] / FRAMES - LEAD, piece[-1][2] / FRAMES - LEAD
        begin, end = max(first - 0.05, 0.0), last + 0.05
        try:
            found += _phones_of_words(decoder, [word for word, _, _ in piece], samples[round(begin * RATE) : round(end * RATE)], begin)
        except RuntimeError:  # too short for its phones: spread over the time of each word
            for word, start, stop in piece:
                found += _spread(decoder.lookup_word(word) or "", start / FRAMES - LEAD, stop / FRAMES - LEAD)
        yield None
    yield found


def _pieces(times: list[tuple[str, int, int]]) -> Iterator[list[tuple[str, int, int]]]:
    """Words that follow each other, in pieces of ``TOGETHER`` seconds at most, which end at pauses where there are any."""
    piece = list[tuple[str, int, int]]()
    for word, start, stop in times:
        pause = word.startswith(("<", "[", "+"))
        long = bool(piece) and stop - piece[0][1] > TOGETHER * FRAMES
        if piece and (pause or long):
            yield piece
            piece = []
        if not pause:
            piece.append((word, start, stop))
    if piece:
        yield piece


def _phones_of_words(decoder: Any, words: list[str], samples: Array, begin: float) -> list[Phone]:
    decoder.set_align_text(" ".join(word.partition("(")[0] for word in words))
    _decode(decoder, samples)
    decoder.set_alignment()
    _decode(decoder, samples)
    found = list[Phone]()
    for word in decoder.get_alignment():
        for each in word:
            first = begin - LEAD + each.start / FRAMES
            found += phones_of(each.name, first, first + each.duration / FRAMES)
    return found


def _spread(phones: str, begin: float, end: float) -> list[Phone]:
    names = phones.split()
    step = (end - begin) / max(len(names), 1)
    return [phone for index, each in enumerate(names) for phone in phones_of(each, begin + index * step, begin + (index + 1) * step)]


def _decode(decoder: Any, samples: Array) -> None:
    """Let the decoder hear ``samples`` (N,), at its own level, over a faint noise and with a lead of it. The same for the same."""
    level = level_of(samples)
    loud = float(np.percentile(level, 95)) if len(level) else 0.0
    lead = np.zeros(round(LEAD * RATE))
    heard = np.concatenate([lead, samples * 10 ** ((LOUD - loud) / 20), lead])
    heard += np.random.default_rng(0).normal(0, NOISE, len(heard))
    decoder.start_utt()
    decoder.process_raw((np.clip(heard, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
