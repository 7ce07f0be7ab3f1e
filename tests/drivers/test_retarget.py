import numpy as np
import pytest

from conftest import CASES, motion_of, nod
from mimaface.drivers import open_motion
from mimaface.drivers.retarget import RetargetSettings, retarget, scale_rotation
from mimaface.geometry.smoothing import one_euro
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.rotation import matrix_to_head_angles, quaternion_to_matrix


def degrees(clip):
    return np.degrees(matrix_to_head_angles(quaternion_to_matrix(clip.head_quat)))


def test_doing_nothing_changes_nothing():
    clip = nod(6)
    same = retarget(clip, RetargetSettings())
    np.testing.assert_array_equal(same.blendshapes, clip.blendshapes)
    np.testing.assert_array_equal(same.head_quat, clip.head_quat)
    assert same.meta["neutral"] == clip.meta["neutral"]


def test_swapping_is_a_mirror_and_its_own_inverse():
    clip = motion_of({"angles": (10, 5, -4), "eyeBlinkLeft": 0.8, "jawLeft": 0.3, "gaze": (6, 2)}, {})
    swap = RetargetSettings(swap=True)
    once = retarget(clip, swap)
    np.testing.assert_allclose(degrees(once)[0], [-10, 5, 4], atol=1e-6)
    assert once.blendshapes[0, BLENDSHAPE_INDEX["eyeBlinkRight"]] == np.float32(0.8)
    assert once.blendshapes[0, BLENDSHAPE_INDEX["jawRight"]] == np.float32(0.3)
    np.testing.assert_allclose(once.gaze[0, 0], np.radians([-6, 2]), atol=1e-6)
    np.testing.assert_allclose(retarget(once, swap).head_quat, clip.head_quat, atol=1e-12)


@pytest.mark.parametrize(("name", "index"), [("head_yaw", 0), ("head_pitch", 1), ("head_roll", 2)])
def test_flips_change_one_axis(name, index):
    angles = np.array([30.0, 20.0, 10.0])
    flipped = degrees(retarget(motion_of({"angles": tuple(angles)}), RetargetSettings(flip=(name,))))[0]
    angles[index] *= -1
    np.testing.assert_allclose(flipped, angles, atol=1e-6)


def test_gains_scale_one_channel():
    clip = motion_of({"jawOpen": 0.4, "mouthFunnel": 0.4, "angles": (10, 0, 0), "gaze": (8, 0)})
    done = retarget(clip, RetargetSettings(gains={"jawOpen": 1.5, "head": 0.5, "gaze": 2.0}))
    np.testing.assert_allclose(
        done.blendshapes[0, [BLENDSHAPE_INDEX["jawOpen"], BLENDSHAPE_INDEX["mouthFunnel"]]], [0.6, 0.4], atol=1e-6
    )
    np.testing.assert_allclose(degrees(done)[0], [5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(np.degrees(done.gaze[0, 0]), [16, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("gains", "factor"),
    [({"head": 0}, 0), ({"position": 0}, 0), ({"position": 0.5}, 0.5), ({"head": 0.5}, 0.5), ({"head": 0.5, "position": 2}, 1)],
)
@pytest.mark.parametrize("neutral", ["auto", "rest", 1])
def test_the_position_has_a_gain_and_a_head_at_0_stands_still(gains, factor, neutral):
    place = np.array([[0.1, 0, -0.6], [0.13, 0.02, -0.6], [np.nan] * 3, [0.1, 0, -0.5]])
    clip = motion_of(*[{"angles": (10 * index, 0, 0)} for index in range(4)]).but(head_pos=place, meta={"neutral": neutral})
    scaled = retarget(clip, RetargetSettings(gains=gains))
    np.testing.assert_allclose(scaled.relative().head_pos, factor * clip.relative().head_pos, atol=1e-9)
    still = degrees(scaled.relative())[:, 0]
    np.testing.assert_allclose(still, gains.get("head", 1) * degrees(clip.relative())[:, 0], atol=1e-6)
    if neutral != "rest":
        np.testing.assert_allclose(scaled.head_pos[0], place[0], err_msg="the place itself stays, for motion as recorded")
    rested = retarget(clip, RetargetSettings(gains=gains, neutral="rest")).head_pos
    origin = 0 if neutral == "rest" else place[0]
    np.testing.assert_allclose(rested, factor * (place - origin), atol=1e-9)


def test_a_handheld_shake_is_gone_without_the_head():
    clip = open_motion(CASES / "handheld.mp4")
    assert np.ptp(clip.head_pos, axis=0).max() > 0.005, "it shakes"
    still = retarget(clip, RetargetSettings(gains={"head": 0})).relative()
    np.testing.assert_allclose(still.head_pos, 0, atol=1e-12)
    np.testing.assert_allclose(degrees(still), 0, atol=1e-6)


def test_one_pair_can_be_flipped_and_two_channels_exchanged():
    clip = motion_of({"angles": (20, 5, -10), "mouthLeft": 0.7, "mouthRight": 0.1, "jawLeft": 0.3, "gaze": (9, 2)})

    def values(settings, *names):
        return [round(float(retarget(clip, settings).blendshapes[0, BLENDSHAPE_INDEX[name]]), 6) for name in names]

    for name in ("mouthLeft", "mouthRight"):
        assert values(RetargetSettings(flip=(name,)), "mouthLeft", "mouthRight", "jawLeft") == [0.1, 0.7, 0.3]
    assert values(RetargetSettings(flip=("mouthLeft", "mouthRight")), "mouthLeft") == [0.1]
    assert values(RetargetSettings(exchange=("jawLeft=mouthLeft",)), "mouthLeft", "jawLeft") == [0.3, 0.7]
    turned = retarget(clip, RetargetSettings.from_wire({"exchange": ["head_yaw=head_roll", "gaze_yaw=gaze_pitch"]}))
    np.testing.assert_allclose(degrees(turned)[0], (-10, 5, 20), atol=1e-6)
    np.testing.assert_allclose(np.degrees(turned.gaze[0, 0]), (2, 9), atol=1e-4)


def test_scaling_a_rotation_by_one_and_two():
    quaternion = nod(5).head_quat
    np.testing.assert_allclose(scale_rotation(quaternion, 1.0), quaternion, atol=1e-12)
    from mimaface.protocol.rotation import quaternion_multiply

    np.testing.assert_allclose(scale_rotation(quaternion, 2.0), quaternion_multiply(quaternion, quaternion), atol=1e-12)


def test_one_euro_calms_noise_and_keeps_up_with_speed():
    time = np.arange(300) / 60
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.02, 300)
    assert one_euro(noise, time, 1.0, 0.5).std() < 0.5 * noise.std()
    ramp = 4.0 * time
    late = ramp - one_euro(ramp, time, 1.0, 5.0)
    slow = ramp - one_euro(ramp, time, 1.0, 0.0)
    assert late[-1] < 0.2 * slow[-1], "the cutoff rises with speed"


def test_smoothing_keeps_quaternions_unit_and_time_untouched():
    clip = retarget(nod(20), RetargetSettings(smoothing=0.8))
    np.testing.assert_allclose(np.linalg.norm(clip.head_quat, axis=1), 1, atol=1e-9)
    np.testing.assert_array_equal(clip.time, nod(20).time)


@pytest.mark.parametrize(
    "values",
    [
        {"gains": {"jaw": 1.0}},
        {"gains": {"head": -1}},
        {"flip": ["up"]},
        {"smoothing": 2},
        {"neutral": "calm"},
        {"gains": [1]},
        {"neutral": -3},
        {"neutral": True},
        {"neutral": 1.5},
        {"flip": ["jawOpen"]},
        {"exchange": ["head_yaw=jawOpen"]},
        {"exchange": ["head_yaw"]},
        {"exchange": 3},
    ],
)
def test_mistakes_are_named(values):
    with pytest.raises(InvalidInput):
        RetargetSettings.from_wire(values)
