"""``SHA256SUMS`` of a model folder, in the format of ``sha256sum -c``: written at installation, compared on request."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.protocol.files import writable

NAME = "SHA256SUMS"
REINSTALL_HINT = "install the model again"


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file, hexadecimal. Raises :class:`InvalidCheckpoint` for an unreadable file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidCheckpoint(f"{path} cannot be read: {error.strerror}", REINSTALL_HINT) from error


def contents(folder: Path) -> list[str]:
    """Returns the names of all files below a folder except the list itself, with forward slashes, sorted."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != NAME)


def write(folder: Path) -> None:
    """Writes the list. Raises :class:`NotWritable` and :class:`DiskFull`."""
    lines = [f"{digest(folder / name)}  {name}\n" for name in contents(folder)]
    with writable(folder / NAME):
        (folder / NAME).write_text("".join(lines), encoding="utf-8")


def read(folder: Path) -> dict[str, str]:
    """Returns file name → digest. Raises :class:`InvalidCheckpoint` for a missing or malformed list."""
    path = folder / NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidCheckpoint(f"{path} cannot be read", REINSTALL_HINT) from error
    found = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    if not found or not all(name and len(value) == 64 for name, value in found.items()):
        raise InvalidCheckpoint(f"{path} is not a list of checksums", REINSTALL_HINT)
    return found


def fingerprint(folder: Path) -> str:
    """Returns a SHA-256 of a model folder's content: of its list if present, else of its files. Raises
    :class:`InvalidCheckpoint`.
    """
    if (folder / NAME).exists():
        return hashlib.sha256(repr(sorted(read(folder).items())).encode()).hexdigest()
    stamps = []
    for name in contents(folder):
        found = (folder / name).stat()
        stamps.append((name, found.st_size, found.st_mtime_ns, found.st_ino))
    return _of_files(folder, tuple(stamps))


@functools.lru_cache(maxsize=4)
def _of_files(folder: Path, stamps: tuple[tuple[str, int, int, int], ...]) -> str:
    """Returns the fingerprint of files; cached until one changes."""
    return hashlib.sha256(repr([(name, digest(folder / name)) for name, *_ in stamps]).encode()).hexdigest()


def compare(folder: Path) -> Iterator[tuple[str, str]]:
    """Yields (file, problem or "") for each listed file and each unlisted one in the folder."""
    listed = read(folder)
    for name, wanted in sorted(listed.items()):
        if not (folder / name).is_file():
            yield name, "missing"
        else:
            yield name, "" if digest(folder / name) == wanted else "changed"
    for name in contents(folder):
        if name not in listed:
            yield name, "not part of the model"
