"""Phones, the sounds of speech with their times, and the viseme that each is seen as."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

REST = "sil"
# The viseme of each phone of English as the CMU dictionary writes them (ARPAbet); of a diphthong the two that it goes through. The
# 15 visemes are those of MPEG-4's facial animation as Oculus names them.
ARPABET = {
    "P": "PP", "B": "PP", "M": "PP", "F": "FF", "V": "FF", "TH": "TH", "DH": "TH", "T": "DD", "D": "DD", "N": "nn", "L": "nn",
    "NG": "kk", "K": "kk", "G": "kk", "HH": "kk", "CH": "CH", "JH": "CH", "SH": "CH", "ZH": "CH", "S": "SS", "Z": "SS",
    "R": "RR", "ER": "RR", "AA": "aa", "AE": "aa", "AH": "aa", "EH": "E", "IH": "I", "IY": "I", "Y": "I", "AO": "O",
    "UW": "U", "UH": "U", "W": "U", "AY": "aa I", "AW": "aa U", "EY": "E I", "OW": "O U", "OY": "O I",
}  # fmt: skip
# The same of letters of the International Phonetic Alphabet and of SAMPA, as aligners write other languages. Two letters are looked
# for before one, marks of length and stress are left out. SAMPA's capitals are letters of their own.
PHONETIC = {
    **dict.fromkeys("pbmɓ", "PP"), **dict.fromkeys("fvɸβⱱɱʋ", "FF"), **dict.fromkeys("θðTD", "TH"), **dict.fromkeys("tdʈɖɗ", "DD"),
    **dict.fromkeys("nlɲɭɫʎɬɮJLɳɴ", "nn"), **dict.fromkeys("kgɡqɢŋxɣχʁħʕhɦʔɠNRXhʀcɟçɧG?C", "kk"), **dict.fromkeys("ʃʒʂʐɕʑSZ", "CH"),
    **dict.fromkeys("sz", "SS"), **dict.fromkeys("rɹɻɾɽɚɝɜr", "RR"), **dict.fromkeys("aɑæɐʌɶäAV{6", "aa"), **dict.fromkeys("eɛəɘɵɞœøE@392", "E"),
    **dict.fromkeys("iɪyʏɨjIYɥ", "I"), **dict.fromkeys("oɔɒɤOQ", "O"), **dict.fromkeys("uʊwʉɯʍUWɰ", "U"),
    "tʃ": "CH", "dʒ": "CH", "tS": "CH", "dZ": "CH", "ts": "SS", "dz": "SS", "pf": "PP FF", "tɕ": "CH", "dʑ": "CH",
    "aɪ": "aa I", "aʊ": "aa U", "eɪ": "E I", "oʊ": "O U", "ɔɪ": "O I", "əʊ": "E U", "aI": "aa I", "aU": "aa U", "OI": "O I", "OY": "O I",
    "ɔʏ": "O I", "eI": "E I", "oU": "O U", "@U": "E U", "aj": "aa I", "aw": "aa U", "ej": "E I", "ow": "O U", "ɔj": "O I",
}  # fmt: skip
QUIET = {"", "sil", "sp", "spn", "pau", "<sil>", "<s>", "</s>", "<p:>", "<p>", "_", "#", "nsn", "+nsn+", "+spn+", "<eps>", "x-sil", "noise"}
MARKS = "ˈˌːˑ:'\"`~_\\%=̯͡"  # of length, stress and ways to speak, beside letters
FIRST_OF_TWO = 0.55  # share of a diphthong's time that its first vowel takes


@dataclass(frozen=True)
class Phone:
    """A viseme's name and the seconds [begin, end) of its phone; strength 1 is usual, more is stressed."""

    viseme: str
    begin: float
    end: float
    strength: float = 1.0


def phones_of(symbol: str, begin: float, end: float, english: bool = True) -> list[Phone]:
    """One phone, in ARPAbet where ``english``, else in IPA or SAMPA: a diphthong is two, silence one of rest.

    A symbol of which nothing is known is a half-open mouth: something is being said.
    """
    names = (visemes_of(symbol, english) or "E").split()
    if len(names) == 1 or end <= begin:
        return [Phone(names[0], begin, end)]
    middle = begin + FIRST_OF_TWO * (end - begin)
    return [Phone(names[0], begin, middle), Phone(names[1], middle, end)]


def visemes_of(symbol: str, english: bool) -> str:
    """The visemes of a phone, one or two with a space between; "" for one that is not known."""
    bare = symbol.strip()
    if bare.lower() in QUIET:
        return REST
    if english:
        return ARPABET.get(bare.upper().rstrip("0123456789"), "")
    plain = "".join(letter for letter in unicodedata.normalize("NFD", bare) if unicodedata.category(letter) not in ("Mn", "Lm", "Sk"))
    plain = plain.translate(dict.fromkeys(map(ord, MARKS), None))
    return PHONETIC.get(plain[:2]) or PHONETIC.get(plain[:1], "")


def is_english(symbols: list[str]) -> bool:
    """Whether all these phones are written in ARPAbet. In SAMPA some of its letters are other phones."""
    return all(visemes_of(symbol, english=True) for symbol in symbols)


def filled(phones: list[Phone], seconds: float) -> list[Phone]:
    """``phones`` in order of time with rest in every hole from 0 to ``seconds``, neighbours of rest made one."""
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
