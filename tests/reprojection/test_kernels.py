"""The fast kernels of layers beside plain numpy and scipy that say the same slowly."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from mimaface.geometry.camera import Camera
from mimaface.geometry.rasterise import rasterise
from mimaface.reprojection.composition import compose, hindmost
from mimaface.reprojection.kernels import Continued, lift
from mimaface.reprojection.person_warp import carry


def looked_up(picture, u, v):
    """``picture`` (H, W, C) at pixel positions (N,), whose centres are at halves; the border repeats."""
    channels = [
        map_coordinates(picture[..., c].astype(float), [v - 0.5, u - 0.5], order=1, mode="nearest")
        for c in range(picture.shape[2])
    ]
    return np.stack(channels, -1)


@pytest.mark.parametrize("seed", range(3))
def test_a_lifted_picture_is_the_picture_at_each_place(seed):
    """Also at places beyond its border."""
    random = np.random.default_rng(seed)
    picture = random.integers(0, 256, (20, 30, 3), np.uint8)
    points = np.column_stack([random.uniform(-4, 28, (12, 2)), random.uniform(0.5, 2, 12)])
    triangles = random.permutation(12).reshape(4, 3)
    raster = rasterise(points, triangles, 24, 24)
    depth = random.uniform(0.5, 2, 12)
    places = np.column_stack([random.uniform(-3, 33, 12) * depth, random.uniform(-3, 23, 12) * depth, depth]).astype(np.float32)
    kept = random.uniform(size=12).astype(np.float32)
    shows = np.array([True, True, seed == 0, True])
    first, second = random.uniform(size=(2, 20, 30)).astype(np.float32)
    way = np.float32(0.3 * seed)
    opacity = first + way * (second - first)
    times = np.dstack([picture * opacity[..., None], opacity])
    shown = Continued(picture, np.arange(20, dtype=np.int32), np.arange(30, dtype=np.int32))
    found, share = lift(shown, (first, second, way), raster.triangle, raster.barycentric, triangles, places, kept, shows)
    covered = (raster.triangle >= 0) & shows[raster.triangle]
    assert covered.sum() > 20
    assert not found[~covered].any() and not share[~covered].any()
    corners, weights = triangles[raster.triangle[covered]], raster.barycentric[covered]
    uz, vz, z = np.einsum("nk,nkc->cn", weights, places[corners])
    np.testing.assert_allclose(found[covered], looked_up(times, uz / z, vz / z), atol=0.02)
    np.testing.assert_allclose(share[covered], (weights * kept[corners]).sum(1), atol=1e-5)


def over(below, colour, opacity):
    return below + opacity[..., None] * (colour - below)


@pytest.mark.parametrize("seed", range(3))
def test_four_layers_lie_over_each_other(seed):
    random = np.random.default_rng(seed)

    def layer(channels, zeros=0.3):
        values = random.uniform(size=(9, 11, channels))
        values[..., :3] *= 255
        values[..., 3:] *= random.uniform(size=(9, 11, 1)) > zeros  # some show nothing
        return values.astype(np.float32)

    shell, sheet, front = (layer(channels) for channels in (5, 4, 4))
    photograph, filled = random.integers(0, 256, (2, 9, 11, 3), np.uint8)
    for head in (shell, front):  # is only there from a row and a column on
        head[:2], head[:, :3], head[7:] = 0, 0, 0
    sheet[..., :3] *= sheet[..., 3:]
    invented, kept = random.uniform(size=(2, 9, 11)).astype(np.float32)
    picture, origin = np.zeros((2, 9, 11, 3), np.uint8)
    hindmost(picture, origin, photograph, filled, invented)
    behind = over(photograph.astype(np.float32), filled, invented)
    cover = np.zeros((9, 11), np.float32)
    compose(photograph, filled, invented, shell[2:7, 3:], sheet, kept, front[2:7, 3:], 2, 3, picture, origin, cover)
    alone, nothing = np.zeros_like(picture), np.zeros((0, 0, 3), np.uint8)  # neither provenance nor cover
    hindmost(alone, nothing, photograph, filled, invented)
    compose(photograph, filled, invented, shell[2:7, 3:], sheet, kept, front[2:7, 3:], 2, 3, alone, nothing, nothing[..., 0].astype(np.float32))
    assert np.array_equal(alone, picture)
    share = 1 - shell[..., 3] * (1 - kept)
    own = np.divide(sheet[..., :3], sheet[..., 3:], out=np.zeros_like(sheet[..., :3]), where=sheet[..., 3:] > 0)
    expected = over(over(over(behind, shell[..., :3], shell[..., 3]), own, share * sheet[..., 3]), front[..., :3], front[..., 3])
    assert np.abs(picture - expected).max() <= 0.51, "rounded"
    through = (1 - front[..., 3]) * (1 - share * sheet[..., 3])
    np.testing.assert_allclose(cover, 1 - through * (1 - shell[..., 3]), atol=1e-6)
    unseen = through * over(invented[..., None], shell[..., 4:], shell[..., 3])[..., 0]
    rest = through * (1 - shell[..., 3]) * (1 - invented)
    assert np.abs(origin - 255 * np.stack([1 - unseen - rest, unseen, rest], -1)).max() <= 0.51


def test_knots_are_carried_as_two_projections_mixed():
    """The one pass over the knots of the person warp, against the camera's own projection."""
    random = np.random.default_rng(5)
    camera = Camera(900.0, (320.0, 240.0), 640, 480)
    here, flat = (random.normal(size=(6, 7, 3)) * [0.1, 0.1, 0.05] - [0, 0, 1] for _ in range(2))
    carried, follow = random.uniform(size=(2, 6, 7))
    start, knots, shift = random.uniform(0, 640, (6, 7, 2)), random.uniform(0, 640, (6, 7, 2)), np.array([0.02, -0.01, 0.03])
    head, body = camera.project(here)[..., :2], camera.project(flat + carried[..., None] * shift)[..., :2]
    moved = follow[..., None] * (head - start) + (1 - follow[..., None]) * (body - knots)
    result = carry(here, flat, carried, start, knots, follow, shift, camera.focal, camera.centre, 2.0)
    np.testing.assert_allclose(result[..., :2], knots + moved, atol=1e-10)
    np.testing.assert_allclose(result[..., 2], follow * -here[..., 2] + (1 - follow) * 2.0, atol=1e-12)
