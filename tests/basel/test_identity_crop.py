import numpy as np
import pytest
import torch
from torch.nn import functional

from mimaface.basel.align import FIVE_POINTS_256, draw, face_affine, five_points
from mimaface.basel.curricularface import identity_crop, on_canvas
from mimaface.protocol.errors import InvalidImage


def test_the_canvas_is_the_photos_and_the_face_at_its_top_left(portrait):
    """Compared with Pillow's warp: the 256-template fills the top left of a canvas of the photograph's size."""
    points = five_points(portrait.fit.landmarks)
    picture = torch.from_numpy(np.array(portrait.image)).permute(2, 0, 1)[None].float()
    canvas = on_canvas(picture, face_affine(points))
    assert canvas.shape == picture.shape
    expected = draw(portrait.image, face_affine(points), 256, 256).astype(float)
    found = canvas[0, :, :256, :256].permute(1, 2, 0).numpy()
    assert np.abs(found - expected)[8:-8, 8:-8].mean() < 1


def test_the_crop_is_the_one_of_the_specification_step_by_step(portrait):
    points = five_points(portrait.fit.landmarks)
    found = identity_crop(portrait.image, points)
    assert found.shape == (1, 3, 112, 112)
    assert -1 <= found.min() < found.max() <= 1
    height, width = portrait.image.shape[:2]
    # each pixel of the crop is 2 pixels of the cut and each pixel of the 256² canvas is W / 256 pixels of the photo's canvas
    y, x = np.mgrid[0:112, 0:112]
    u, v = (2 * (x + 0.5) + 16) * width / 256, 2 * (y + 0.5) * height / 256
    inverse = np.linalg.inv(np.vstack([face_affine(points), [0, 0, 1]]))
    source = inverse[:2] @ np.stack([u.ravel(), v.ravel(), np.ones(u.size)])  # (2, 112²), pixels of the photo
    grid = torch.tensor(2 * source.T / [width, height] - 1).float().reshape(1, 112, 112, 2)
    photo = torch.from_numpy(np.array(portrait.image)).permute(2, 0, 1)[None].float() / 127.5
    expected = functional.grid_sample(photo, grid, align_corners=False, padding_mode="zeros") - 1
    smooth = [functional.avg_pool2d(value, 5) for value in (found, expected)]
    assert (smooth[0] - smooth[1]).abs().mean() < 0.02


def test_where_a_point_lands_depends_on_the_size_of_the_photo():
    """A property the released weights were trained with: twice the canvas, half the face."""
    for size in (256, 512):
        image = np.zeros((size, size, 3), np.uint8)
        nose = FIVE_POINTS_256[2].round().astype(int)
        image[nose[1] - 6 : nose[1] + 6, nose[0] - 6 : nose[0] + 6] = 255
        crop = identity_crop(image, FIVE_POINTS_256)[0, 0]
        y, x = (crop > 0).nonzero().float().mean(0) + 0.5
        expected = (np.array(nose) * 256 / size - [16, 0]) / 2
        assert np.abs([float(x), float(y)] - expected).max() < 0.6
        assert crop.min() == -1, "black is −1"


def test_other_pictures_are_refused():
    with pytest.raises(InvalidImage, match="convert it to RGB"):
        identity_crop(np.zeros((20, 20, 4), np.uint8), FIVE_POINTS_256)
    with pytest.raises(InvalidImage, match="float64"):
        identity_crop(np.zeros((20, 20, 3)), FIVE_POINTS_256)
