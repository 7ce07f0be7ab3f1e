"""Animated PNG, WebP and AVIF files as frames with their times. GIF is read as video."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import InvalidImage

from .reading import LOCK, MATTE, file_content, has_several, opened, separated

ANIMATED = ("PNG", "WEBP", "AVIF")  # in other formats further pictures are pages
USUAL = 0.1  # seconds of a frame without a duration, as in browsers


def moving_frames(path: Path) -> Iterator[tuple[float, Array]]:
    """Yields seconds from the first frame and (H, W, 3) uint8 of each frame, transparency over middle grey; nothing for a still
    picture. Colours are not converted, which suffices for tracking. Raises :class:`InvalidImage`.
    """
    content = file_content(path)
    with LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture = opened(content, path.name)
        if picture.format not in ANIMATED or not has_several(picture):
            return
        # an APNG may contain a default image that is not part of the animation
        first = int(getattr(picture, "default_image", False))
        count = getattr(picture, "n_frames", 1)
    seconds = 0.0
    for index in range(first, count):
        with LOCK:
            try:
                picture.seek(index)
                alpha, plain = separated(picture, path.name, [])
                plain = plain.convert("RGB")
                image = plain if alpha is None else Image.composite(plain, Image.new("RGB", plain.size, MATTE), alpha)
            except Exception as error:  # decoders raise many kinds of errors on malformed bytes
                words = f"{path.name}: its picture {index} is damaged ({error})"
                raise InvalidImage(words, "save it anew, or choose another file") from error
            lasts = float(picture.info.get("duration", 0)) / 1000
        yield seconds, np.array(image)
        seconds += lasts or USUAL
