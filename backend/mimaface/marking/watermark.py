"""Imperceptible watermark: 32 bits as faint waves in brightness, repeated over the picture in square tiles.

Spread spectrum (Cox, Kilian, Leighton and Shamoon 1997) in periodic tiles, found by correlation in any crop (Kalker, Depovere,
Haitsma and Maes 1999, JAWS). Each bit is the sign of its own pattern; one additional pattern is always positive.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops
from scipy import ndimage

from mimaface.geometry.strips import STRIP, row_strips
from mimaface.protocol.arrays import Array

# Chosen on 512-pixel shots of seven portraits; docs/MARKING.md has the table.
TILE = 64  # pixels, side of the repeated pattern. Raised: fewer repetitions in a small crop; lowered: fewer bits fit
SEED = 20260  # seed of the patterns. Readers find only watermarks of the same seed

# Pixels, longest and shortest wavelength of the patterns. Longer waves are visible earlier on plain skin; shorter ones are lost
# when a film is halved or compressed.
LONGEST, SHORTEST = 20.0, 6.0

# Levels of 255, root mean square: in plain regions; per level of contrast; largest in textured regions. Raised: more reliable
# reading, more visible.
PLAIN, PER_CONTRAST, BUSY = 1.1, 0.18, 3.2
CELL = 8  # pixels, side of the squares whose contrast is measured. Raised: the watermark spreads from textured into plain regions

# levels, root mean square over a whole picture: 42.5 dB PSNR including rounding. Raised: PSNR falls below 42 dB
STRONGEST = 1.88

# Share of that strength inside the face; the distances, in radii of the face's ellipse, between which it rises to 1; smallest
# mean share, for a face that fills the picture. At full strength the SSIM of faces in real films fell by 0.021, with these values
# by 0.001.
IN_FACE, FACE_EDGE, LEAST_SHARE = 0.1, (1.25, 1.6), 0.5

# reading: pixels of the blur that is subtracted, and levels at which the rest is clipped as an image edge
BLUR, EDGE = 4.0, 8.0
# pixels per side of the central region that is read. Raised: reads weaker watermarks of large pictures, and is slower
MOST_READ = 1024
# scales of a picture relative to the marked one, in search order
SIZES = (1.0, 0.5, 0.75, 2 / 3, 0.8, 0.9, 0.6, 0.4, 1.25, 1.5, 2.0)

# Standard deviations of the correlation peak over all offsets. Unmarked pictures reach 6, marked ones after H.264 at crf 28 reach
# 11 and more. Lowered: weaker watermarks are read; of unmarked pictures above it, one in 65 536 passes the check.
SURE = 8.0

# pixels, longer side: in smaller pictures the watermark is not always found, as they are (192: in 1 of 7 portraits, 256: 4, 288: 6, 320: 7)
SMALL = 320

UNCHANGED = 128  # 8-bit value for a change of 0
BITS = 32  # 16 of the message and 16 of its checksum


def message_of(source: str) -> int:
    """Returns the 16-bit message for a photograph: the first bits of its SHA-256 in hexadecimal."""
    return int(source[:4], 16)


@dataclass(frozen=True)
class Found:
    """A decoded watermark: message, sureness (see ``SURE``), and the picture's size relative to the marked one."""

    message: int
    sureness: float
    size: float


class Watermark:
    """Embeds one message in pictures; deterministic."""

    def __init__(self, message: int, face: Array | None = None) -> None:
        """face: left, top, right, bottom (4,) in pixels of the region where the watermark is fainter."""
        self._message = message
        signs = np.concatenate([[1.0], np.where(bits_of(message), 1.0, -1.0)])
        self._tile: Array = (np.tensordot(signs, patterns(), 1) / np.sqrt(len(signs))).astype(np.float32)  # root mean square 1
        self._wave = np.tile(self._tile, (STRIP // TILE, 1))  # of a strip of rows
        self._face, self._size = face, (0, 0)
        self._around: tuple[slice, slice] = (slice(0, 0), slice(0, 0))  # the face, where the watermark has less than its full strength
        self._share: Array = np.zeros((0, 0), np.float32)  # share of that at each of its pixels

    @classmethod
    def of(cls, source: str, face: Array | None = None) -> Watermark:
        """Returns the watermark of all pictures made from the photograph with this SHA-256 and ``face`` box."""
        return cls(message_of(source), face)

    def mark(self, image: Array) -> Array:
        """Returns a picture (H, W, 3 or 4) uint8 with the watermark, at least 42 dB from the original; transparent pixels are
        unchanged.
        """
        height, width = image.shape[:2]
        if self._wave.shape[1] < width:
            self._wave = np.tile(self._tile, (STRIP // TILE, -(-width // TILE)))
        if self._size != (height, width):
            self._size, (self._around, self._share) = (height, width), _share_of(height, width, self._face)
        level, result = _levels(image), np.empty_like(image)
        for rows in row_strips(height):
            result[rows] = self._marked(image[rows], rows, level)
        return result

    def is_found_in(self, image: Array) -> bool:
        """Returns whether a marked picture, as it is, is large and plain enough for its watermark to be read."""
        found = _decoded(folded(image, 1.0), np.conj(np.fft.fft2(patterns())), 1.0)
        return found is not None and found.message == self._message

    def _marked(self, image: Array, rows: slice, level: Array) -> Array:
        """Returns ``rows`` of a picture with the watermark, from those of the picture (h, W, 3 or 4) and its :func:`_levels`."""
        height, width = image.shape[:2]
        strength = np.array(_enlarged(level, rows, self._size))
        down, across = self._around
        first, last = max(rows.start, down.start), min(rows.stop, down.stop)
        if first < last:
            strength[first - rows.start : last - rows.start, across] *= self._share[first - down.start : last - down.start]
        change = np.rint(strength * self._wave[:height, :width])
        if image.shape[2] == 4:
            change[image[..., 3] == 0] = 0
        raised = Image.fromarray((change + UNCHANGED).astype(np.uint8))
        channels = [raised] * 3 + [Image.new("L", (width, height), UNCHANGED)] * (image.shape[2] - 3)
        picture = Image.fromarray(image)
        return np.asarray(ImageChops.add(picture, Image.merge(picture.mode, channels), 1.0, -UNCHANGED))


def read_watermark(pictures: Iterable[Array]) -> Found | None:
    """Returns the watermark common to pictures (H, W, 3 or 4) uint8 of one film, or of one picture; None without one.

    Pictures may be compressed, scaled by one of ``SIZES`` and cropped. Each is decoded alone, then their sum.
    """
    taken = list(pictures)
    shapes = patterns()
    spectra = np.conj(np.fft.fft2(shapes))
    best: Found | None = None
    for size in SIZES:
        tiles = [folded(picture, size) for picture in taken]
        for tile in tiles if len(tiles) == 1 else [*tiles, np.sum(tiles, axis=0)]:
            found = _decoded(tile, spectra, size)
            if found is not None and (best is None or found.sureness > best.sureness):
                best = found
        if best is not None:
            return best
    return None


def patterns() -> Array:
    """Returns orthogonal band-limited patterns (1 + BITS, TILE, TILE) of mean square 1: one for the sign and one per bit."""
    noise = np.fft.fft2(np.random.default_rng(SEED).standard_normal((1 + BITS, TILE, TILE)))
    waves = np.fft.ifft2(noise * _band()).real.reshape(1 + BITS, -1)
    independent, _ = np.linalg.qr(waves.T)
    return np.asarray(independent.T.reshape(1 + BITS, TILE, TILE) * TILE, np.float32)


def bits_of(message: int) -> Array:
    """Returns the message and its checksum as bits (BITS,)."""
    word = message << 16 | _checksum(message)
    return np.array([word >> place & 1 for place in range(BITS)], bool)


def _checksum(message: int) -> int:
    return zlib.crc32(message.to_bytes(2, "big")) & 0xFFFF


def _radius() -> Array:
    """Returns waves per tile (TILE, TILE) at each coefficient of its spectrum."""
    waves = np.fft.fftfreq(TILE) * TILE
    return np.asarray(np.hypot(waves[:, None], waves[None]))


def _band() -> Array:
    return np.asarray((_radius() >= TILE / LONGEST) & (_radius() <= TILE / SHORTEST))


def _brightness(image: Array) -> Array:
    """Returns the brightness (H, W) float32 of an 8-bit picture."""
    return np.asarray(Image.fromarray(image).convert("L"), np.float32)


def _levels(image: Array) -> Array:
    """Returns the watermark's root mean square in levels for each square of ``CELL`` pixels (⌈H / CELL⌉, ⌈W / CELL⌉), from its contrast."""
    parts = []
    for rows in row_strips(len(image)):
        brightness = _brightness(image[rows])
        mean, square = (np.asarray(Image.fromarray(values).reduce(CELL)) for values in (brightness, brightness * brightness))
        parts.append(np.sqrt(np.maximum(square - mean * mean, 0)))
    level = np.minimum(PLAIN + PER_CONTRAST * np.concatenate(parts), BUSY)
    return np.asarray(level * min(1.0, STRONGEST / float(np.sqrt((level**2).mean()))))


def _enlarged(level: Array, rows: slice, size: tuple[int, int]) -> Image.Image:
    """Returns some ``rows`` of ``level`` (h, w), interpolated to a picture's ``size`` (H, W)."""
    cells = len(level) / size[0]  # a row
    box = 0, rows.start * cells, level.shape[1], rows.stop * cells
    return Image.fromarray(level).resize((size[1], rows.stop - rows.start), Image.Resampling.BILINEAR, box)


def _share_of(height: int, width: int, face: Array | None) -> tuple[tuple[slice, slice], Array]:
    """Returns the rows and columns of a picture around a ``face``, and (h, w) float32 of them: from ``IN_FACE`` inside its ellipse to 1 outside;
    more inside if little of the picture lies outside."""
    if face is None:
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
    centre, radius = (face[:2] + face[2:]) / 2, np.maximum((face[2:] - face[:2]) / 2, 1.0)
    low, high = (np.clip(np.rint(centre + side * FACE_EDGE[1] * radius), 0, (width, height)).astype(int) for side in (-1, 1))
    around = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    rows, columns = np.ogrid[around]
    away = np.hypot((columns + 0.5 - centre[0]) / radius[0], (rows + 0.5 - centre[1]) / radius[1])
    inside = 1 - np.clip((away - FACE_EDGE[0]) / (FACE_EDGE[1] - FACE_EDGE[0]), 0, 1)
    spared = min(1 - IN_FACE, (1 - LEAST_SHARE) / max(float(inside.sum()) / (height * width), 1e-6))
    return around, np.asarray(1 - spared * inside, np.float32)


def folded(picture: Array, size: float) -> Array:
    """Returns the sum (TILE, TILE) of all tiles of a picture's centre, rescaled to the size at which it was marked."""
    height, width = picture.shape[:2]
    top, left = max((height - MOST_READ) // 2, 0), max((width - MOST_READ) // 2, 0)
    brightness = _brightness(np.ascontiguousarray(picture[top : top + MOST_READ, left : left + MOST_READ]))
    height, width = brightness.shape
    if size != 1.0:
        whole = max(round(width / size), 1), max(round(height / size), 1)
        brightness = np.asarray(Image.fromarray(brightness).resize(whole, Image.Resampling.LANCZOS))
        height, width = brightness.shape
    waves = np.clip(brightness - ndimage.gaussian_filter(brightness, BLUR), -EDGE, EDGE)
    tiles = np.zeros((-(-height // TILE) * TILE, -(-width // TILE) * TILE), np.float32)
    tiles[:height, :width] = waves
    return np.asarray(tiles.reshape(tiles.shape[0] // TILE, TILE, -1, TILE).sum((0, 2)))


def _decoded(tile: Array, spectra: Array, size: float) -> Found | None:
    """Returns the message of a folded picture; None below ``SURE`` or when the checksum fails."""
    bits, sureness = decoded_bits(tile, spectra)
    word = sum(1 << number for number, bit in enumerate(bits) if bit)
    message, check = word >> 16, word & 0xFFFF
    return Found(message, sureness, size) if sureness >= SURE and check == _checksum(message) else None


def decoded_bits(tile: Array, spectra: Array) -> tuple[Array, float]:
    """Returns the bits (BITS,) of a folded picture at the offset of best correlation, right or wrong, and their sureness."""
    spectrum = np.fft.fft2(tile) * _band()
    rings = np.rint(_radius()).astype(int)
    power = np.bincount(rings.ravel(), np.abs(spectrum.ravel()) ** 2) / np.maximum(np.bincount(rings.ravel(), _band().ravel()), 1)
    spectrum /= np.sqrt(power[rings] + 1e-9)  # whitening: natural pictures are stronger in long waves
    fits = np.fft.ifft2(spectrum * spectra).real
    energy = (fits**2).sum(0)
    sureness = float((energy.max() - np.median(energy)) / (energy.std() + 1e-9))
    place = np.unravel_index(int(energy.argmax()), energy.shape)
    read = fits[:, place[0], place[1]]
    return np.asarray(read[1:] * np.sign(read[0]) > 0), sureness
