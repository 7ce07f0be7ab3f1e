"""Comparison of the persons in two pictures: dlib's face recognition network (King 2017, CC0), in numpy.

29 convolutions (He et al. 2016) turn an aligned face into 128 numbers; those of one person are less than about 0.6 apart.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mimaface.geometry.threads import one_thread
from mimaface.protocol.arrays import Array

from .head import ASSETS
from .landmarks import crop_square

SIDE = 150
MEAN = np.array([122.782, 117.001, 104.298], np.float32)  # RGB, subtracted
# landmarks of the eyes' corners and the root of the nose, and where they are in an aligned face, in its sides
CORNERS = (33, 133, 362, 263, 2)
PLACES = (np.array([[0.1206, 0.2137], [0.3341, 0.2291], [0.6461, 0.2290], [0.8596, 0.2135], [0.4901, 0.6278]]) + 0.25) / 1.5
BLOCKS = ["32_1", "32_2", "32_3", "64_down", "64_1", "64_2", "64_3", "128_down", "128_1", "128_2", "256_down", "256_1", "256_2", "256_down_out"]


def face_code(image: Array, landmarks: Array) -> Array:
    """128 numbers (128,) of the face with ``landmarks`` (478, 3) in a picture (H, W, 3) uint8; about 0.1 s."""
    points = landmarks[list(CORNERS), :2]
    a, b = PLACES - PLACES.mean(0), points - points.mean(0)
    # the similarity of least squares as one complex factor: places → picture
    turn = complex((b[:, 0] + 1j * b[:, 1]) @ np.conj(a[:, 0] + 1j * a[:, 1])) / float((a**2).sum())
    middle = complex(*points.mean(0)) + turn * complex(*(0.5 - PLACES.mean(0)))
    face = crop_square(image, np.array([middle.real, middle.imag]), abs(turn), float(np.angle(turn)), SIDE)
    with one_thread():
        return _network((face.astype(np.float32) - MEAN) / 256)


def _network(face: Array) -> Array:
    weights = _weights()
    values = np.maximum(_layer(face, weights, "conv32_down", 2, 0), 0)
    values = sliding_window_view(values, (3, 3), (0, 1))[::2, ::2].max((-1, -2))
    for name in BLOCKS:
        values = _block(values, weights, f"conv{name}", 2 if "down" in name else 1)
    return np.asarray(values.mean((0, 1)) @ weights["fc"])


def _block(values: Array, weights: dict[str, Array], name: str, step: int) -> Array:
    """A residual block; one that goes ``step`` pixels at a time adds to the mean of those, with zeros for channels that are new."""
    inner = np.maximum(_layer(values, weights, f"{name}/conv1", step, 2 - step), 0)
    result = _layer(inner, weights, f"{name}/conv2", 1, 1)
    if step == 2:
        height, width = values.shape[0] // 2, values.shape[1] // 2
        values = values[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean((1, 3))
    height, width = max(result.shape[0], values.shape[0]), max(result.shape[1], values.shape[1])
    total = np.zeros((height, width, result.shape[2]), np.float32)
    total[: values.shape[0], : values.shape[1], : values.shape[2]] += values
    total[: result.shape[0], : result.shape[1]] += result
    return np.maximum(total, 0)


def _layer(values: Array, weights: dict[str, Array], name: str, step: int, border: int) -> Array:
    """A convolution with its scale: (H, W, C) → (h, w, D)."""
    filters = weights[f"{name}/conv/filters"]
    padded = np.pad(values, ((border, border), (border, border), (0, 0)))
    windows = sliding_window_view(padded, filters.shape[:2], (0, 1))[::step, ::step]
    result = np.tensordot(windows, filters, axes=([3, 4, 2], [0, 1, 2])) + weights[f"{name}/conv/bias"]
    return np.asarray(result * weights[f"{name}/scale/weights"] + weights[f"{name}/scale/biases"])


@functools.cache
def _weights() -> dict[str, Array]:
    """Returns the network's arrays, which are stored in 8 bits with a scale and a least value each."""
    with np.load(ASSETS / "face_recognition.npz", allow_pickle=False) as file:
        return {
            name: file[name].astype(np.float32) * file[f"{name}:scale"] + file[f"{name}:least"]
            for name in file.files
            if not name.endswith((":scale", ":least"))
        }
