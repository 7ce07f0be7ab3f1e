"""Tables in text files of any common encoding and separator, read as header and rows with size limits."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mimaface.protocol.errors import InvalidMotion
from mimaface.protocol.motion_files import MAX_FRAMES

LARGEST_FILE = 1 << 28  # bytes; 200,000 frames with 62 columns take 140 MB
LONGEST_LINE = 1 << 20  # characters; the header of a take has 1,000
MOST_COLUMNS = 10_000
HEADER_WITHIN = 20  # lines; some writers put lines about themselves above the header
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """The header's cells, its line number, (line number, cells) of each later non-empty row, and whether the file ends with a
    newline. Cells are stripped.
    """

    header: list[str]
    line: int
    rows: Iterator[tuple[int, list[str]]]
    ended: bool


def decoded(content: bytes, whole: bool = True) -> str | None:
    """Returns text decoded from UTF-8, UTF-16, UTF-32 or Windows-1252, or None for binary content.

    whole: False for the beginning of a file, whose last character may be cut.
    """
    if not whole:
        content = content[: len(content) // 4 * 4]
    named = next((encoding for mark, encoding in BOMS if content.startswith(mark)), "")
    start = content[:4096]
    if not named and b"\0" in start:  # UTF-16 without a byte order mark: every second byte of Latin text is zero
        named = "utf-16-le" if start[1::2].count(0) > len(start) // 3 else "utf-16-be" if start[::2].count(0) > len(start) // 3 else ""
        if not named:
            return None
    for encoding in (named,) if named else ("utf-8", "cp1252", "latin-1"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        control = sum(letter < " " and letter not in "\t\r\n\f" for letter in text[:4096])
        return text if control == 0 else None
    return None


def read_table(content: bytes, name: str, is_header: Callable[[list[str]], bool]) -> Table:
    """Returns the table whose header is the first of the leading rows for which ``is_header`` is true, else the first row.

    Raises :class:`InvalidMotion` for binary, empty or too large files.
    """
    if len(content) > LARGEST_FILE:
        raise InvalidMotion(f"{name}: {len(content) >> 20} MB are too large for a take", "export a shorter take")
    text = decoded(content)
    if text is None:
        raise InvalidMotion(f"{name}: not a text file", "choose the .csv that the recording wrote")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    separator = _separator(text)
    first: tuple[int, list[str]] | None = None
    for tried, (line, cells) in enumerate(_rows(text, name, separator)):
        first = first or (line, cells)
        if is_header(cells) or tried >= HEADER_WITHIN:
            break
    if first is None:
        raise InvalidMotion(f"{name}: the file is empty", "export the take again")
    line, header = (line, cells) if is_header(cells) else first
    later = (row for row in _rows(text, name, separator) if row[0] > line)
    return Table(header, line, later, text.endswith("\n"))


def _separator(text: str) -> str:
    """Returns the separator: the most frequent candidate in the leading line with most letters, which is the header; else a space."""
    lines = text[:LONGEST_LINE].split("\n")[:HEADER_WITHIN]
    head = max(lines, key=lambda line: sum(map(str.isalpha, line)))
    found = max(",;\t|", key=head.count)
    return found if found in head else " "


def _rows(text: str, name: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    def lines() -> Iterator[str]:
        start = 0
        while start < len(text):
            end = text.find("\n", start) + 1 or len(text)
            if end - start > LONGEST_LINE:
                raise InvalidMotion(f"{name}: a line of more than {LONGEST_LINE} letters is no row of a take", "export the take again")
            line = text[start:end]
            yield line if separator != " " else " ".join(line.lstrip("# ").split()) + "\n"
            start = end

    reader = csv.reader(lines(), delimiter=separator)
    count = 0
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) > MOST_COLUMNS:
                raise InvalidMotion(f"{name}: line {reader.line_num}: more than {MOST_COLUMNS} cells", "export the take again")
            count += 1
            if count > MAX_FRAMES + HEADER_WITHIN:
                raise InvalidMotion(f"{name}: more than {MAX_FRAMES} rows", "export a shorter take")
            yield reader.line_num, cells
    except csv.Error as error:
        raise InvalidMotion(f"{name}: line {reader.line_num}: not valid CSV ({error})") from error
