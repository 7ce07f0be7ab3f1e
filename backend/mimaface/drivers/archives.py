"""Refuses archives, spreadsheets and FBX, with the next step for the user."""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path

from mimaface.protocol.errors import InvalidMotion

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # first bytes of a zip file, which a .motion.npz is, too
# first bytes of other archives: gzip, bzip2, xz, zstandard, 7-Zip, RAR
PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c", b"Rar!")
TAR = 257, b"ustar"  # offset and signature of a tar file
FBX = (b"Kaydara FBX", b"; FBX")  # first bytes of binary and of textual files
SHEETS = ("xl/", "content.xml", "Index/")  # first entries of spreadsheets of Excel, LibreOffice and Numbers


def refuse_packed(path: Path, start: bytes) -> None:
    """Raise :class:`InvalidMotion` for an archive, a spreadsheet or an FBX, but not for a .motion.npz. ``start``: the file's first bytes."""
    if start.startswith(FBX):
        raise InvalidMotion(f"{path.name}: an FBX, which Blender's importer reads", "choose it in Blender's Import Motion, or export a .bvh")
    if start.startswith(PACKED) or start[TAR[0] :].startswith(TAR[1]):
        raise InvalidMotion(f"{path.name}: a packed file", "unpack it, and choose the file in it")
    if not start.startswith(ZIP):
        return
    names: list[str] = []
    with contextlib.suppress(zipfile.BadZipFile, NotImplementedError, ValueError, RuntimeError), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.startswith(SHEETS) for name in names):
        raise InvalidMotion(f"{path.name}: a spreadsheet", "save it as CSV, and choose that file")
    if names and not any(name.endswith(".npy") for name in names):
        raise InvalidMotion(f"{path.name}: an archive", "unpack it, and choose the take in it")
