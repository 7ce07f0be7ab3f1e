"""A mouth that is open in the photograph can be closed: by mouthClose, by the jaw, by an absolute take; and opens again."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import COLLINS, HOPPER, motion_of
from mimaface.face.correction import MOUTH_RIM, lip_response
from mimaface.face.fit import LandmarkModel
from mimaface.face.head import ASSETS, Head
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.geometry.rasterise import rasterise
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.blendshapes import PARTING
from mimaface.reprojection.kernels import MOUTH
from mimaface.reprojection.reprojector import Reprojector

LIPS_OUTLINE = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)  # MediaPipe's outer lips
JAW, CLOSE = BLENDSHAPE_INDEX["jawOpen"], BLENDSHAPE_INDEX["mouthClose"]
OPEN = {
    "speaking": (HOPPER, {"jawOpen": 0.6}),
    "laughing": (COLLINS, {"jawOpen": 0.3, "mouthSmileLeft": 0.3, "mouthSmileRight": 0.3}),
    "teeth": (HOPPER, {f"mouth{name}{side}": 0.6 for name in ("UpperUp", "LowerDown") for side in ("Left", "Right")} | {"jawOpen": 0.1}),
}


@pytest.fixture(scope="module", params=OPEN)
def opened(request) -> tuple[Portrait, Reprojector]:
    """A photograph of an open mouth, made by opening the mouth of another."""
    path, blendshapes = OPEN[request.param]
    closed = Portrait.open(path)
    file = io.BytesIO()
    Image.fromarray(Reprojector(closed).render(poses_for(closed.fit, motion_of(blendshapes))[0])).save(file, "PNG")
    portrait = Portrait.open(file.getvalue())
    return portrait, Reprojector(portrait)


def pose_of(portrait, absolute=False, **blendshapes):
    return poses_for(portrait.fit, motion_of(blendshapes), absolute)[0]


def opening(renderer, pose) -> int:
    """Pixels between the lips of the posed head."""
    projection = renderer.projection
    place = renderer.camera.project(renderer.pose_vertices(pose))
    raster = rasterise(place, projection.triangles, renderer.camera.height, renderer.camera.width)
    return int((projection.kind[raster.triangle[raster.covered]] >= MOUTH).sum())


def lip_gap(image) -> float:
    """Between the lips, in distances of the eyes, as the landmarker sees it."""
    points = FaceLandmarker.load().faces(image)[0].points[:, :2]
    eyes = np.linalg.norm(points[[33, 133]].mean(0) - points[[362, 263]].mean(0))
    return float(max(np.linalg.norm(points[a] - points[b]) for a, b in ((13, 14), (82, 87), (312, 317))) / eyes)


def test_a_photograph_of_an_open_mouth_stays_as_it_is_at_rest(opened):
    portrait, renderer = opened
    image = renderer.render(pose_of(portrait))
    assert np.abs(image.astype(int) - portrait.image).max() <= 2
    assert lip_gap(image) > 0.1


@pytest.mark.parametrize("close", [0.6, 1.0])
def test_mouth_close_closes_it_and_no_further(opened, close):
    portrait, renderer = opened
    still, pose = pose_of(portrait), pose_of(portrait, mouthClose=close)
    assert opening(renderer, pose) <= 0.05 * opening(renderer, still)
    image = renderer.render(pose)
    assert lip_gap(image) < 0.05, "lips that meet, as the landmarker sees them: up to 0.03"
    nose, lip = (FaceLandmarker.load().faces(image)[0].points[k, 1] for k in (2, 0))
    own_nose, own_lip = (portrait.fit.landmarks[k, 1] for k in (2, 0))
    assert lip - nose > 0.6 * (own_lip - own_nose), "the upper lip stays under the nose"


@pytest.mark.parametrize("opened", ["speaking", "laughing"], indirect=True)
def test_the_jaw_closes_what_it_opened(opened):
    portrait, renderer = opened
    closed = pose_of(portrait, jawOpen=-float(portrait.fit.blendshapes[JAW]))
    assert opening(renderer, closed) <= 0.12 * opening(renderer, pose_of(portrait))


def test_an_absolute_take_at_rest_closes_it(opened):
    portrait, renderer = opened
    assert opening(renderer, pose_of(portrait, absolute=True)) <= 0.05 * opening(renderer, pose_of(portrait))


def test_no_dark_and_no_teeth_of_the_open_mouth_lie_over_closed_lips(opened):
    portrait, renderer = opened
    image = renderer.render(pose_of(portrait, mouthClose=1.0))
    points = portrait.fit.landmarks[:, :2]
    (left, top), (right, bottom) = points[[82, 87, 312, 317]].min(0), points[[82, 87, 312, 317]].max(0)
    middle = np.s_[int(top) : int(bottom) + 1, int(left) : int(right) + 1]
    after = image[middle].mean(2)
    ring = np.concatenate([portrait.image[int(points[k, 1]), int(points[k, 0])].astype(float)[None] for k in (0, 17, 164, 200)])
    low, high = 0.5 * ring.mean(1).min(), 1.15 * ring.mean(1).max()
    remains = ((after < low) | (after > high)).mean()
    assert remains < 0.03, remains


def test_it_opens_again_without_a_jump(opened):
    portrait, renderer = opened
    own = float(portrait.fit.blendshapes[JAW])
    steps = np.arange(-own, 0.3, 0.05)
    openings = np.array([opening(renderer, pose_of(portrait, jawOpen=float(step))) for step in steps])
    assert (np.diff(openings) >= 0).all(), openings
    assert np.diff(openings).max() < 0.3 * openings.max(), openings


def test_a_smile_does_not_close_it(opened):
    portrait, renderer = opened
    smile = pose_of(portrait, mouthSmileLeft=0.3, mouthSmileRight=0.3)
    assert opening(renderer, smile) > 0.5 * opening(renderer, pose_of(portrait))


def test_closed_lips_are_corrected_as_ever(hopper):
    correction = Reprojector(hopper).projection.correction
    changed = hopper.fit.blendshapes.copy()
    changed[JAW] = 0.5
    np.testing.assert_array_equal(correction.at(changed), correction.at(hopper.fit.blendshapes))


def test_the_rule_is_that_of_the_head():
    """Metres by which blendshapes part the lips, against those by which mouthClose brings them together."""
    model = LandmarkModel.load()
    rows = {int(landmark): row for row, landmark in enumerate(model.index)}
    upper, lower = ([rows[k] for k in edge[1:-1]] for edge in (MOUTH_RIM.upper, MOUTH_RIM.lower))
    with np.load(ASSETS / "landmarks.npz") as file:
        corners, inside = Head.load().triangles[file["triangle"]], file["barycentric"]
    moved = np.einsum("kc,kcd->kd", inside, Head.load().blendshapes[CLOSE][corners])[:, 1]
    closing = (moved[lower] - moved[upper]).mean()
    for name, share in PARTING.items():
        assert lip_response()[BLENDSHAPE_INDEX[name]] / closing == pytest.approx(share, abs=2e-3), name
    others = [n for n in BLENDSHAPE_NAMES if n not in PARTING and n != "mouthClose"]
    assert np.abs(lip_response()[[BLENDSHAPE_INDEX[name] for name in others]]).max() < 0.025 * closing


def test_recorded_lips_that_meet_still_do(hopper):
    """An open jaw behind closed lips, and half-way."""
    poses = poses_for(hopper.fit, motion_of({"jawOpen": 0.3, "mouthClose": 0.3}, {"jawOpen": 1.0, "mouthClose": 1.0}), absolute=True)
    np.testing.assert_allclose([pose.blendshapes[CLOSE] for pose in poses], [0.3, 1.0])


def test_lips_far_from_the_heads_own_open_one_mouth(hopper):
    points, lips = hopper.fit.landmarks.copy(), sorted({*MOUTH_RIM.upper, *MOUTH_RIM.lower, *LIPS_OUTLINE})
    points[lips, 1] += 0.2 * np.linalg.norm(points[291, :2] - points[61, :2])  # of a drawing
    drawn = replace(hopper, fit=replace(hopper.fit, landmarks=points))
    usual, far = Reprojector(hopper, 240), Reprojector(drawn, 240)
    for smile in ({"jawOpen": 0.2}, {f"mouth{name}{side}": 0.6 for name in ("Smile", "UpperUp") for side in ("Left", "Right")}):
        # a mouth below the lower lip was five to ten times as large
        assert opening(far, pose_of(drawn, **smile)) < 1.2 * opening(usual, pose_of(hopper, **smile))
