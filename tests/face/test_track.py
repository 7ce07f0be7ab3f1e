import numpy as np
import pytest

from conftest import motion_of
from mimaface.face.fit import LandmarkModel
from mimaface.face.landmarks import Landmarks
from mimaface.face.pose import poses_for
from mimaface.face.track import Tracker, track_frames
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.errors import NoFaceFound
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix
from mimaface.reprojection.reprojector import Reprojector

FRAMES = 30


@pytest.fixture(scope="module")
def film(portrait):
    """A film of known motion with uneven timestamps, and its truth."""
    phase = np.linspace(0, 2 * np.pi, FRAMES)
    truth = motion_of(
        *[
            {"angles": (15 * np.sin(p), 6 * np.sin(2 * p), 0), "jawOpen": 0.5 - 0.5 * np.cos(2 * p), "gaze": (12 * np.sin(p), 0)}
            for p in phase
        ]
    )
    renderer = Reprojector(portrait)
    times = np.cumsum(np.random.default_rng(0).uniform(0.03, 0.05, FRAMES))
    return times, [renderer.render(pose) for pose in poses_for(portrait.fit, truth)], truth


def test_known_motion_is_tracked(film):
    times, images, truth = film
    clip = track_frames(zip(times, images))
    np.testing.assert_allclose(clip.time, times - times[0])
    assert clip.valid.all()

    def yaw_of(motion):
        return matrix_to_head_angles(quaternion_to_matrix(motion.head_quat))[:, 0]

    assert np.corrcoef(yaw_of(clip), yaw_of(truth))[0, 1] > 0.98
    assert np.degrees(np.abs((yaw_of(clip) - yaw_of(clip)[0]) - (yaw_of(truth) - yaw_of(truth)[0]))).max() < 4
    jaw = BLENDSHAPE_INDEX["jawOpen"]
    assert np.corrcoef(clip.blendshapes[:, jaw], truth.blendshapes[:, jaw])[0, 1] > 0.9
    yaw, keyed = clip.gaze.mean(1)[:, 0], truth.gaze.mean(1)[:, 0]
    assert np.corrcoef(yaw, keyed)[0, 1] > 0.9
    assert 0.5 < np.polyfit(keyed, yaw, 1)[0] < 1.6, "and its size is about right"


def test_missing_faces_are_bridged_and_said(film):
    times, images, _ = film
    holes = [np.zeros_like(image) if 10 <= index < 14 else image for index, image in enumerate(images)]
    clip = track_frames(zip(times, holes))
    assert not clip.valid[10:14].any()
    assert clip.valid[:10, 0].all()
    assert clip.valid[14:, 0].all()
    assert "4 of 30" in clip.meta["warnings"][0]
    yaw = matrix_to_head_angles(quaternion_to_matrix(clip.head_quat))[:, 0]
    assert np.abs(np.diff(yaw)).max() < np.radians(8), "no jump across the hole"


def test_no_face_at_all_is_an_error():
    with pytest.raises(NoFaceFound, match="any of 3 frames"):
        track_frames([(index / 25, np.zeros((200, 200, 3), np.uint8)) for index in range(3)], "empty.mp4")


def test_a_blink_of_a_tenth_of_a_second_is_whole(portrait):
    """Blinks are the fastest that a face does: what keeps others steady would leave them half open."""
    model, fit, tracker = LandmarkModel.load(), portrait.fit, Tracker()
    lids = [BLENDSHAPE_INDEX[name] for name in ("eyeBlinkLeft", "eyeBlinkRight")]
    blinking = [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0]
    for frame, value in enumerate(blinking):
        blendshapes, points = fit.blendshapes.copy(), fit.landmarks.copy()
        blendshapes[lids] = value
        places = model.points(fit.identity, blendshapes) @ fit.rotation.T + fit.translation
        points[model.index, :2] = fit.camera.project(places)[:, :2]
        tracker._times.append(frame / 30)
        tracker._found.append(Landmarks(points, 1.0))
        tracker._pictures.append(None)
    tracker._size = portrait.image.shape[1::-1]
    *_, clip = tracker.finish()
    assert clip.blendshapes[4, lids].min() > 0.75 and clip.blendshapes[[1, 7]][:, lids].max() < 0.2
