"""Metrics on inputs with known results, and against formulas written out here."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from conftest import render_head
from mimaface.evaluation.metrics import (
    absent_metrics,
    descriptor,
    inter_clip_jump,
    inter_clip_jump_with_placebo,
    motion_metrics,
    picture_metrics,
    read_face,
)

WHOLE = np.array([0, 0, 64, 64])


def noise(seed: int, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_psnr_is_the_formula_inside_and_outside_the_box():
    truth = noise(0) // 2 + 40
    made = truth.copy()
    made[10:40, 8:50] += 12
    found = picture_metrics(made, truth, np.array([8, 10, 50, 40]))
    assert found["psnr@head"] == pytest.approx(20 * np.log10(255 / 12), abs=1e-3)
    share = 30 * 42 / 64**2
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / 12) - 10 * np.log10(share), abs=1e-3)


def test_ssim_is_one_for_equal_pictures_and_falls_with_blur():
    truth = noise(1)
    one = picture_metrics(truth, truth, WHOLE)["ssim"]
    blurred = [gaussian_filter(truth, (s, s, 0)) for s in (0.5, 1.5)]
    mild, strong = (picture_metrics(b, truth, WHOLE)["ssim"] for b in blurred)
    assert one == pytest.approx(1) and one > mild > strong


def test_a_box_too_small_to_measure_gives_no_number():
    assert "psnr@head" not in picture_metrics(noise(2), noise(3), np.array([10, 10, 20, 20]))


def test_expression_pose_and_gaze_are_read_from_the_pictures():
    straight, turned, smiling, aside = (
        read_face(render_head(3, **values).image)
        for values in ({}, {"angles": (15, 0, 0)}, {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}, {"gaze": (20, 0)})
    )
    assert straight and turned and smiling and aside
    assert motion_metrics(straight, straight) == {"exp@anny-fit": 0, "pose@anny-fit": 0, "gaze@anny-fit": 0}
    assert motion_metrics(turned, straight)["pose@anny-fit"] == pytest.approx(np.radians(15), abs=np.radians(4))
    assert motion_metrics(smiling, straight)["exp@anny-fit"] > max(0.5, motion_metrics(turned, straight)["exp@anny-fit"])
    assert motion_metrics(aside, straight)["gaze@anny-fit"] > np.radians(8) > motion_metrics(smiling, straight)["gaze@anny-fit"]


def test_no_face_is_none():
    assert read_face(np.full((256, 256, 3), 90, np.uint8)) is None


def test_what_cannot_be_measured_is_said():
    absent = absent_metrics()
    assert {"lpips@alex", "fid@inception"} <= set(absent)
    assert all(len(reason) > 10 for reason in absent.values())


@pytest.mark.skipif("csim@dlib" in absent_metrics(), reason="dlib is not installed")
def test_descriptors_know_a_person_again():
    one, again, other = (
        render_head(seed, angles=angles).image for seed, angles in ((5, (0, 0, 0)), (5, (12, 5, 0)), (9, (0, 0, 0)))
    )
    a, b, c = (descriptor(picture, read_face(picture)) for picture in (one, again, other))
    assert a @ b > a @ c
    assert np.linalg.norm(a) == pytest.approx(1)


def moving_texture(count: int = 64, speed: float = 0.6, seed: int = 0) -> np.ndarray:
    """Returns smooth noise that drifts and pulsates, (T, 128, 128, 3) uint8, dithered against 8-bit steps."""
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.normal(size=(3, 160, 400)), (0, 6, 6))
    field = 110 + 45 * field / field.std()
    columns = np.arange(128)
    frames = []
    for t in range(count):
        where = columns + speed * t + 3 * np.sin(t / 9)
        low = where.astype(int)
        share = (where - low)[None, None]
        frame = field[:, :128, low] * (1 - share) + field[:, :128, low + 1] * share
        frames.append(np.moveaxis(frame, 0, -1) + random.uniform(0, 1, (128, 128, 3)))
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


BOUNDARIES = list(range(12, 64, 9))


def test_icj_of_a_shot_without_a_jump_is_one():
    assert inter_clip_jump(moving_texture(), BOUNDARIES) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize(("kind", "least"), [("drift", 1.6), ("duplicate", 4.0)])
def test_icj_sees_what_an_eye_sees(kind, least):
    frames = moving_texture()
    if kind == "drift":  # each clip is one grey level brighter than the previous one
        clip = np.searchsorted(BOUNDARIES, np.arange(64), side="right")
        frames = np.clip(frames.astype(int) + clip[:, None, None, None], 0, 255).astype(np.uint8)
    else:
        for boundary in BOUNDARIES:
            frames[boundary] = frames[boundary - 1]
    real, placebo = inter_clip_jump_with_placebo(frames, 12, 3)
    assert real > least
    assert np.median(placebo) < 0.75 * real


def test_icj_without_boundaries_is_no_number():
    assert np.isnan(inter_clip_jump(moving_texture(8), []))


def test_rounding_in_a_still_shot_is_no_jump():
    frames = np.full((40, 64, 64, 3), 100, np.uint8)
    frames[12:, 20, 20] = 101  # one pixel of one block
    assert inter_clip_jump(frames, [12, 21, 30]) == pytest.approx(1, abs=0.01)
    frames[21:] += 1  # the whole frame, by the smallest step
    assert inter_clip_jump(frames, [12, 21, 30]) > 2
