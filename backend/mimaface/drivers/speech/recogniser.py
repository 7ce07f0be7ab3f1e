"""Phone recognition and forced alignment of English by PocketSphinx with its bundled acoustic model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, NotInstalled

from .phones import Phone, phones_of
from .sound import RATE, level_of
from .transcript import transcript_words

FRAME_RATE = 100  # frames per second of the acoustic model
# decibels below full scale to which the 95th percentile of loudness is scaled: the acoustic model expects close speech
SPEECH_LEVEL = -20.0
# Standard deviation of added noise as a share of full scale, for the acoustic model was not trained on digital silence. Of 49 p,
# b and m in four sentences of espeak-ng, 30 are found with noise and its lead, and 14 without.
NOISE_LEVEL = 1e-3
LEAD = 0.3  # seconds of noise before and after, in which the model adapts to the level
# weight of phone transitions against acoustics. Chosen: 0.5 to 6 differ by at most 8 of 196 phones found
LANGUAGE_WEIGHT = 1.0
BEAM = 1e-20  # paths below this share of the best path's likelihood are pruned. Chosen: PocketSphinx's advice for phones
ALIGNED_SECONDS = 8.0  # seconds of words aligned at once. Raised: more memory, which grows with seconds × words


def _decoder(**options: Any) -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        hint = 'pip install "mimaface[audio]", or use --language other (Blender: Language), which does not need it'
        raise NotInstalled("reading speech needs PocketSphinx", hint) from error
    if options.pop("phones", False):
        options["allphone"] = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
    return pocketsphinx.Decoder(lm=None, loglevel="FATAL", **options)


class Recogniser:
    """Recognises phones without a transcript. Raises :class:`NotInstalled` without PocketSphinx."""

    def __init__(self) -> None:
        self._decoder = _decoder(phones=True, lw=LANGUAGE_WEIGHT, beam=BEAM, pbeam=BEAM)

    def phones(self, samples: Array, begin: float) -> list[Phone]:
        """Returns the phones of an utterance (N,) that starts at ``begin`` seconds; [] if none is recognised."""
        _decode(self._decoder, samples)
        found = list[Phone]()
        for each in self._decoder.seg() or ():
            first, last = (begin - LEAD + frame / FRAME_RATE for frame in (each.start_frame, each.end_frame + 1))
            found += phones_of(each.word, first, last)
        return found


def aligned(samples: Array, text: str, name: str) -> Iterator[list[Phone] | None]:
    """Aligns ``text`` with ``samples`` (N,): yields None after each piece, then all phones.

    Raises :class:`InvalidInput` with the transcript's ``name`` when the words do not fit the sound.
    """
    decoder = _decoder()
    words = transcript_words(text, decoder)
    if not words:
        raise InvalidInput(f"{name}: there are no words in the transcript", "write the spoken words, or remove the transcript")
    unfit = InvalidInput(f"{name}: its words do not match the sound", "correct or remove the transcript")
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
        first, last = piece[0][1] / FRAME_RATE - LEAD, piece[-1][2] / FRAME_RATE - LEAD
        begin, end = max(first - 0.05, 0.0), last + 0.05
        try:
            found += _phones_of_words(decoder, [word for word, _, _ in piece], samples[round(begin * RATE) : round(end * RATE)], begin)
        except RuntimeError:  # the piece is too short for its phones: they share the time of each word evenly
            for word, start, stop in piece:
                found += _spread(decoder.lookup_word(word) or "", start / FRAME_RATE - LEAD, stop / FRAME_RATE - LEAD)
        yield None
    yield found


def _pieces(times: list[tuple[str, int, int]]) -> Iterator[list[tuple[str, int, int]]]:
    """Yields consecutive words in pieces of at most ``ALIGNED_SECONDS``, split at pauses where possible."""
    piece = list[tuple[str, int, int]]()
    for word, start, stop in times:
        pause = word.startswith(("<", "[", "+"))
        long = bool(piece) and stop - piece[0][1] > ALIGNED_SECONDS * FRAME_RATE
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
            first = begin - LEAD + each.start / FRAME_RATE
            found += phones_of(each.name, first, first + each.duration / FRAME_RATE)
    return found


def _spread(phones: str, begin: float, end: float) -> list[Phone]:
    names = phones.split()
    step = (end - begin) / max(len(names), 1)
    return [phone for index, each in enumerate(names) for phone in phones_of(each, begin + index * step, begin + (index + 1) * step)]


def _decode(decoder: Any, samples: Array) -> None:
    """Decodes ``samples`` (N,) at a fixed level, with noise and a lead in and out; deterministic."""
    level = level_of(samples)
    loud = float(np.percentile(level, 95)) if len(level) else 0.0
    lead = np.zeros(round(LEAD * RATE))
    signal = np.concatenate([lead, samples * 10 ** ((SPEECH_LEVEL - loud) / 20), lead])
    signal += np.random.default_rng(0).normal(0, NOISE_LEVEL, len(signal))
    decoder.start_utt()
    decoder.process_raw((np.clip(signal, -1, 1) * 32767).astype(np.int16).tobytes(), full_utt=True)
    decoder.end_utt()
