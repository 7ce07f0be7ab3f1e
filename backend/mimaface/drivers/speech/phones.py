"""Phones with their times, and the viseme of each phone."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

REST, LIPS_SHUT = "sil", "PP"  # visemes of a pause, and of p, b and m
# Viseme of each English phone in ARPAbet, the alphabet of the CMU dictionary; a diphthong has two. The 15 visemes are those of
# MPEG-4 facial animation under their names in Oculus LipSync.
ARPABET = {
    "P": "PP", "B": "PP", "M": "PP", "F": "FF", "V": "FF", "TH": "TH", "DH": "TH", "T": "DD", "D": "DD", "N": "nn", "L": "nn",
    "NG": "kk", "K": "kk", "G": "kk", "HH": "kk", "CH": "CH", "JH": "CH", "SH": "CH", "ZH": "CH", "S": "SS", "Z": "SS",
    "R": "RR", "ER": "RR", "AA": "aa", "AE": "aa", "AH": "aa", "EH": "E", "IH": "I", "IY": "I", "Y": "I", "AO": "O",
    "UW": "U", "UH": "U", "W": "U", "AY": "aa I", "AW": "aa U", "EY": "E I", "OW": "O U", "OY": "O I",
}  # fmt: skip
# Viseme of each letter of the International Phonetic Alphabet and of SAMPA, which aligners of other languages write. Two letters
# are looked up before one; marks of length and stress are ignored. SAMPA distinguishes capitals.
PHONETIC = {
    **dict.fromkeys("pbmɓ", "PP"), **dict.fromkeys("fvɸβⱱɱʋ", "FF"), **dict.fromkeys("θðTD", "TH"), **dict.fromkeys("tdʈɖɗ", "DD"),
    **dict.fromkeys("nlɲɭɫʎɬɮJLɳɴ", "nn"), **dict.fromkeys("kgɡqɢŋxɣχʁħʕhɦʔɠNRXhʀcɟçɧG?C", "kk"), **dict.fromkeys("ʃʒʂʐɕʑSZ", "CH"),
    **dict.fromkeys("sz", "SS"), **dict.fromkeys("rɹɻɾɽɚɝɜr", "RR"), **dict.fromkeys("aɑæɐʌɶäAV{6", "aa"), **dict.fromkeys("eɛəɘɵɞœøE@392", "E"),
    **dict.fromkeys("iɪyʏɨjIYɥ", "I"), **dict.fromkeys("oɔɒɤOQ", "O"), **dict.fromkeys("uʊwʉɯʍUWɰ", "U"),
    "tʃ": "CH", "dʒ": "CH", "tS": "CH", "dZ": "CH", "ts": "SS", "dz": "SS", "pf": "PP FF", "tɕ": "CH", "dʑ": "CH",
    "aɪ": "aa I", "aʊ": "aa U", "eɪ": "E I", "oʊ": "O U", "ɔɪ": "O I", "əʊ": "E U", "aI": "aa I", "aU": "aa U", "OI": "O I", "OY": "O I",
    "ɔʏ": "O I", "eI": "E I", "oU": "O U", "@U": "E U", "aj": "aa I", "aw": "aa U", "ej": "E I", "ow": "O U", "ɔj": "O I",
}  # fmt: skip
SILENCE = {"", "sil", "sp", "spn", "pau", "<sil>", "<s>", "</s>", "<p:>", "<p>", "_", "#", "nsn", "+nsn+", "+spn+", "<eps>", "x-sil", "noise"}
MARKS = "ˈˌːˑ:'\"`~_\\%=̯͡"  # of length, stress and articulation, ignored
DIPHTHONG_SPLIT = 0.55  # share of a diphthong's duration for its first vowel


@dataclass(frozen=True)
class Phone:
    """A viseme over the interval [begin, end) of its phone in seconds; strength 1 is usual, higher is stressed, None not known yet."""

    viseme: str
    begin: float
    end: float
    strength: float | None = None


def phones_of(symbol: str, begin: float, end: float, english: bool = True) -> list[Phone]:
    """Returns the phones of a symbol in ARPAbet if ``english``, else IPA or SAMPA: two for a diphthong, ``REST`` for silence.

    An unknown symbol gives "E", a half-open mouth.
    """
    names = (visemes_of(symbol, english) or "E").split()
    if len(names) == 1 or end <= begin:
        return [Phone(names[0], begin, end)]
    middle = begin + DIPHTHONG_SPLIT * (end - begin)
    return [Phone(names[0], begin, middle), Phone(names[1], middle, end)]


def visemes_of(symbol: str, english: bool) -> str:
    """Returns the visemes of a symbol, one or two separated by a space, or "" for an unknown symbol."""
    bare = symbol.strip()
    if bare.lower() in SILENCE:
        return REST
    if english:
        return ARPABET.get(bare.upper().rstrip("0123456789"), "")
    plain = "".join(letter for letter in unicodedata.normalize("NFD", bare) if unicodedata.category(letter) not in ("Mn", "Lm", "Sk"))
    plain = plain.translate(dict.fromkeys(map(ord, MARKS), None))
    return PHONETIC.get(plain[:2]) or PHONETIC.get(plain[:1], "")


def is_english(symbols: list[str]) -> bool:
    """Returns whether all symbols are ARPAbet; some of its letters are other phones in SAMPA."""
    return all(visemes_of(symbol, english=True) for symbol in symbols)


def fill_with_rest(phones: list[Phone], seconds: float) -> list[Phone]:
    """Returns ``phones`` sorted by time, without overlaps, with ``REST`` in every gap from 0 to ``seconds``."""
    found, now = list[Phone](), 0.0
    for phone in sorted(phones, key=lambda each: each.begin):
        begin, end = max(phone.begin, now), min(phone.end, seconds)
        if phone.viseme == REST or end <= begin:
            continue
        if begin > now:
            found.append(Phone(REST, now, begin))
        found.append(Phone(phone.viseme, begin, end, phone.strength))
        now = end
    return [*found, Phone(REST, now, seconds)] if seconds > now else found
