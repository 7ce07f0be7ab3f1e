"""Texts from files, made safe to display and send: bounded in length and number, encodable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LONGEST_TEXT = 300  # characters of a warning; a sentence has 60 to 200
MOST_TEXTS = 20  # warnings per file; further ones are only counted


def shown(value: Any, longest: int = LONGEST_TEXT) -> str:
    """Returns ``value`` as one line of at most ``longest`` characters that every Unicode encoding can write."""
    # numpy strings may contain invalid Unicode
    text = str(value)[: longest + 1].encode("utf-8", "replace").decode("utf-8", "replace")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shown_list(values: Iterable[Any]) -> list[str]:
    """Returns at most ``MOST_TEXTS`` texts made by :func:`shown`; the last one counts the rest."""
    texts: list[str] = []
    more = 0
    for value in values:
        if len(texts) < MOST_TEXTS - 1:
            texts.append(shown(value))
        else:
            more += 1
            last = value
    return [*texts, shown(last) if more == 1 else f"and {more} more warnings"] if more else texts


def some(names: list[str], most: int = 4) -> str:
    """Returns the first few names for a sentence, and the number of the rest."""
    listed = ", ".join(shown(name, 40) for name in names[:most])
    return listed + (f" and {len(names) - most} more" if len(names) > most else "")
