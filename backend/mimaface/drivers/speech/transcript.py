"""Words of a transcript, with pronunciations for those that the dictionary lacks."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# phones of English spellings, longest first, for words that the dictionary lacks: accurate enough for lips
LETTERS = {
    "tch": "CH", "sch": "SH", "igh": "AY", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "ck": "K", "ng": "NG", "qu": "K W",
    "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "OW", "oa": "OW", "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "ei": "AY",
    "ie": "IY", "eu": "OY", "au": "AO", "aw": "AO", "er": "ER", "ir": "ER", "ur": "ER", "a": "AE", "b": "B", "c": "K", "d": "D", "e": "EH",
    "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "AA", "p": "P", "q": "K", "r": "R",
    "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY", "z": "Z",
}  # fmt: skip
_SPELLED = re.compile("|".join(LETTERS))


def transcript_words(text: str, decoder: Any) -> list[str]:
    """Returns the words of ``text`` in order. Adds missing words to the decoder's dictionary; digits are read one by one."""
    normalised = unicodedata.normalize("NFKD", text.replace("’", "'")).lower()
    normalised = re.sub(r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", normalised)
    words = [word for word in (found.strip("'") for found in re.findall("[a-z']+", re.sub("[\u0300-\u036f]", "", normalised))) if word]
    for word in dict.fromkeys(words):
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, pronunciation(word), False)
    return words


def pronunciation(word: str) -> str:
    """Returns the ARPAbet phones of a word from its spelling; double letters count once, a final e is mute: "pebble" → "P EH B
    L".
    """
    bare = re.sub(r"(.)\1", r"\1", word.replace("'", "")) if not re.search("ee|oo", word) else word.replace("'", "")
    if len(bare) > 3 and bare.endswith("e") and bare[-2] not in "aeiou":
        bare = bare[:-1]
    return " ".join(LETTERS[part] for part in _SPELLED.findall(bare)) or "AH"
