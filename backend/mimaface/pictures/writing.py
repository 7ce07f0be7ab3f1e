"""PNG files tagged as sRGB."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from mimaface.protocol.arrays import Array

try:
    from isal import isal_zlib as deflate
except ImportError:  # no wheel for this platform: four times slower, about the same size, the same pictures
    import zlib as deflate  # type: ignore[no-redef]

OURS = "MIMAFace Animator"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PERCEPTUAL = b"\0"  # rendering intent of the sRGB chunk
COLOUR_TYPE = {3: 2, 4: 6}  # channels → truecolour, with alpha; PNG specification 11.2.1
# Filter of a row: each byte is its difference from the byte above. With ISA-L the size equals that of the best filter per row
# with zlib's level 1, in a twelfth of the time.
UP_FILTER = 2
LEVEL = 1  # of compression. 3 takes half as long again and saves 0.5 %
STRIP = 256  # rows that are filtered at a time. More: more memory


def encode_png(image: Array) -> bytes:
    """Encodes a picture (H, W, 3 or 4) uint8 in sRGB as PNG; deterministic on one machine.

    Releases Python's lock, so that one thread can write while another renders.
    """
    height, width, channels = image.shape
    pixels = np.ascontiguousarray(image, np.uint8).reshape(height, width * channels)
    packer, packed = deflate.compressobj(LEVEL), []
    for top in range(0, height, STRIP):
        part = pixels[top : top + STRIP]
        rows = np.empty((len(part), 1 + width * channels), np.uint8)
        rows[:, 0] = UP_FILTER
        rows[0, 1:] = part[0] - pixels[top - 1] if top else part[0]
        np.subtract(part[1:], part[:-1], out=rows[1:, 1:])
        packed.append(packer.compress(rows))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPE[channels], 0, 0, 0)
    text = b"Software\0" + OURS.encode("latin-1")
    parts = (b"IHDR", header), (b"sRGB", PERCEPTUAL), (b"tEXt", text), (b"IDAT", b"".join(packed)), (b"IEND", b"")
    return SIGNATURE + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def is_ours(path: Path) -> bool:
    """Returns whether a PNG file was written by :func:`encode_png`, with or without later chunks."""
    with path.open("rb") as file:
        file.seek(len(SIGNATURE))
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"tEXt" and file.read(length) == b"Software\0" + OURS.encode():
                return True
            file.seek(4 if head[4:] == b"tEXt" else length + 4, 1)
    return False
