import numpy as np
import pytest

from mimaface.face.head import Head, gaze_rotation
from mimaface.geometry.rasterise import rasterise
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES, mirror_name
from mimaface.protocol.errors import InvalidCheckpoint


@pytest.fixture(scope="module")
def head() -> Head:
    return Head.load()


def blendshapes(**values: float) -> np.ndarray:
    result = np.zeros(52)
    for name, value in values.items():
        result[BLENDSHAPE_INDEX[name]] = value
    return result


def body(head: Head) -> np.ndarray:
    """Vertices that the components were computed on: all but the eyeballs, which ride on two joints, and the hair's copies."""
    return np.setdiff1d(
        np.arange(len(head.vertices)), np.concatenate([head.vertices_of(n) for n in ("eye_left", "eye_right", "hair")])
    )


def test_identities_are_symmetric_and_ordered(head):
    sizes = np.linalg.norm(head.identity_basis[:, body(head)].reshape(80, -1), axis=1)
    assert (np.diff(sizes) <= 0.02 * sizes[:-1]).all(), "components come in order of their variance"
    skin = head.vertices_of("skin")
    shape = head.shape(np.random.default_rng(5).normal(size=80), np.zeros(52))
    np.testing.assert_allclose(shape[head.mirror[skin]] * [-1, 1, 1], shape[skin], atol=2e-4)


def test_components_are_orthogonal(head):
    flat = head.identity_basis[:, body(head)].reshape(80, -1)
    products = flat @ flat.T
    scale = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    assert np.abs(products / scale - np.eye(80)).max() < 1e-3


def test_eyeballs_stay_spheres_and_turn_by_the_true_angle(head):
    random = np.random.default_rng(1)
    identity, gaze = random.normal(size=80), np.array([[0.3, -0.2], [-0.4, 0.1]])
    posed = head.posed(identity, random.uniform(size=52), gaze)
    for side, name in enumerate(("eye_left", "eye_right")):
        ball = posed[head.vertices_of(name)]
        centre = head.eye_centres_for(identity)[side]
        np.testing.assert_allclose(np.linalg.norm(ball - centre, axis=1), head.eye_radius, atol=1e-5)
        yaw, pitch = gaze[side]
        looks = (ball[0] - centre) / head.eye_radius
        np.testing.assert_allclose(looks, [np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in BLENDSHAPE_NAMES if name.endswith(("Left", "Right"))])
def test_left_blendshapes_move_the_subjects_left(head, name):
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        mean = head.blendshapes[BLENDSHAPE_INDEX[name]][head.vertices_of("skin")].mean(0)[0]
        assert mean > 0 if name.endswith("Left") else mean < 0
        return
    moved = np.linalg.norm(head.blendshapes[BLENDSHAPE_INDEX[name]], axis=1)
    centre = (moved * head.vertices[:, 0]).sum() / moved.sum()
    assert centre > 0.005 if name.endswith("Left") else centre < -0.005


def test_blendshapes_do_what_they_say(head):
    lids = head.region("lids") & (head.vertices[:, 0] > 0)
    blink = head.blendshapes[BLENDSHAPE_INDEX["eyeBlinkLeft"]][lids]
    assert blink[:, 1].min() < -0.005, "the upper lid comes down"
    teeth = head.vertices_of("teeth_lower")
    assert head.blendshapes[BLENDSHAPE_INDEX["jawOpen"]][teeth, 1].mean() < -0.01
    assert np.abs(head.blendshapes[BLENDSHAPE_INDEX["jawOpen"]][head.vertices_of("teeth_upper")]).max() < 0.002
    eyes = np.concatenate([head.vertices_of("eye_left"), head.vertices_of("eye_right")])
    assert np.abs(head.blendshapes[:, eyes]).max() == 0, "no blendshape moves an eyeball"


def eye_pixels(head: Head, identity: np.ndarray, expression: np.ndarray) -> list[int]:
    """Visible pixels of [left, right] eyeball from straight ahead, lashes and hair left out; one pixel is 0.6 mm wide."""
    side, scale = 400, 400 / 0.24
    x, y, z = head.shape(identity, expression).astype(float).T
    raster = rasterise(np.stack([side / 2 + scale * x, side / 2 - scale * y, 1 - z], axis=1), head.drawn_triangles(), side, side)
    seen = np.where(raster.covered, head.triangle_part[head.drawn()][raster.triangle], 255)
    return [int((seen == head.parts.index(name)).sum()) for name in ("eye_left", "eye_right")]


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_a_blink_closes_its_own_eye_and_no_eyeball_pokes_through_the_lid(head, seed):
    identity = np.zeros(80) if seed is None else np.random.default_rng(seed).normal(size=80)
    weights = (0.0, 0.25, 0.5, 0.75, 1.0)
    pixels = np.array([eye_pixels(head, identity, blendshapes(eyeBlinkLeft=weight)) for weight in weights])
    assert pixels[0].min() > 150, "both eyes start open"
    assert (np.diff(pixels[:, 0]) <= 0).all(), "the eye never opens again on the way"
    assert pixels[-1, 0] <= 2, "at weight 1 the lid covers the ball"
    assert (pixels[:, 1] == pixels[0, 1]).all(), "the right eye stays as it was"


def test_left_and_right_blendshapes_are_mirror_images(head):
    for name in BLENDSHAPE_NAMES:
        mirrored = head.blendshapes[BLENDSHAPE_INDEX[name]][head.mirror] * [-1, 1, 1]
        np.testing.assert_allclose(mirrored, head.blendshapes[BLENDSHAPE_INDEX[mirror_name(name)]], atol=1e-6, err_msg=name)


def test_batches_equal_single_heads(head):
    random = np.random.default_rng(2)
    identity, expression, gaze = random.normal(size=(3, 80)), random.uniform(size=(3, 52)), random.normal(size=(3, 2, 2)) * 0.2
    together = head.posed(identity, expression, gaze)
    for index in range(3):
        np.testing.assert_allclose(together[index], head.posed(identity[index], expression[index], gaze[index]), atol=1e-6)


def test_gaze_rotation_is_a_rotation():
    turn = gaze_rotation(np.random.default_rng(0).normal(size=(4, 2, 2)))
    np.testing.assert_allclose(turn @ np.swapaxes(turn, -1, -2), np.broadcast_to(np.eye(3), (4, 2, 3, 3)), atol=1e-12)


def test_wrong_sizes_and_damaged_files_are_named(head, tmp_path):
    with pytest.raises(ValueError, match="identity has shape"):
        head.shape(np.zeros(79), np.zeros(52))
    broken = tmp_path / "head.npz"
    broken.write_bytes(b"PK\x03\x04 not much")
    with pytest.raises(InvalidCheckpoint, match="head model cannot be read"):
        Head.load(broken)


def test_every_part_is_there_and_all_but_hair_and_lashes_are_drawn(head):
    assert all(len(head.part(name)) > 50 for name in head.parts)
    assert {head.parts[label] for label in np.unique(head.triangle_part[head.drawn()])} == set(head.parts) - {"hair", "lashes"}
    np.testing.assert_array_equal(head.drawn_triangles(), head.triangles[head.drawn()])
    np.testing.assert_array_equal(np.unique(head.skin_triangles()), head.vertices_of("skin"))
    assert len(head.drawn()) == len(head.triangles) - len(head.part("hair")) - len(head.part("lashes"))
