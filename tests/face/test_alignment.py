import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from conftest import HOPPER, motion_of
from mimaface.face import alignment
from mimaface.face.alignment import LIPS, HeadPicture, Reference, compared
from mimaface.face.fit import Estimate, LandmarkModel
from mimaface.face.head import Head
from mimaface.face.landmarks import FaceLandmarker, Landmarks
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.face.track import Tracker, next_estimate
from mimaface.geometry.least_squares import rotation_vector
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix
from mimaface.reprojection.reprojector import Reprojector

STILL = np.zeros(3)
WRONG = rotation_vector(np.radians([1.5, -2.0, 1.0]))  # what landmarks may be off by


@pytest.fixture(scope="module")
def turned(portrait):
    """The photograph's own pose with its picture, and the same face turned a little, with its true estimate and landmarks."""
    fit = portrait.fit
    pose = poses_for(fit, motion_of({"angles": (5, 3, -4), "browInnerUp": 0.2}))[0]
    here = Estimate(fit.rotation, fit.translation, fit.identity, fit.blendshapes)
    there = Estimate(pose.rotation, pose.translation, fit.identity, pose.blendshapes)
    return here, there, Reprojector(portrait).render(pose)


@pytest.fixture
def film_of_turns(portrait):
    """A tracker of four frames, and their head poses by landmarks alone."""
    renderer, tracker = Reprojector(portrait), Tracker()
    turns = motion_of(*({"angles": (angle, 0, 0)} for angle in (0, 3, 6, 9)))
    for frame, pose in enumerate(poses_for(portrait.fit, turns)):
        tracker.add(frame / 25, renderer.render(pose))
    pictures, tracker._pictures = tracker._pictures, [None] * 4
    *_, plain = tracker.finish()
    tracker._pictures = pictures
    return tracker, plain.head_quat


def apart(one, other, camera):
    """Pixels between the places of the face's landmarks in two poses, in the mean."""
    model = LandmarkModel.load()
    shape = model.points(one.identity, one.blendshapes)
    places = [camera.project(shape @ pose.rotation.T + pose.translation)[:, :2] for pose in (one, other)]
    return np.linalg.norm(places[0] - places[1], axis=1).mean()


def aligned(portrait, turned, image):
    here, there, _ = turned
    reference = Reference(HeadPicture.of(portrait.image, portrait.fit.landmarks), portrait.fit.camera, here)
    off = Estimate(WRONG @ there.rotation, there.translation + np.array([0.002, -0.001, 0.004]), there.identity, there.blendshapes)
    return reference.aligned(HeadPicture.of(image, portrait.fit.landmarks), portrait.fit.camera, off), off


def test_a_wrong_pose_of_landmarks_is_put_right(portrait, turned):
    _, there, image = turned
    found, off = aligned(portrait, turned, image)
    assert apart(off, there, portrait.fit.camera) > 2
    assert apart(found, there, portrait.fit.camera) < apart(off, there, portrait.fit.camera) / 3
    assert found.identity is off.identity


def test_hair_beside_a_face_shows_how_far_the_head_has_turned(portrait, turned, monkeypatch):
    """The face is painted over; its pose is wrong by a turn about its front, which skin would hardly tell from none."""
    here, there, image = turned
    points, front = portrait.fit.landmarks, np.array([0, -0.03, 0.1])
    (left, top), (right, bottom) = points[:, :2].min(0).astype(int), points[:, :2].max(0).astype(int)
    plain = [portrait.image.copy(), image.copy()]
    for each in plain:
        each[top:bottom, left:right] = 128
    pictures = [HeadPicture.of(each, points) for each in plain]

    def left_of(off):
        found = Reference(pictures[0], portrait.fit.camera, here).aligned(pictures[1], portrait.fit.camera, off)
        return np.degrees(Rotation.from_matrix(found.rotation @ there.rotation.T).as_rotvec()[1])

    without, with_hair = [], []
    for degrees in (3, -3):
        wrong = rotation_vector(np.radians([0, degrees, 0])) @ there.rotation
        off = Estimate(wrong, there.translation + (there.rotation - wrong) @ front, there.identity, there.blendshapes)
        with monkeypatch.context() as bald:
            bald.setattr(alignment, "hair_beside", lambda *_: np.zeros((0, 3)))
            without.append(left_of(off))
        with_hair.append(left_of(off))
    assert np.ptp(with_hair) < 0.9 * np.ptp(without), "where it began matters less"
    assert np.abs(with_hair).sum() < 0.9 * np.abs(without).sum()


def test_expressions_of_renders_are_nearer_to_the_truth_than_landmarks_have_them():
    portrait, head = Portrait.open(HOPPER), Head.load()
    fit, renderer = portrait.fit, Reprojector(portrait)
    here = Estimate(fit.rotation, fit.translation, fit.identity, fit.blendshapes)
    reference = Reference(HeadPicture.of(portrait.image, fit.landmarks), fit.camera, here)
    lips, looks = head.region("lips"), [index for name, index in BLENDSHAPE_INDEX.items() if name.startswith(("eyeLook", "tongue"))]
    missed = []
    for names in (("mouthSmileLeft", "mouthSmileRight"), ("mouthLeft",), ("mouthFrownLeft", "mouthFrownRight")):
        pose = poses_for(fit, motion_of({"angles": (4, 2, -3), **dict.fromkeys(names, 0.5)}))[0]
        image = renderer.render(pose)
        points = FaceLandmarker.load().faces(image)[0].points
        before = next_estimate(points, fit.camera, fit.identity, None, 0)
        after = reference.aligned(HeadPicture.of(image, points), portrait.fit.camera, before)
        places = [
            fit.camera.project(head.shape(fit.identity, each.blendshapes)[lips] @ each.rotation.T + each.translation)[:, :2]
            for each in (pose, before, after)
        ]
        missed.append([np.linalg.norm(place - places[0], axis=1).mean() for place in places[1:]])
        assert ((after.blendshapes >= 0) & (after.blendshapes <= 1)).all()
        np.testing.assert_array_equal(after.blendshapes[looks], before.blendshapes[looks])
    before, after = np.mean(missed, axis=0)
    assert after < 0.6 * before, missed


def test_lips_follow_their_landmarks_where_the_skin_tells_nothing(portrait):
    """By as much more as these are off the estimate's than they were in the reference; in a picture without any contrast."""
    fit, model = portrait.fit, LandmarkModel.load()
    here = Estimate(fit.rotation, fit.translation, fit.identity, fit.blendshapes)
    reference = Reference(HeadPicture.of(portrait.image, fit.landmarks), fit.camera, here)
    grey, lips = np.full_like(portrait.image, 128), np.isin(model.index, LIPS)

    def aside(points):
        found = reference.aligned(HeadPicture.of(grey, points), fit.camera, here)
        return (
            1000 * (model.points(fit.identity, found.blendshapes) - model.points(fit.identity, fit.blendshapes))[lips, 0].mean()
        )

    moved = fit.landmarks.copy()
    moved[list(LIPS), 0] += 0.005 * fit.scale  # pixels: 5 mm to the subject's left
    assert abs(aside(fit.landmarks)) < 0.05
    assert 2.0 < aside(moved) < 4.0


def test_other_light_and_a_hand_before_the_face_change_little(portrait, turned):
    _, _, image = turned
    plain, _ = aligned(portrait, turned, image)
    dim, _ = aligned(portrait, turned, np.rint(image * 0.7 + 20).astype(np.uint8))
    assert apart(plain, dim, portrait.fit.camera) < 0.3
    low, high = portrait.fit.landmarks[:, :2].min(0).astype(int), portrait.fit.landmarks[:, :2].max(0).astype(int)
    covered = image.copy()
    covered[(low[1] + high[1]) // 2 : high[1], low[0] : (low[0] + high[0]) // 2] = (200, 150, 120)
    hidden, _ = aligned(portrait, turned, covered)
    assert apart(plain, hidden, portrait.fit.camera) < 0.8


def test_a_head_outside_the_picture_keeps_the_pose_of_its_landmarks(portrait, turned):
    here, there, image = turned
    assert HeadPicture.of(image, portrait.fit.landmarks + np.array([5000, 0, 0])) is None
    reference = Reference(HeadPicture.of(portrait.image, portrait.fit.landmarks), portrait.fit.camera, here)
    away = Estimate(there.rotation, there.translation + np.array([1.0, 0, 0]), there.identity, there.blendshapes)
    assert reference.aligned(HeadPicture.of(image, portrait.fit.landmarks), portrait.fit.camera, away) is away


def test_a_head_picture_shows_the_pixels_of_the_frame(portrait):
    picture = HeadPicture.of(portrait.image, portrait.fit.landmarks)
    assert max(picture.size) <= 160 and len(picture.jpeg) < 16_000
    grey = np.asarray(Image.fromarray(portrait.image).convert("L"), float)
    nose = portrait.fit.landmarks[1, :2]
    u, v = np.rint((nose - picture.corner) * picture.scale).astype(int)
    left, top = np.rint(nose).astype(int)
    small, whole = gaussian_filter(picture.brightness(), 1.0)[v - 2 : v + 3, u - 2 : u + 3], grey[top - 4 : top + 5, left - 4 : left + 5]
    assert abs(small.mean() - whole.mean()) < 6


def test_derivatives_of_brightness_are_those_of_differences():
    """In a picture whose brightness is a plane, of points before and behind, beside and outside of it."""
    points = np.random.default_rng(4).uniform(-0.1, 0.1, (60, 3))
    normals = np.random.default_rng(5).normal(size=(60, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    rotation, translation, scale = WRONG, np.array([0.01, -0.02, -0.6]), np.array([0.8, 0.7])
    u, v = np.meshgrid(np.arange(100) + 0.5, np.arange(90) + 0.5)
    layers = np.stack([0.5 * u + 0.2 * v, np.full_like(u, 0.5), np.full_like(v, 0.2)], axis=-1).astype(np.float32)

    def brightness(turn=STILL, move=STILL):
        return compared(points, normals, rotation_vector(turn) @ rotation, translation + move, 400.0, np.array([60.0, 62.0]), scale, layers)

    now, slopes, facing = brightness()
    inside = facing > -1
    assert 10 < inside.sum() < 60
    there = points @ rotation.T + translation
    place = (np.array([60, 62]) + 400 * there[:, :2] * [1, -1] / -there[:, 2:]) * scale
    np.testing.assert_allclose(now[inside], (place @ [0.5, 0.2])[inside], atol=1e-3)
    sight = -(normals @ rotation.T * there).sum(1) / np.linalg.norm(there, axis=1)
    np.testing.assert_allclose(facing[inside], sight[inside], atol=1e-9)
    for axis, step in enumerate(np.eye(3) * 1e-3):
        for first, ends in ((0, (brightness(turn=step), brightness(turn=-step))), (3, (brightness(move=step), brightness(move=-step)))):
            both = inside & (ends[0][2] > -1) & (ends[1][2] > -1)
            np.testing.assert_allclose(slopes[both, first + axis], ((ends[0][0] - ends[1][0]) / 2e-3)[both], rtol=0.01, atol=0.3)


def test_a_still_head_stands_still_though_its_landmarks_do_not(portrait):
    """The picture stays the same; landmarks of the face shake by two pixels of it, as a whole and each by itself."""
    shaken, tracker = np.random.default_rng(3), Tracker()
    for frame in range(8):
        points = portrait.fit.landmarks.copy()
        points[:, :2] = points[:, :2].mean(0) + (points[:, :2] - points[:, :2].mean(0)) * shaken.normal(1, 0.008, 2)
        points[:, :2] += shaken.normal(0, 2, 2) + shaken.normal(0, 0.5, (478, 2))
        tracker._times.append(frame / 25)
        tracker._found.append(Landmarks(points, 1.0))
        tracker._pictures.append(HeadPicture.of(portrait.image, points))
    tracker._size = portrait.image.shape[1::-1]
    *_, still = tracker.finish()
    tracker._pictures = [None] * 8
    *_, shaking = tracker.finish()

    def spread(clip):
        return matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)).std(0).max(), clip.head_pos[:, :2].std(0).max()

    for aligned_spread, plain in zip(spread(still), spread(shaking)):
        assert aligned_spread < plain / 2


def test_heads_are_aligned_with_the_neutral_that_was_picked(film_of_turns):
    """The picked frame keeps the pose of its landmarks, to which all others are aligned; a frame without a face cannot be it."""
    tracker, plain = film_of_turns
    poses = {neutral: list(tracker.finish("turns", neutral))[-1].head_quat for neutral in (None, 0, 3)}
    for neutral in (0, 3):
        np.testing.assert_allclose(poses[neutral][neutral], plain[neutral], atol=1e-3)
    assert np.abs(poses[0][3] - plain[3]).max() > 1e-3
    np.testing.assert_array_equal(list(tracker.finish("turns", tracker._points(3)))[-1].head_quat, poses[3], "the one that shows the portrait")
    tracker._found[0] = tracker._pictures[0] = None
    assert np.isfinite(list(tracker.finish("turns", 0))[-1].head_quat).all()
