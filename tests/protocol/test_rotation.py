import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mimaface.protocol import rotation as r

ANGLES = st.tuples(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
SEEDS = st.integers(0, 2**31)


def random_quaternions(seed: int, count: int) -> np.ndarray:
    return Rotation.random(count, random_state=seed).as_quat(scalar_first=True)


@given(ANGLES)
def test_head_angles_agree_with_scipy_and_come_back(angles):
    yaw, pitch, roll = angles
    expected = Rotation.from_euler("YXZ", [yaw, -pitch, -roll]).as_matrix()
    matrix = r.head_angles_to_matrix(angles)
    np.testing.assert_allclose(matrix, expected, atol=1e-12)
    np.testing.assert_allclose(r.matrix_to_head_angles(matrix), angles, atol=1e-6)


@given(SEEDS)
def test_quaternions_agree_with_scipy(seed):
    a, b = random_quaternions(seed, 3), random_quaternions(seed + 1, 3)
    matrix = Rotation.from_quat(a, scalar_first=True).as_matrix()
    np.testing.assert_allclose(r.quaternion_to_matrix(a), matrix, atol=1e-12)
    np.testing.assert_allclose(np.abs((r.matrix_to_quaternion(matrix) * a).sum(-1)), 1, atol=1e-12)
    product = (Rotation.from_quat(a, scalar_first=True) * Rotation.from_quat(b, scalar_first=True)).as_matrix()
    np.testing.assert_allclose(r.quaternion_to_matrix(r.quaternion_multiply(a, b)), product, atol=1e-12)


def test_signs_are_the_subjects():
    forward, up = np.array([0, 0, 1.0]), np.array([0, 1.0, 0])
    assert (r.head_angles_to_matrix([0.3, 0, 0]) @ forward)[0] > 0.2, "yaw + turns to the subject's left"
    assert (r.head_angles_to_matrix([0, 0.3, 0]) @ forward)[1] > 0.2, "pitch + looks up"
    assert (r.head_angles_to_matrix([0, 0, 0.3]) @ up)[0] > 0.2, "roll + tilts the crown to the subject's left"


@given(SEEDS, st.floats(0, 1))
def test_slerp_turns_at_constant_speed(seed, share):
    a, b = random_quaternions(seed, 2)
    mixed = r.slerp(a, b, share)
    whole = (Rotation.from_quat(a, scalar_first=True).inv() * Rotation.from_quat(b, scalar_first=True)).magnitude()
    part = (Rotation.from_quat(a, scalar_first=True).inv() * Rotation.from_quat(mixed, scalar_first=True)).magnitude()
    np.testing.assert_allclose(part, share * whole, atol=1e-6)


def test_continuous_quaternions_only_change_signs():
    values = random_quaternions(4, 20)
    fixed = r.continuous_quaternions(values)
    assert ((fixed[1:] * fixed[:-1]).sum(-1) >= 0).all()
    np.testing.assert_array_equal(np.abs(fixed), np.abs(values))
