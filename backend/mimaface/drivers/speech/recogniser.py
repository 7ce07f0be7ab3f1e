"""Recognition and forced alignment of English by PocketSphinx with its bundled models of sounds, phones and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidInput, NotInstalled

from .phones import LIPS_SHUT, Phone, phones_of
from .sound import RATE, level_of
from .transcript import transcript_words

WordTime = tuple[str, int, int]  # a word or pause, its first frame and the one after its last
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
# Most probable sentences whose p, b and m are believed: words that are wrong sound like the right ones. Raised: more of them are
# found, and more that are none. Chosen with the next two on 63 sentences of ``tests/bench/bench_speech.py``
SENTENCES, CANDIDATES = 3, 40  # and how many are looked through, for most differ in pauses alone
# seconds from which a p, b or m that only the recogniser of phones finds is believed. Raised: fewer are found, and fewer that are none
SHORTEST_CLOSURE = 0.06
SAME_CLOSURE = 0.03  # seconds between two p, b or m that are taken for one. Raised: "Bob put" has one where it has two


def _decoder(**options: Any) -> Any:
    try:
        import pocketsphinx
    except ImportError as error:
        hint = 'pip install "mimaface[audio]", or use --language other (Blender: Language), which does not need it'
        raise NotInstalled("reading speech needs PocketSphinx", hint) from error
    models = {name: pocketsphinx.get_model_path(f"en-us/{options[name]}") for name in ("lm", "allphone") if options.get(name)}
    return pocketsphinx.Decoder(loglevel="FATAL", **{"lm": None, **options, **models})


class Recogniser:
    """Recognises phones without a transcript. Raises :class:`NotInstalled` without PocketSphinx.

    Words are recognised and aligned; lips shut also where other probable sentences or the recogniser of phones hear p, b or m.
    """

    def __init__(self) -> None:
        self._words = _decoder(lm="en-us.lm.bin")
        self._aligner = _decoder()
        self._phones = _decoder(allphone="en-us-phone.lm.bin", lw=LANGUAGE_WEIGHT, beam=BEAM, pbeam=BEAM)

    def phones(self, samples: Array, begin: float) -> list[Phone]:
        """Returns the phones of an utterance (N,) that starts at ``begin`` seconds; [] if none is recognised."""
        _decode(self._phones, samples)
        heard = [
            phone
            for each in self._phones.seg() or ()
            for phone in phones_of(each.word, _seconds(each.start_frame), _seconds(each.end_frame + 1))
        ]
        sentences = [found for words in self._sentences(samples) if (found := self._phones_of(words, samples))]
        long = [phone for phone in heard if phone.end - phone.begin > SHORTEST_CLOSURE - 1e-6]
        phones = (
            _with_closures(sentences[0], [phone for part in (*sentences[1:], long) for phone in part]) if sentences else heard
        )
        return [replace(phone, begin=begin + phone.begin, end=begin + phone.end) for phone in phones]

    def _sentences(self, samples: Array) -> list[tuple[str, ...]]:
        """Returns the words of the most probable sentences, best first."""
        _decode(self._words, samples)
        best = self._words.hyp()
        texts = [best, *islice(self._words.nbest() or (), CANDIDATES)] if best else []
        spoken = (
            tuple(word.partition("(")[0] for word in each.hypstr.split() if not _is_pause(word))
            for each in texts
            if each and each.hypstr
        )
        return list(dict.fromkeys(words for words in spoken if words))[:SENTENCES]

    def _phones_of(self, words: tuple[str, ...], samples: Array) -> list[Phone]:
        """Returns the phones of ``words`` in seconds from the utterance's start; [] if they cannot be aligned."""
        try:
            times = _word_times(self._aligner, words, samples)
        except RuntimeError:
            return []
        return [phone for piece in _pieces(times) for phone in _phones_of_words(self._aligner, piece, samples)]


def _with_closures(phones: list[Phone], others: list[Phone]) -> list[Phone]:
    """Returns ``phones``, which are in order of time, with the p, b and m of ``others`` in place of what is there at the time."""
    for other in others:
        near = (each for each in phones if each.begin < other.end + SAME_CLOSURE and each.end > other.begin - SAME_CLOSURE)
        if other.viseme != LIPS_SHUT or any(each.viseme == LIPS_SHUT for each in near):
            continue
        before = [replace(each, end=min(each.end, other.begin)) for each in phones if each.begin < other.begin]
        phones = [*before, other, *(replace(each, begin=max(each.begin, other.end)) for each in phones if each.end > other.end)]
    return phones


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
        times = _word_times(decoder, words, samples)
    except RuntimeError as error:
        raise unfit from error
    if not times:
        raise unfit
    yield None
    found = list[Phone]()
    for piece in _pieces(times):
        found += _phones_of_words(decoder, piece, samples)
        yield None
    yield found


def _word_times(decoder: Any, words: Sequence[str], samples: Array) -> list[WordTime]:
    """Returns the words and the pauses between them in ``samples`` (N,); raises RuntimeError when they do not fit."""
    decoder.set_align_text(" ".join(words))
    _decode(decoder, samples)
    return [(each.word, each.start_frame, each.end_frame + 1) for each in decoder.seg() or ()]


def _seconds(frame: int) -> float:
    """Returns the seconds from the start of the samples to a frame of the decoder, which hears the lead first."""
    return frame / FRAME_RATE - LEAD


def _is_pause(word: str) -> bool:
    return word.startswith(("<", "[", "+"))


def _pieces(times: list[WordTime]) -> Iterator[list[WordTime]]:
    """Yields consecutive words in pieces of at most ``ALIGNED_SECONDS``, split at pauses where possible."""
    piece = list[WordTime]()
    for word, start, stop in times:
        pause = _is_pause(word)
        long = bool(piece) and stop - piece[0][1] > ALIGNED_SECONDS * FRAME_RATE
        if piece and (pause or long):
            yield piece
            piece = []
        if not pause:
            piece.append((word, start, stop))
    if piece:
        yield piece


def _phones_of_words(decoder: Any, piece: list[WordTime], samples: Array) -> list[Phone]:
    """Returns the phones of consecutive words of ``samples`` (N,); those of a word too short for its phones share its time evenly."""
    first, last = _seconds(piece[0][1]), _seconds(piece[-1][2])
    begin, end = max(first - 0.05, 0.0), last + 0.05
    part = samples[round(begin * RATE) : round(end * RATE)]
    decoder.set_align_text(" ".join(word.partition("(")[0] for word, _, _ in piece))
    try:
        _decode(decoder, part)
        decoder.set_alignment()
        _decode(decoder, part)
    except RuntimeError:  # a word is too short for its phones: each half is tried
        if len(piece) == 1:
            return _spread(decoder.lookup_word(piece[0][0]) or "", first, last)
        middle = len(piece) // 2
        return _phones_of_words(decoder, piece[:middle], samples) + _phones_of_words(decoder, piece[middle:], samples)
    times = (
        (each.name, begin + _seconds(each.start), each.duration / FRAME_RATE) for word in decoder.get_alignment() for each in word
    )
    return [phone for name, start, length in times for phone in phones_of(name, start, start + length)]


def _spread(phones: str, begin: float, end: float) -> list[Phone]:
    names = phones.split()
    step = (end - begin) / max(len(names), 1)
    return [
        phone for index, each in enumerate(names) for phone in phones_of(each, begin + index * step, begin + (index + 1) * step)
    ]


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
