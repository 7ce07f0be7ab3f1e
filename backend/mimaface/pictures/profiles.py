"""ICC profiles (ICC.1:2001, v2) for colour encodings given by numbers: primaries, white point and transfer curve."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from mimaface.protocol.arrays import Array

D50 = np.array([0.9642, 1.0, 0.8249])  # reference white of ICC profiles
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = 0.3127, 0.3290  # x, y of the white point
STEPS = 4096  # entries of a curve
PAPER_WHITE = 203.0  # cd/m² of an HDR picture that become white (ITU-R BT.2408); brighter light is clipped


class Encoding(NamedTuple):
    """primaries: x, y of red, green and blue; white: x, y; curve: an exponent, or "srgb", "pq", "hlg"."""

    primaries: tuple[float, ...]
    white: tuple[float, ...]
    curve: float | str


# primaries: x, y of red, green and blue
BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
BT2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB = Encoding(BT709, D65, "srgb")
ADOBE_RGB = Encoding((0.64, 0.33, 0.21, 0.71, 0.15, 0.06), D65, 563 / 256)

PRIMARIES = {1: BT709, 5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06), 6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07), 9: BT2020, 12: P3}
CURVES: dict[int, float | str] = {
    1: "srgb", 4: 2.2, 5: 2.8, 6: "srgb", 8: 1.0, 13: "srgb", 14: "srgb", 15: "srgb", 16: "pq", 18: "hlg",
}  # fmt: skip
"""By code of ITU-T H.273. Stills in the curves of video are shown as sRGB by all viewers."""


def encoding_of_code(primaries: int, transfer: int) -> Encoding | None:
    """Returns the encoding of codes in ITU-T H.273, or None for unspecified or unsupported codes."""
    if primaries not in PRIMARIES or transfer not in CURVES:
        return None
    return Encoding(PRIMARIES[primaries], D65, CURVES[transfer])


def matrix_profile(encoding: Encoding) -> bytes:
    """Returns an ICC profile of ``encoding``. Raises :class:`ValueError` for collinear primaries."""
    columns = _to_d50(encoding)
    curve = np.clip(np.rint(_light(encoding.curve) * 65535), 0, 65535).astype(">u2").tobytes()
    text = b"described by numbers\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(D50),
        **{name: _xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T)},
        b"rTRC": b"curv\0\0\0\0" + struct.pack(">I", STEPS) + curve,
    }
    table, data, places = b"", b"", {}
    start = 128 + 4 + 12 * (len(tags) + 2)
    for name, value in tags.items():
        places[name] = (start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    places[b"gTRC"] = places[b"bTRC"] = places[b"rTRC"]
    for name, (offset, length) in places.items():
        table += struct.pack(">4sII", name, offset, length)
    header = bytearray(128)
    struct.pack_into(">I4s4s4s4s4s", header, 0, start + len(data), b"none", b"\x02\x10\0\0", b"mntr", b"RGB ", b"XYZ ")
    header[36:40] = b"acsp"
    header[68:80] = _xyz(D50)[8:]
    return bytes(header) + struct.pack(">I", len(places)) + table + data


def _to_d50(encoding: Encoding) -> Array:
    """Returns (3, 3) with columns XYZ of full red, green and blue, adapted to D50."""
    x, y = np.array(encoding.primaries, np.float64).reshape(3, 2).T
    primaries = np.stack([x, y, 1 - x - y])
    white = np.array([encoding.white[0], encoding.white[1], 1 - sum(encoding.white)]) / encoding.white[1]
    if abs(np.linalg.det(primaries)) < 1e-4:
        raise ValueError("the primaries span no colours")
    columns = primaries * np.linalg.solve(primaries, white)
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    return np.asarray(np.linalg.inv(BRADFORD) @ cones @ BRADFORD @ columns)


def _light(curve: float | str) -> Array:
    """Returns the linear light (STEPS,), 0–1, of even steps of the signal."""
    signal = np.linspace(0, 1, STEPS)
    if curve == "srgb":
        return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    if curve == "pq":  # SMPTE ST 2084
        root = signal ** (1 / 78.84375)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
        return np.asarray(np.minimum(light * 10000 / PAPER_WHITE, 1))
    if curve == "hlg":  # ITU-R BT.2100, on a screen of 1000 cd/m²
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        return np.asarray(np.minimum(1000 * scene**1.2 / PAPER_WHITE, 1))
    return np.asarray(signal ** float(curve))


def _xyz(values: Array) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in values))
