"""The proxy engine, measured by the landmarker: control is faithful, and what did not move is the photograph."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from conftest import CASES, motion_of, nod
from mimaface.face.correction import correct, landmark_rows
from mimaface.face.fit import Estimate, LandmarkModel, gauss_newton_step, gaze_from_irises, initial_estimate, lid_opening
from mimaface.face.landmarks import FaceLandmarker
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.protocol.rotation import matrix_to_head_angles, matrix_to_quaternion, quaternion_to_matrix, tilt_of
from mimaface.reprojection.reprojector import Reprojector


def shown(portrait, renderer, **values):
    return renderer.render(poses_for(portrait.fit, motion_of(values))[0])


def observed(portrait, image) -> tuple[np.ndarray, Estimate]:
    """Landmarks, and pose and blendshapes with the portrait's identity."""
    points = landmarks(image)
    return points, fitted(portrait, points)


def landmarks(image) -> np.ndarray:
    return FaceLandmarker.load().faces(image)[0].points


def fitted(portrait, points) -> Estimate:
    fit = portrait.fit
    estimate = replace(initial_estimate(points, fit.camera, fit.identity), blendshapes=fit.blendshapes)
    for _ in range(8):
        estimate = gauss_newton_step(points, fit.camera, estimate, False)
    return estimate


@pytest.fixture(scope="module")
def renderer(portrait):
    return Reprojector(portrait)


def test_no_motion_is_the_photograph(each_portrait):
    image = shown(each_portrait, Reprojector(each_portrait))
    assert np.abs(image.astype(int) - each_portrait.image).max() <= 2


def ideal_points(portrait, pose) -> np.ndarray:
    """Landmarks (478, 3) exactly where the posed head carries them: what a faultless render and landmarker would show."""
    fit, model = portrait.fit, LandmarkModel.load()
    offset = landmark_rows(fit)[0] @ correct(fit).at(pose.blendshapes)
    place = fit.camera.project((model.points(fit.identity, pose.blendshapes) + offset) @ pose.rotation.T + pose.translation)
    points = fit.landmarks.copy()
    points[model.index, :2] = place[:, :2]
    return points


@pytest.mark.parametrize("angles", [(20, 0, 0), (-20, 0, 0), (0, 10, 0), (0, -10, 0), (0, 0, 12), (0, 0, -12), (12, -6, 5)])
def test_the_head_turns_as_it_is_keyed(portrait, renderer, angles):
    _, still = observed(portrait, portrait.image)
    _, turned = observed(portrait, shown(portrait, renderer, angles=angles))
    tilt = quaternion_to_matrix(tilt_of(matrix_to_quaternion(still.rotation)))
    found = np.degrees(matrix_to_head_angles(tilt.T @ turned.rotation @ still.rotation.T @ tilt))
    np.testing.assert_allclose(found, angles, atol=3)


def test_lips_open_as_they_are_keyed(each_portrait):
    renderer = Reprojector(each_portrait)
    gaps = [
        np.linalg.norm(np.diff(observed(each_portrait, shown(each_portrait, renderer, jawOpen=value))[0][[13, 14], :2], axis=0))
        for value in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(gaps) > 0).all(), gaps


def test_lids_close_as_they_are_keyed(portrait, renderer):
    openings = [
        lid_opening(observed(portrait, shown(portrait, renderer, eyeBlinkLeft=value, eyeBlinkRight=value))[0]).mean()
        for value in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert (np.diff(openings) < 0).all(), openings
    assert openings[-1] < 0.4 * openings[0]


def test_one_eye_winks_alone(portrait, renderer):
    left, right = lid_opening(observed(portrait, shown(portrait, renderer, eyeBlinkLeft=1))[0])
    assert left < 0.6 * right, "eyeBlinkLeft closes the subject's left eye"


@pytest.mark.parametrize("axis", [0, 1])
def test_gaze_follows(each_portrait, axis):
    renderer = Reprojector(each_portrait)
    keyed = np.array([-20, -10, 0, 10, 20]) if axis == 0 else np.array([-14, -7, 0, 7, 14])
    found = []
    for value in keyed:
        lids = {f"eyeLook{'Up' if value > 0 else 'Down'}{side}": abs(value) / 28 for side in ("Left", "Right")} if axis else {}
        points, estimate = observed(
            each_portrait, shown(each_portrait, renderer, gaze=(value, 0) if axis == 0 else (0, value), **lids)
        )
        found.append(gaze_from_irises(points, each_portrait.fit.camera, estimate).mean(0)[axis])
    assert np.corrcoef(keyed, found)[0, 1] >= 0.9, np.degrees(found)


def test_same_input_same_bytes(portrait, renderer):
    pose = poses_for(portrait.fit, motion_of({"angles": (9, 3, 1), "jawOpen": 0.4}))[0]
    assert renderer.render(pose).tobytes() == Reprojector(portrait).render(pose).tobytes()


@pytest.mark.parametrize(
    ("size", "framing", "shape"), [(0, "photo", (512, 512)), (256, "photo", (256, 256)), (300, "face", (300, 300))]
)
def test_sizes_and_framings(portrait, size, framing, shape):
    renderer = Reprojector(portrait, size, framing)
    image = shown(portrait, renderer, jawOpen=0.5)
    assert image.shape == (*shape, 3)
    assert len(FaceLandmarker.load().faces(image)) == 1


def test_transparent_shows_all_of_the_person_and_nothing_else(portrait, renderer):
    pose = poses_for(portrait.fit, motion_of({"angles": (5, 0, 0)}))[0]
    image = renderer.render(pose, transparent=True)
    alpha = image[..., 3]
    assert image.shape == (512, 512, 4)
    assert alpha[470:, 230:280].min() > 230, "the suit belongs to the person"
    assert alpha[:30, :60].max() < 20 and alpha[:30, -60:].max() < 20, "the background does not"
    column, row = portrait.fit.landmarks[1, :2].astype(int)
    assert alpha[row, column] > 230
    opaque = alpha == 255
    assert np.array_equal(image[opaque, :3], renderer.render(pose)[opaque])


def test_far_poses_leave_no_holes(portrait, renderer):
    image = shown(portrait, renderer, angles=(40, 20, 25), jawOpen=1, gaze=(40, 20))
    assert image.shape == (512, 512, 3)
    changed = np.abs(image[:6].astype(int) - portrait.image[:6]).mean()
    assert changed < 6, "the border of the picture stays"


UPPER_LIP, LOWER_LIP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (95, 88, 178, 87, 14, 317, 402, 318, 324)
LEFT_EYE = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)


def inside(image, corners) -> np.ndarray:
    """Brightness (K,) of the pixels inside a polygon."""
    mask = Image.new("L", image.shape[1::-1])
    ImageDraw.Draw(mask).polygon([tuple(point) for point in corners], fill=1)
    return image.mean(2)[np.asarray(mask) > 0]


def test_teeth_stay_when_the_head_turns(portrait, renderer):
    """A smile is the portrait's own: its teeth do not change because the head does."""
    still = inside(portrait.image, portrait.fit.landmarks[[*UPPER_LIP, *LOWER_LIP[::-1]], :2])
    for yaw in (-15, -5, 5, 15):
        pose = poses_for(portrait.fit, motion_of({"angles": (yaw, 0, 0)}))[0]
        turned = inside(renderer.render(pose), ideal_points(portrait, pose)[[*UPPER_LIP, *LOWER_LIP[::-1]], :2])
        assert abs(turned.mean() - still.mean()) < 15, yaw
        assert abs((turned > 150).mean() - (still > 150).mean()) < 0.12, yaw


def test_an_opening_mouth_is_dark_inside(each_portrait):
    renderer = Reprojector(each_portrait)
    (left, right), (top, bottom) = mouth_box(each_portrait).astype(int)
    dark = [
        (shown(each_portrait, renderer, jawOpen=value)[top:bottom, left:right].mean(2) < 60).sum() for value in (0, 0.3, 0.6, 1)
    ]
    assert (np.diff(dark) > 0).all(), dark


def mouth_box(portrait) -> np.ndarray:
    """((left, right), (top, bottom)) in pixels, down to half the chin."""
    points = portrait.fit.landmarks[[61, 291, 0, 17, 152], :2]
    bottom = points[3:].mean(0)[1]
    return np.array([[points[0, 0], points[1, 0]], [points[2, 1], bottom]])


def test_a_closed_lid_shows_no_eye(portrait, renderer):
    eye = portrait.fit.landmarks[list(LEFT_EYE), :2]
    middle = eye.mean(0) + 0.55 * (eye - eye.mean(0))  # without the lashes
    skin = np.median(portrait.image[slice(*sorted(portrait.fit.landmarks[[50, 101], 1].astype(int))), :].mean(2))
    opened = inside(portrait.image, middle)
    closed = inside(shown(portrait, renderer, eyeBlinkLeft=1, eyeBlinkRight=1), middle)
    assert (opened < 0.45 * skin).mean() > 0.3, "there is an iris to cover"
    assert (closed < 0.45 * skin).mean() < 0.02
    assert closed.std() < 0.5 * opened.std()


def test_no_background_on_the_cheeks(portrait, renderer):
    """Turned by 20°, the middle of the face holds no colour that the face did not have."""
    for yaw in (-20, 20):
        pose = poses_for(portrait.fit, motion_of({"angles": (yaw, 0, 0)}))[0]
        image, points = renderer.render(pose), ideal_points(portrait, pose)
        for landmark in (50, 280, 205, 425, 118, 347):  # cheeks
            (u, v), (x, y) = points[landmark, :2].astype(int), portrait.fit.landmarks[landmark, :2].astype(int)
            was, now = portrait.image[y - 2 : y + 3, x - 2 : x + 3], image[v - 2 : v + 3, u - 2 : u + 3]
            warmth = [float((part[..., 0].astype(float) - part[..., 2]).mean()) for part in (was, now)]
            assert warmth[1] > 0.7 * warmth[0] > 25, (yaw, landmark, warmth)  # red over blue; the wall is grey


def test_the_face_framing_is_a_part_of_the_photo_framing(each_portrait):
    """What lies beyond the crop comes into it when the head tilts."""
    close, whole = Reprojector(each_portrait, 0, "face"), Reprojector(each_portrait)
    pose = poses_for(each_portrait.fit, motion_of({"angles": (10, -5, 14)}))[0]
    frame = close.crop
    box = (frame.left, frame.top, frame.left + frame.width / frame.scale, frame.top + frame.height / frame.scale)
    part = Image.fromarray(whole.render(pose)).resize((frame.width, frame.height), Image.Resampling.BILINEAR, box)
    assert np.abs(np.asarray(part, float) - close.render(pose)).mean() < 5


def test_far_from_the_head_nothing_is_touched(portrait):
    """In a large picture only the surroundings of the head are rendered."""
    image = np.pad(portrait.image, ((300, 500), (700, 300), (0, 0)), mode="reflect")
    fit = portrait.fit
    camera = replace(fit.camera, centre=(fit.camera.centre[0] + 700, fit.camera.centre[1] + 300), width=1512, height=1312)
    wide = Portrait(image, replace(fit, camera=camera, landmarks=fit.landmarks + np.array([700, 300, 0])), "wide")
    renderer = Reprojector(wide)
    pose = poses_for(wide.fit, motion_of({"angles": (20, 5, 5), "jawOpen": 0.5}))[0]
    result = renderer.render(pose)
    assert renderer.camera.width * renderer.camera.height < 0.7 * 1512 * 1312
    changed = np.flatnonzero((result != image).any((0, 2)))
    assert changed.size and changed.min() > 400 and changed.max() < 1400
    assert np.abs(result[300:812, 700:1212].astype(float) - Reprojector(portrait).render(pose)).mean() < 4


def test_memory_does_not_grow_with_frames(portrait, renderer):
    poses = poses_for(portrait.fit, nod(40))
    for pose in poses[:10]:
        renderer.render(pose)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for pose in poses[10:]:
        renderer.render(pose)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 500_000


def test_a_plain_background_stays_plain_around_a_drawing():
    """Lines of a box showed where the sheet ends."""
    portrait = Portrait.open(CASES / "cartoon.png")
    image = shown(portrait, Reprojector(portrait), angles=(20, 0, 0))
    for part in (np.s_[:, 350:], np.s_[:, :50], np.s_[:15]):
        assert np.abs(image[part].astype(int) - portrait.image[part]).max() <= 2


def pictures_of(held: object, found: dict[int, np.ndarray], side: int) -> dict[int, np.ndarray]:
    """The arrays of at least a quarter of ``side`` pixels either way that an object of this program keeps, each once, by their memory."""
    if isinstance(held, np.ndarray):
        while isinstance(held.base, np.ndarray):
            held = held.base
        if held.ndim >= 2 and min(held.shape[:2]) >= side // 4:
            found[id(held)] = held
    elif isinstance(held, (tuple, list)):
        for each in held:
            pictures_of(each, found, side)
    elif type(held).__module__.startswith("mimaface.reprojection"):
        for each in vars(held).values():
            pictures_of(each, found, side)
    return found


def test_a_portrait_keeps_few_whole_pictures(portrait, renderer):
    """At 4096² each byte a pixel is 17 MB for as long as a shot lasts."""
    height, width = renderer.projection.matte.shape
    kept = pictures_of(renderer, {}, min(height, width)).values()
    each = {array.shape: array.nbytes for array in kept}
    assert len(kept) >= 8, "the image, matte, person and what is behind it, and opacity and background of two cuts"
    assert sum(array.nbytes for array in kept) <= 36 * height * width, each
