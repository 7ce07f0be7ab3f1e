"""Texts from files, made fit to be shown and sent: bounded in length and number, always encodable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LONGEST_TEXT = 300  # letters of a warning; a sentence has 60 to 200
MOST_TEXTS = 20  # warnings of one file; more are counted, not listed


def shown(value: Any, longest: int = LONGEST_TEXT) -> str:
    """``value`` as one line of at most ``longest`` letters that every encoding of Unicode can write."""
    text = str(value)[: longest + 1].encode("utf-8", "replace").decode("utf-8", "replace")  # numpy's texts may hold more than Unicode
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shown_list(values: Iterable[Any]) -> list[str]:
    """At most ``MOST_TEXTS`` texts as :func:`shown` makes them; the last says how many more there were."""
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
    """Names in a sentence: the first few, then how many more."""
    listed = ", ".join(shown(name, 40) for name in names[:most])
    return listed + (f" and {len(names) - most} more" if len(names) > most else "")
