"""Normals of the posed head: right directions, in the right place."""

import numpy as np
import torch

from mimaface.face.head import Head
from mimaface.face.renders import render_normals
from mimaface.geometry.camera import Camera
from mimaface.protocol.rotation import head_angles_to_matrix
from mimaface.sampling.conditions import normals_condition

CAMERA = Camera.for_image(96, 128)
PLACE = np.array([0.0, 0.0, -0.6])


def rendered(angles=(0, 0, 0)):
    head = Head.load()
    shape = head.posed(np.zeros(80), np.zeros(52), np.zeros((2, 2)))
    posed = shape @ head_angles_to_matrix(np.radians(angles)).T + PLACE
    return posed, render_normals(posed, CAMERA)


def test_the_head_is_where_its_points_are_and_the_rest_is_black():
    posed, picture = rendered()
    assert picture.shape == (128, 96, 3)
    region = Head.load().region("face")
    points = CAMERA.project(posed[: len(region)][region])[:, :2]
    columns = np.flatnonzero((picture.max(-1) > 0).any(0))
    assert abs(columns.min() - points[:, 0].min()) < 8 and abs(columns.max() - points[:, 0].max()) < 8
    assert (picture[:4] == 0).all()


def test_normals_are_of_unit_length_and_face_the_viewer():
    _, picture = rendered((20, -10, 5))
    seen = picture[picture.max(-1) > 0] / 127.5 - 1
    length = np.linalg.norm(seen, axis=1)
    assert np.percentile(length, 5) > 0.9 and length.max() < 1.02
    assert np.percentile(seen[:, 2], 5) > -0.1


def test_a_turn_moves_the_normals_with_it():
    means = [
        (picture[picture.max(-1) > 0] / 127.5 - 1).mean(0) for _, picture in (rendered((a, b, 0)) for a, b in ((25, 0), (-25, 0)))
    ]
    assert abs(means[0][0] + means[1][0]) < 0.05, "the head is nearly symmetric"
    assert abs(means[0][0] - means[1][0]) > 0.2


def test_normals_are_averaged_where_the_head_is():
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    pictures[0, :, :5] = [128, 255, 128]  # upwards
    pictures[1, :2, :4] = [255, 128, 128]  # to the right
    pictures[1, 2:4, :4] = [0, 128, 255]  # to the left, and to the viewer
    found = normals_condition(pictures, 2)
    assert found.shape == (2, 4, 2, 2)
    assert torch.allclose(found[0, 3], torch.tensor([[1.0, 0.25], [1.0, 0.25]])), "how much is covered"
    assert torch.allclose(found[0, :3, 0, 1], torch.tensor([0.0, 0.25, 0.0]), atol=0.01)
    assert torch.allclose(found[1, :, 0, 0], torch.tensor([0.0, 0.0, 0.5, 1.0]), atol=0.01)
    assert found[1, :, 1].abs().max() == 0
