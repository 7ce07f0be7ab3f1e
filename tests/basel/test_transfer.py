"""ARKit to BFM on synthetic Basel faces with known truth, and head poses in the reconstruction network's frame."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basel_heads import made_up
from conftest import motion_of
from mimaface.basel import transfer as module
from mimaface.basel.align import applied, five_points, inverted, similarity
from mimaface.basel.bfm import BaselFace, row_rotation
from mimaface.basel.correspondence import correspond
from mimaface.basel.pose import Apparent, SourceFace, angles_of, drive, from_network, to_apparent, to_network
from mimaface.basel.transfer import GazeAdapter, solve, transfer
from mimaface.face.head import Head
from mimaface.face.pose import poses_for
from mimaface.geometry.camera import Camera
from mimaface.geometry.similarity import Similarity
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.protocol.rotation import head_angles_to_matrix

FACES = {
    "mixed": {"known": True, "seed": 1},
    "mixed, moved": {"known": True, "seed": 2, "person": 0.7, "finer": True, "unit": 0.0371, "turn": 0.3},
    "random": {"known": False, "seed": 3, "unit": 1e-6},
    "random, moved": {"known": False, "seed": 4, "person": 0.9, "finer": True, "turn": 0.2},
}


@functools.cache
def solved_face(name: str):
    model = made_up(**FACES[name])
    return model, solve(model.bfm, Head.load())


@pytest.fixture(params=["mixed", "mixed, moved"])
def known(request):
    return solved_face(request.param)


@pytest.fixture(params=FACES)
def any_bfm(request):
    model, solved = solved_face(request.param)
    return model.bfm, solved


def test_every_vertex_finds_its_own_place_on_the_head(known):
    model, solved = known
    head = Head.load()
    found = correspond(model.bfm, head)
    own = model.vertex >= 0
    places = np.einsum("vc,vcd->vd", found.weights, head.vertices[found.corners])[own]
    off = np.linalg.norm(places - head.vertices[model.vertex[own]], axis=1)
    assert np.median(off) < 0.0005 and np.percentile(off, 95) < 0.002, "metres"
    assert found.error < 0.0005
    assert solved.placed.scale == pytest.approx(found.placed.scale)


def test_known_coefficients_are_recovered(known):
    model, solved = known
    product = solved.matrix[:51, :51] @ model.mixture  # the identity, were the transfer perfect
    visible = (
        np.linalg.norm(model.blendshapes[:51], axis=2).mean(1) * solved.placed.scale > 0.0002
    )  # metres; tiny lids are damped
    assert visible.sum() > 20
    assert np.abs(product - np.eye(51))[np.ix_(visible, visible)].max() < 0.16
    assert np.abs(solved.matrix[BLENDSHAPE_INDEX["tongueOut"]]).max() < 1e-6, "nothing of the tongue is skin"
    assert solved.unexplained.max() < 0.15


@pytest.mark.parametrize("seed", range(3))
def test_the_inverse_finds_the_blendshapes_behind_coefficients(known, seed):
    model, solved = known
    random = np.random.default_rng(seed)
    blendshapes = random.uniform(size=(2, 52)) * (random.uniform(size=(2, 52)) < 0.3)
    truth = np.concatenate([blendshapes[:, :51] @ np.linalg.inv(model.mixture), np.zeros((2, 13))], axis=1)
    found = solved.blendshapes(truth)
    assert found.shape == (2, 52) and found.min() >= 0 and found.max() <= 1
    large = [i for i, name in enumerate(BLENDSHAPE_NAMES) if not name.startswith("eye") and name != "tongueOut"]
    assert np.abs(found - blendshapes)[:, large].max() < 0.12
    assert np.abs(found - blendshapes)[:, :51].mean() < 0.02


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=64, max_size=64))
def test_the_inverse_stays_within_bounds_for_any_coefficients(shared_transfer, values):
    found = shared_transfer.blendshapes(values)
    assert found.shape == (52,) and found.min() >= 0 and found.max() <= 1


@pytest.fixture(scope="module")
def shared_bfm():
    return solved_face("mixed")[0].bfm


@pytest.fixture(scope="module")
def shared_transfer():
    return solved_face("mixed")[1]


def moved(bfm, solved, name, amount=1.0):
    """Returns neutral vertices and those of a blendshape, in millimetres along the head's axes."""
    beta = solved.expression(amount * np.eye(52)[BLENDSHAPE_INDEX[name]])
    return (1000 * solved.placed(bfm.geometry(np.zeros(80), values)) for values in (np.zeros(64), beta))


def test_blendshapes_do_on_any_bfm_what_they_say(any_bfm):
    bfm, solved = any_bfm
    key = bfm.keypoints
    still, after = moved(bfm, solved, "jawOpen")
    chin = still[:, 1] < still[key[57], 1] - 10  # below the lower lip
    chin &= np.abs(still[:, 0] - still[key[57], 0]) < 15
    chin &= still[:, 2] > still[key[57], 2] - 25
    assert chin.sum() > 5 and (after - still)[chin, 1].mean() < -5, "the chin goes down"
    assert (after - still)[key[51], 1] > (after - still)[key[57], 1] + 5, "the upper lip stays, or the mouth would not open"
    for name, corner, other in (("mouthSmileLeft", 54, 48), ("mouthSmileRight", 48, 54)):
        still, after = moved(bfm, solved, name)
        assert (after - still)[key[corner], 1] > 4, "its corner rises"
        assert abs((after - still)[key[other], 1]) < 1.5, "and the other one stays"
    lids = {"Left": ((43, 47), (44, 46)), "Right": ((37, 41), (38, 40))}
    for side, other in (("Left", "Right"), ("Right", "Left")):
        still, after = moved(bfm, solved, f"eyeBlink{side}")
        for upper, lower in lids[side]:
            opening = (still - still[key[lower]])[key[upper], 1], (after - after[key[lower]])[key[upper], 1]
            assert opening[1] < opening[0] - 0.8, "its lids come together"
        for upper, lower in lids[other]:
            assert abs((after - still)[key[upper], 1] - (after - still)[key[lower], 1]) < 0.8, "the other eye stays"


def test_a_blink_closes_the_lids_where_the_basis_can(known):
    model, solved = known
    for name, upper, lower in (("eyeBlinkLeft", 43, 47), ("eyeBlinkRight", 38, 40)):
        _, after = moved(model.bfm, solved, name)
        assert (after[model.bfm.keypoints[upper]] - after[model.bfm.keypoints[lower]])[1] < 1.0


def test_what_is_no_face_is_refused(shared_bfm, shared_transfer):
    def but(**changes):
        return BaselFace(**{**{name: getattr(shared_bfm, name) for name in BaselFace.__dataclass_fields__}, **changes})

    with pytest.raises(InvalidCheckpoint, match="68 key points do not lie"):
        correspond(but(mean=shared_bfm.mean * [-1, 1, 1]), Head.load())  # mirrored
    with pytest.raises(InvalidCheckpoint, match="20 key points"):
        correspond(but(keypoints=shared_bfm.keypoints[:20]), Head.load())
    with pytest.raises(InvalidCheckpoint, match="exBase"):
        solve(but(expression_basis=np.zeros_like(shared_bfm.expression_basis)), Head.load())
    with pytest.raises(ValueError, match="52"):
        shared_transfer.expression(np.zeros(51))


def test_the_transfer_is_solved_once_and_a_damaged_cache_again(shared_bfm, shared_transfer, tmp_path, monkeypatch, caplog):
    solved = []
    monkeypatch.setattr(module, "solve", lambda *args: solved.append(1) or shared_transfer)  # what is kept is the matter here
    first = transfer(shared_bfm, tmp_path / "cache")
    again = transfer(shared_bfm, tmp_path / "cache")
    assert len(solved) == 1
    np.testing.assert_array_equal(first.matrix, again.matrix)
    np.testing.assert_array_equal(first.placed.offset, again.placed.offset)
    (path,) = (tmp_path / "cache").iterdir()
    whole = path.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], b"PK\x03\x04 nothing"):
        path.write_bytes(damage)
        np.testing.assert_array_equal(transfer(shared_bfm, tmp_path / "cache").matrix, first.matrix)
    assert len(solved) == 4 and "solved again" in caplog.text
    other = BaselFace(**{**vars(shared_bfm), "expression_basis": 2 * shared_bfm.expression_basis})
    transfer(other, tmp_path / "cache")
    assert len(solved) == 5 and len(list((tmp_path / "cache").iterdir())) == 2, "another BFM has its own"
    (tmp_path / "file").write_text("not a folder")
    np.testing.assert_array_equal(transfer(shared_bfm, tmp_path / "file").matrix, first.matrix)


def test_a_gaze_adapter_is_recovered_from_frames():
    random = np.random.default_rng(0)
    gaze, matrix, offset = random.normal(size=(200, 2, 2)) * 0.3, random.normal(size=(4, 4)), random.normal(size=4)
    found = GazeAdapter.fit(gaze, gaze.reshape(-1, 4) @ matrix.T + offset)
    assert found.fitted
    np.testing.assert_allclose(found.matrix, matrix, atol=0.01)
    np.testing.assert_allclose(found(gaze[:3]), gaze[:3].reshape(3, 4) @ matrix.T + offset, atol=0.01)
    np.testing.assert_array_equal(GazeAdapter.assumed()(gaze[0]), gaze[0].ravel())
    together = np.repeat(gaze[:, :1], 2, axis=1)  # both eyes move together: the split between them is undetermined, not infinite
    assert np.abs(GazeAdapter.fit(together, together.reshape(-1, 4)).matrix).max() < 1
    for ours, theirs in ((gaze[:4], np.zeros((4, 4))), (np.zeros((99, 2, 2)), np.zeros((99, 4))), (gaze, np.zeros((200, 3)))):
        with pytest.raises(InvalidInput):
            GazeAdapter.fit(ours, theirs)


def similarity_of(size, angle, shift):
    c, s = size * np.cos(angle), size * np.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]])


small = st.floats(-0.6, 0.6)
poses = st.tuples(small, small, small, st.floats(-0.15, 0.15), st.floats(-0.15, 0.15), st.floats(0.6, 2))


@settings(max_examples=60, deadline=None)
@given(poses, small, small, st.floats(0.3, 3), st.floats(0.3, 3))
def test_a_pose_comes_back_from_the_nets_convention(pose, tilt, roll, canvas_size, crop_size):
    yaw, pitch, lean, x, y, depth = pose
    rotation, translation = head_angles_to_matrix([yaw, pitch, lean]), np.array([x, y, -depth])
    camera = Camera(900.0, (310.0, 395.0), 600, 800)
    canvas = similarity_of(canvas_size, tilt, (40, -30))
    placed = Similarity(0.104, head_angles_to_matrix([0.02, -0.1, 0.01]), np.array([0.0, -0.03, 0.08]))
    apparent = to_apparent(rotation, translation, camera, canvas, placed)
    crop = similarity_of(crop_size, roll, (0, 0))
    crop[:, 2] = [140, 150] - crop[:, :2] @ apparent.position  # crops centred on the face
    angles, place = to_network(apparent, crop)
    back = from_network(angles, place, crop)
    np.testing.assert_allclose(back.rotation, apparent.rotation, atol=1e-9)
    np.testing.assert_allclose(back.position, apparent.position, rtol=1e-9)
    np.testing.assert_allclose(back.scale, apparent.scale, rtol=1e-9)
    # both cameras project points near the BFM's origin to the same canvas pixels
    points = np.array([[0.02, 0, 0], [0, 0.02, 0], [0, 0, 0.02], [0, 0, 0]])
    ours = applied(canvas, camera.project(placed(points) @ rotation.T + translation)[:, :2])
    theirs = BaselFace.project(BaselFace.posed(points, angles, place)) * [1, -1] + [0, 256]
    length = 0.02 * float(apparent.scale)
    np.testing.assert_allclose(ours, applied(inverted(crop), theirs), atol=0.1 * length)


@given(st.tuples(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3)))
def test_angles_are_those_of_the_rotation(angles):
    np.testing.assert_allclose(row_rotation(angles_of(row_rotation(angles).T)), row_rotation(angles), atol=1e-9)


@pytest.mark.parametrize(
    ("ours", "axis", "sign"),
    [((0.2, 0, 0), 1, 1), ((0, -0.2, 0), 0, 1), ((0, 0, -0.2), 2, 1)],
    ids=["left", "down", "right tilt"],
)
def test_signs_are_deep3dfaces(ours, axis, sign):
    facing = to_apparent(head_angles_to_matrix(ours), [0, 0, -1], Camera(800.0, (256, 256), 512, 512), similarity_of(1, 0, (0, 0)),
                  Similarity(0.1, np.eye(3), np.zeros(3)))  # fmt: skip
    angles, _ = to_network(facing, similarity_of(1, 0, (-128, -128)))
    np.testing.assert_allclose(angles, 0.2 * sign * np.eye(3)[axis], atol=1e-9)


@pytest.fixture(scope="module")
def source(portrait):
    box = portrait.fit.landmarks[:468, :2]
    canvas = similarity([box.min(0), box.max(0)], [[80, 80], [432, 432]])
    random = np.random.default_rng(8)
    five = applied(canvas, five_points(portrait.fit.landmarks))
    return SourceFace(
        random.normal(size=64), random.normal(size=3) * 0.1, np.array([0.03, 0.1, 0.2]), random.normal(size=4), canvas, five
    )


def test_a_still_motion_gives_back_the_portrait(portrait, source, shared_transfer):
    poses = poses_for(portrait.fit, motion_of({}, {}))
    found = drive(source, portrait.fit, poses, shared_transfer, GazeAdapter.assumed())
    for name in ("expression", "rotation", "translation", "gaze", "crop"):
        np.testing.assert_allclose(getattr(found, name), np.stack([getattr(source, name)] * 2), atol=1e-7, err_msg=name)


def test_position_size_and_roll_are_mostly_in_the_crop(portrait, source, shared_transfer):
    motion = motion_of({}, {}, {"angles": (0, 0, 15)}, {"angles": (15, 0, 0)}, {"jawOpen": 1.0})
    place = motion.head_pos.copy()
    place[1] = [0.03, 0, 0.1]
    found = drive(
        source, portrait.fit, poses_for(portrait.fit, motion.but(head_pos=place)), shared_transfer, GazeAdapter.assumed()
    )
    size = np.hypot(found.crop[:, 0, 0], found.crop[:, 1, 0])
    assert size[1] < 0.95 * size[0], "nearer: the crop shrinks it"
    np.testing.assert_allclose(found.translation[1], found.translation[0], atol=0.1)
    roll = np.arctan2(found.crop[:, 1, 0], found.crop[:, 0, 0])
    assert abs(np.degrees(roll[2] - roll[0])) == pytest.approx(15, abs=3)
    assert np.abs(found.rotation[2] - found.rotation[0]).max() < np.radians(6)
    assert found.rotation[3, 1] - found.rotation[0, 1] == pytest.approx(np.radians(15), abs=np.radians(2))
    np.testing.assert_allclose(
        found.expression[4] - source.expression,
        shared_transfer.expression(
            np.clip(portrait.fit.blendshapes + np.eye(52)[BLENDSHAPE_INDEX["jawOpen"]], 0, 1) - portrait.fit.blendshapes
        ),
        atol=1e-6,
    )


def test_absolute_takes_expression_rotation_and_gaze_as_recorded(portrait, source, shared_transfer):
    motion = motion_of({"jawOpen": 0.5, "gaze": (10, 5), "angles": (10, 0, 0)})
    found = drive(source, portrait.fit, poses_for(portrait.fit, motion, True), shared_transfer, GazeAdapter.assumed(), True)
    np.testing.assert_allclose(found.expression[0], 0.5 * shared_transfer.matrix[BLENDSHAPE_INDEX["jawOpen"]], atol=1e-6)
    np.testing.assert_allclose(found.gaze[0], np.radians([10, 5, 10, 5]), atol=1e-6)
    turned = from_network(found.rotation[0], found.translation[0], found.crop[0])
    expected = to_apparent(head_angles_to_matrix(np.radians([10, 0, 0])), portrait.fit.translation, portrait.fit.camera, source.canvas,
                    shared_transfer.placed)  # fmt: skip
    np.testing.assert_allclose(turned.rotation, expected.rotation, atol=1e-6)
    assert isinstance(turned, Apparent)
