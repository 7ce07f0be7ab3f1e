"""Metrics of the paper's Table 1. Names contain the extractor, because numbers of different extractors are not comparable.

  psnr, ssim, psnr@head, ssim@head   torchmetrics; @head inside the head's box
  exp@anny-fit, pose@anny-fit, gaze@anny-fit   mean Euclidean distance of blendshapes, angles (radians) and gaze (radians) between
                                     generated and true frame, both measured by fitting the built-in head
  csim@dlib                          cosine of dlib's face descriptors (King 2017) of generated frame and source
  lpips@alex, fid@inception          reported as absent: their weights are downloads
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from mimaface.face.fit import FittedFace, fit_portrait
from mimaface.protocol.arrays import Array
from mimaface.protocol.errors import NoFaceFound, NotInstalled
from mimaface.protocol.rotation import matrix_to_head_angles

SMALLEST_BOX = 16  # pixels; SSIM's window needs 11
ROUNDING_LEVEL = 0.05  # grey levels, about the rounding error of the mean of an 8 × 8 block
DESCRIPTOR_SIDE = 512  # pixels to which pictures are enlarged for dlib
ABSENT = {
    "lpips@alex": "its AlexNet weights are a download that is not made here",
    "fid@inception": "its Inception weights are a download that is not made here",
}


def as_batch(pictures: Array) -> Tensor:
    """(N, H, W, 3) uint8 → (N, 3, H, W) float32 in [0, 1]."""
    return torch.from_numpy(np.array(pictures)).movedim(-1, 1).float() / 255


def picture_metrics(generated: Array, truth: Array, box: Array) -> dict[str, float]:
    """Compares a frame (H, W, 3) uint8 with the truth; box (4,): left, top, right, bottom of the head in pixels."""
    left, top, right, bottom = (int(value) for value in box)
    head = np.s_[top:bottom, left:right]
    return psnr_and_ssim(generated, truth, "") | psnr_and_ssim(generated[head], truth[head], "@head")


def psnr_and_ssim(generated: Array, truth: Array, name: str) -> dict[str, float]:
    """Returns psnr and ssim of a part (H, W, 3) uint8 of a frame, with the suffix ``name``; {} for parts that are too small."""
    if min(truth.shape[:2]) < SMALLEST_BOX:
        return {}
    one, two = as_batch(generated[None]), as_batch(truth[None])
    ssim = cast(Tensor, structural_similarity_index_measure(one, two, data_range=1.0))
    return {f"psnr{name}": float(peak_signal_noise_ratio(one, two, data_range=1.0)), f"ssim{name}": float(ssim)}


def read_face(picture: Array) -> FittedFace | None:
    """Returns the fit of the face in a picture (H, W, 3) uint8, or None."""
    try:
        return fit_portrait(picture)
    except NoFaceFound:
        return None


def motion_metrics(generated: FittedFace, truth: FittedFace) -> dict[str, float]:
    """Returns the distances between two fits."""
    turn = matrix_to_head_angles(generated.rotation) - matrix_to_head_angles(truth.rotation)
    return {
        "exp@anny-fit": float(np.linalg.norm(generated.blendshapes - truth.blendshapes)),
        "pose@anny-fit": float(np.linalg.norm((turn + np.pi) % (2 * np.pi) - np.pi)),
        "gaze@anny-fit": float(np.linalg.norm(generated.gaze.mean(0) - truth.gaze.mean(0))),
    }


@functools.cache
def _dlib_networks() -> tuple[Any, Any]:
    """Returns dlib's five-point predictor and face descriptor. Raises :class:`NotInstalled`."""
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or importlib.util.find_spec("dlib") is None:
        raise NotInstalled("dlib's face networks are not installed", "pip install dlib-bin face_recognition_models")
    import dlib

    folder = Path(next(iter(found.submodule_search_locations or [""]))) / "models"
    shape = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    return shape, dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))


def descriptor(picture: Array, face: FittedFace) -> Array:
    """Returns dlib's unit descriptor (128,) of the face in a picture (H, W, 3) uint8. Raises :class:`NotInstalled`."""
    shape, network = _dlib_networks()
    import dlib
    from PIL import Image

    scale = DESCRIPTOR_SIDE / max(picture.shape[:2])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    large = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    points = face.landmarks[:468, :2] * scale
    (left, top), (right, bottom) = points.min(0), points.max(0)
    place = dlib.rectangle(int(left), int(top + 0.15 * (bottom - top)), int(right), int(bottom))
    values = np.array(network.compute_face_descriptor(large, shape(large, place)))
    return np.asarray(values / np.linalg.norm(values))


def absent_metrics() -> dict[str, str]:
    """Returns the metrics that cannot be measured here, with the reasons."""
    try:
        _dlib_networks()
    except NotInstalled as error:
        return {**ABSENT, "csim@dlib": str(error)}
    return dict(ABSENT)


def inter_clip_jump(frames: Array, boundaries: list[int]) -> float:
    """Returns ICJ (spec 6.6) of frames (T, H, W, 3) uint8 at ``boundaries``, the first frames of clips; 1 is no jump.

    r_t = mean |d_t − ½(d_{t−1} + d_{t+1})| with d the difference of 8 × 8 block means of consecutive frames; ICJ is the geometric
    mean over boundaries of r_b over the median of r two to four transitions away. Both are at least ``ROUNDING_LEVEL``, so that
    8-bit rounding in still frames is no jump. NaN if no boundary has neighbours.
    """
    blocks = block_means(frames)
    change = np.diff(blocks, axis=0)  # d[t]: from frame t to t + 1
    rough = np.full(len(change), np.nan)
    rough[1:-1] = np.abs(change[1:-1] - 0.5 * (change[:-2] + change[2:])).mean((1, 2, 3))
    ratios = []
    for boundary in boundaries:
        at = boundary - 1  # the transition into the boundary's frame
        around = [at + offset for offset in (-4, -3, -2, 2, 3, 4) if 1 <= at + offset < len(change) - 1]
        if 1 <= at < len(change) - 1 and around:
            ratios.append(np.log(max(rough[at], ROUNDING_LEVEL) / max(float(np.median(rough[around])), ROUNDING_LEVEL)))
    return float(np.exp(np.mean(ratios))) if ratios else float("nan")


def inter_clip_jump_with_placebo(frames: Array, length: int, overlap: int) -> tuple[float, list[float]]:
    """Returns ICJ at the boundaries of clips, and the values at every other phase, where no jump is expected."""
    advance = length - overlap
    real = list(range(length, len(frames), advance))
    placebo = [inter_clip_jump(frames, [boundary + shift for boundary in real]) for shift in range(2, advance - 1) if real]
    return inter_clip_jump(frames, real), [value for value in placebo if value == value]


def block_means(frames: Array) -> Array:
    """(T, H, W, 3) uint8 → means of 8 × 8 blocks (T, H // 8, W // 8, 3), 0–255."""
    count, height, width = frames.shape[0], frames.shape[1] // 8 * 8, frames.shape[2] // 8 * 8
    parts = frames[:, :height, :width].astype(np.float32).reshape(count, height // 8, 8, width // 8, 8, 3)
    return np.asarray(parts.mean((2, 4)))
