"""A tongue comes out over the lower lip: round, pink, lit, and no part of it is seen where nobody puts it out."""

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from conftest import motion_of
from mimaface.face.head import Head
from mimaface.face.lip_curves import COLUMNS, rims
from mimaface.face.mouth import JAW_OPEN, TONGUE_OUT, opened_for_tongue, tongue_offset
from mimaface.face.pose import poses_for
from mimaface.geometry.rasterise import rasterise
from mimaface.reprojection.reprojector import Reprojector

HALF, OUT = {"jawOpen": 0.5, "tongueOut": 0.5}, {"jawOpen": 0.5, "tongueOut": 1.0}


@pytest.fixture(scope="module")
def drawn(each_portrait):
    """The reprojector, the posed head of some blendshapes, and where its picture shows the tongue."""
    renderer = Reprojector(each_portrait)

    def posed(**blendshapes):
        pose = poses_for(each_portrait.fit, motion_of(blendshapes))[0]
        vertices = renderer.pose_vertices(pose)
        projection, camera = renderer.projection, renderer.camera
        raster = rasterise(camera.project(vertices), projection.triangles, camera.height, camera.width)
        tongue = raster.covered & (projection.part[raster.triangle] == Head.load().parts.index("tongue"))
        return pose, vertices, tongue

    return renderer, posed


def in_picture(renderer, tongue) -> np.ndarray:
    """``tongue`` of the canvas as pixels of the picture."""
    left, top, right, bottom = renderer.view
    result = np.zeros(renderer.image.shape[:2], bool)
    result[renderer._part] = tongue[top:bottom, left:right]
    return result


def lower_lip(renderer, vertices) -> float:
    """Row of the lower edge of the lips in the middle."""
    head = Head.load()
    middle = head.region("lips") & (np.abs(head.vertices[:, 0]) < 0.004)
    return float(renderer.camera.project(vertices)[middle, 1].max())


def test_it_comes_out_steadily_and_only_beyond_half_below_the_lip(drawn):
    renderer, posed = drawn
    below = []
    for out in (0.0, 0.25, 0.5, 0.75, 1.0):
        _, vertices, tongue = posed(jawOpen=0.5, tongueOut=out)
        lip = lower_lip(renderer, vertices)
        below.append(max(np.flatnonzero(tongue.any(1)).max(initial=0) - lip, -100))
    assert max(below[:3]) <= 0, "no further than the lower lip at half"
    assert below[4] > 0.02 * renderer.projection.head_width, "over the chin when it is out"
    shares = (0.5, 0.6, 0.7, 0.8)  # with what the network sees, 0.9 is more than 1
    areas = [int(posed(jawOpen=0.5, tongueOut=out)[2].sum()) for out in shares]
    assert (np.diff(areas) > 0).all(), areas


def test_its_tip_has_no_corner(drawn):
    renderer, posed = drawn
    _, vertices, _ = posed(**OUT)
    head = Head.load()
    part = head.vertices_of("tongue")
    place = renderer.camera.project(vertices)[part, :2]
    outline = place[ConvexHull(place).vertices]
    free = outline[:, 1] > place[:, 1].max() - 0.5 * np.ptp(place[:, 0])  # the round end, as the picture shows it
    edges = np.roll(outline, -1, axis=0) - outline
    angle = np.arctan2(edges[:, 1], edges[:, 0])
    turned = np.degrees(np.abs((angle - np.roll(angle, 1) + np.pi) % (2 * np.pi) - np.pi))
    assert free.sum() >= 8
    assert turned[free].max() < 32, "a half circle of 180 degrees in small turns"


def test_it_is_pinker_than_the_mouth_and_brighter_in_front(drawn):
    renderer, posed = drawn
    pose, _, tongue = posed(**OUT)
    tongue = in_picture(renderer, tongue)
    picture = renderer.render(pose).astype(float)
    rows = np.flatnonzero(tongue.any(1))
    inner = tongue & np.roll(tongue, 2, 0) & np.roll(tongue, -2, 0) & np.roll(tongue, 2, 1) & np.roll(tongue, -2, 1)
    height = len(rows)
    behind, front = (inner & band for band in bands(tongue.shape, rows[0] + 0.15 * height, rows[0] + 0.6 * height))
    assert picture[front].mean() > picture[behind].mean()
    still, _, inside = posed(jawOpen=0.8)
    lining = renderer.render(still).astype(float)[in_picture(renderer, inside)]
    colour, inner = picture[front].mean(0), lining.mean(0)
    assert colour[0] - colour[1] > inner[0] - inner[1]
    assert colour[0] > 1.25 * max(colour[1], colour[2]), "pink, not grey"


def bands(shape, first: float, last: float):
    row = np.arange(shape[0])[:, None]
    return row < first, row > last


def test_its_shadow_lies_below_it(drawn):
    renderer, posed = drawn
    pose, _, tongue = posed(**OUT)
    tongue = in_picture(renderer, tongue)
    without = renderer.render(poses_for(renderer.fit, motion_of({"jawOpen": 0.5}))[0]).astype(float)
    change = renderer.render(pose).astype(float).mean(2) - without.mean(2)
    rows, columns = np.nonzero(tongue)
    near, far = round(0.01 * renderer.projection.head_width), round(0.16 * renderer.projection.head_width)
    middle = np.s_[int(np.median(columns)) - 2 : int(np.median(columns)) + 3]
    assert change[rows.max() + near, middle].mean() < -3
    assert abs(change[min(rows.max() + far, len(change) - 1), middle].mean()) < 1


def test_a_little_tongue_that_the_network_sees_is_none(drawn, each_portrait):
    renderer, _ = drawn
    fitted = each_portrait.fit.blendshapes
    shape = renderer.projection.head.shape(each_portrait.fit.identity, fitted)
    for share in (0.0, 0.5, 1.0):
        blendshapes = fitted.copy()
        blendshapes[TONGUE_OUT] *= share
        assert not tongue_offset(shape, blendshapes, fitted).any()


def test_closed_lips_part_for_it_as_a_persons_do(hopper):
    renderer = Reprojector(hopper)
    projection, camera = renderer.projection, renderer.camera
    gaps, seen = [], []
    for out in (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0):
        pose = poses_for(hopper.fit, motion_of({"tongueOut": out}))[0]
        vertices = renderer.pose_vertices(pose)
        raster = rasterise(camera.project(vertices), projection.triangles, camera.height, camera.width)
        seen.append(int((raster.covered & (projection.part[raster.triangle] == Head.load().parts.index("tongue"))).sum()))
        found = rims((vertices - pose.translation) @ pose.rotation)
        gaps.append(float((found.upper - found.lower)[len(COLUMNS) // 2]))
    assert seen[0] == 0 < seen[4] < seen[6]
    assert max(gaps[:2]) < 0.001 and gaps[6] > 0.008 and np.diff(gaps).max() < 0.015, "they part steadily"
    mouth_open = hopper.fit.blendshapes.copy()
    mouth_open[[TONGUE_OUT, JAW_OPEN]] = 1.0, 0.8
    assert opened_for_tongue(mouth_open, hopper.fit.blendshapes) is mouth_open, "a mouth that is open enough stays as it is"
