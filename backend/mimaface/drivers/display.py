"""How a decoded frame is to be shown: what a video's container and stream say about colours, turning, mirroring, stretching, interlacing."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from PIL import Image

from mimaface.pictures import Picture, converted_frame, frame_conversion, over_matte
from mimaface.protocol.arrays import Array

UNKNOWN = 2  # code of ITU-T H.273 for a matrix, primaries or a curve that the file does not tell
MATRICES = {1: 1, 5: 5, 6: 6, 9: 9, 10: 9}  # primaries → the matrix that goes with them, as codes
BT709, BT601 = 1, 6
# Width and height in pixels from which a film that does not tell its matrix is in BT.709, as players have it; smaller ones are in BT.601
HIGH_DEFINITION = 1280, 577
STRAIGHT = 0.02  # largest share by which a matrix may differ from turns of 90° and mirrors and still be one of them


def shown(frame: Any, size: tuple[int, int]) -> Picture:
    """The picture of a decoded frame, ``size`` (width, height) before it is turned."""
    if int(frame.colorspace) == UNKNOWN and not frame.format.is_rgb:
        high = frame.width >= HIGH_DEFINITION[0] or frame.height >= HIGH_DEFINITION[1]
        frame.colorspace = MATRICES.get(int(frame.color_primaries), BT709 if high else BT601)
    opaque = not any(part.is_alpha for part in frame.format.components)
    kind = "rgb24" if opaque else "rgba"
    if frame.interlaced_frame:
        whole = Image.fromarray(without_combs(frame.to_ndarray(format=kind)))
        image = np.array(whole if whole.size == size else whole.resize(size, Image.Resampling.BICUBIC))
    else:
        image = frame.to_ndarray(format=kind, width=size[0], height=size[1])
    turn, alpha = turn_of(frame), None
    if not opaque:
        image, alpha = np.array(image[..., :3]), image[..., 3]
    if conversion := frame_conversion(int(frame.color_primaries), int(frame.color_trc)):
        image = converted_frame(image, conversion)
    if alpha is None or alpha.min() == 255 or alpha.max() == 0:  # all of it see-through: its colours are shown, as those of a picture
        return Picture(turned(image, turn), None, ())
    return Picture(turned(over_matte(np.array(image), alpha), turn), turned(alpha[..., None], turn)[..., 0], ())


def turn_of(frame: Any) -> Array:
    """The linear part (2, 2) of a frame's display matrix, of length 1 in each axis: pixel (right, down) → place on the screen."""
    data = frame.side_data  # by index: PyAV iterated the data up to version 18, and their kinds from 19 on
    sides = [bytes(data[index]) for index in range(len(data)) if data[index].type.name == "DISPLAYMATRIX"]
    if not sides or len(sides[0]) != 36:
        return np.eye(2)
    a, b, _, c, d, *_ = struct.unpack("=9i", sides[0])
    matrix = np.array([[a, c], [b, d]], float)  # FFmpeg's are of row vectors
    lengths = np.linalg.norm(matrix, axis=0)
    if (lengths == 0).any() or abs(np.linalg.det(matrix / np.maximum(lengths, 1))) < 0.1:
        return np.eye(2)  # nothing could be seen
    return np.asarray(matrix / lengths)


def shown_size(width: int, height: int, pixel_shape: float) -> tuple[int, int]:
    """Width and height with square pixels; ``pixel_shape`` is the width of one through its height. The longer way is stretched."""
    if not 0.1 < pixel_shape < 10 or abs(pixel_shape - 1) < 1e-3:
        return width, height
    return (round(width * pixel_shape), height) if pixel_shape > 1 else (width, round(height / pixel_shape))


def turned(image: Array, matrix: Array) -> Array:
    """The picture (H, W, C) as its display matrix (2, 2) shows it; corners that a slanted one leaves are black."""
    square = np.round(matrix)
    if np.abs(matrix - square).max() > STRAIGHT or abs(np.linalg.det(square)) != 1:
        return _slanted(image, matrix)
    if square[0, 0] == 0:  # right becomes up or down
        image = np.swapaxes(image, 0, 1)
        across, down = square[0, 1], square[1, 0]
    else:
        across, down = square[0, 0], square[1, 1]
    return np.ascontiguousarray(image[:: int(down), :: int(across)])


def without_combs(image: Array) -> Array:
    """An interlaced picture (H, W, 3) with the lines of its second field drawn between those of its first."""
    whole = image.copy()
    first = image[::2].astype(np.uint16)
    below = np.concatenate([first[1:], first[-1:]])
    whole[1::2] = ((first + below) // 2)[: len(image) // 2]
    return whole


def _slanted(image: Array, matrix: Array) -> Array:
    height, width = image.shape[:2]
    size = np.abs(matrix) @ [width, height]
    back = np.linalg.inv(matrix)
    offset = np.array([width, height]) / 2 - back @ (size / 2)
    target = (max(1, int(size[0])), max(1, int(size[1])))
    values = (*back[0], offset[0], *back[1], offset[1])
    return np.asarray(Image.fromarray(image).transform(target, Image.Transform.AFFINE, values, Image.Resampling.BILINEAR))
