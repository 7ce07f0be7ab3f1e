"""The released model end to end, tiny and with random weights: what drives it, what it gives, and where that is pasted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from basel_heads import made_up
from conftest import HOPPER, motion_of, nod
from mimaface.basel.align import applied, draw, five_points, inverted, paste, similarity
from mimaface.basel.curricularface import identity_crop
from mimaface.basel.pose import from_network
from mimaface.basel.transfer import solve
from mimaface.engines.torch_engine import TorchEngine
from mimaface.face.gaps import fill_gaps
from mimaface.face.head import Head
from mimaface.face.portrait import Portrait
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import RELEASED_SD15
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, InvalidMotion
from mimaface.renderers.released_shot import ReleasedEngine
from model.conftest import awaken, tiny_configuration

SIDE = 64
TOLD = np.zeros(261, np.float32)  # α80 β64 δ80 rotation3 γ27 translation3 gaze4
TOLD[80:144] = np.linspace(-0.05, 0.05, 64)
TOLD[224:227] = [0.05, -0.02, 0.01]
TOLD[254:257] = [0.02, 0.1, 0.3]
TOLD[257:] = [0.1, 0.2, 0.3, 0.4]


class Networks:
    """Networks whose answers are known, and that remember what they were shown."""

    def __init__(self):
        self.crops, self.faces = [], []

    def reconstruct(self, images):
        self.crops.append(images)
        return torch.from_numpy(TOLD)[None].expand(len(images), -1)

    def identify(self, images):
        self.faces.append(images)
        return torch.linspace(-1, 1, 25088)[None]


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(5)
    config = tiny_configuration(
        image_size=SIDE,
        motion_space="bfm2009",
        appearance=replace(RELEASED_SD15.appearance, token_width=32, context_width=24, adapter_heads=1),
    )
    model = MimaFaceModel(config).eval()
    awaken(model)
    return TorchEngine(model)


@pytest.fixture(scope="module")
def bfm():
    return made_up(6, known=True).bfm


@pytest.fixture(scope="module")
def solved(bfm):
    return solve(bfm, Head.load())


@pytest.fixture
def networks():
    return Networks()


@pytest.fixture
def released(tiny, bfm, solved, networks):
    return ReleasedEngine(tiny, bfm, networks.reconstruct, networks.identify, solved)


@pytest.fixture(scope="module")
def photo():
    """A photograph that is not square, with its face to one side."""
    portrait = Portrait.open(HOPPER)
    wide = np.pad(portrait.image, ((0, 0), (0, 400), (0, 0)), mode="edge")
    return Portrait(wide, portrait.fit, portrait.sha256)


def finished(frames):
    return [frame for frame in frames if frame is not None]


def run(engine, shots, **options):
    return finished(engine.frames(shots, **{"seed": 3, "steps": 2, "guidance": 1.0, **options}))


def test_two_clips_of_a_photograph_that_is_not_square(released, photo):
    shot = released.shot(photo, nod(6))  # clips of 4 that overlap by 1: frames 0–3 and 4–5
    frames = run(released, [shot])
    assert [index for index, _ in frames] == list(range(6))
    pasted = paste(np.zeros_like(photo.image), [(np.full((SIDE, SIDE, 3), 255, np.uint8), shot.onto_canvas)])
    outside = pasted.max(-1) == 0
    assert 0.2 < outside.mean() < 0.95
    for _, image in frames:
        assert image.shape == photo.image.shape and image.dtype == np.uint8
        np.testing.assert_array_equal(image[outside], photo.image[outside])
        assert np.abs(image[~outside].astype(int) - photo.image[~outside]).mean() > 5, "a random model paints over the face"
    assert len({image.tobytes() for _, image in frames}) == 6

    again = run(released, [released.shot(photo, nod(6))])
    assert [image.tobytes() for _, image in again] == [image.tobytes() for _, image in frames], "same seed, same bytes"
    other = run(released, [shot], seed=4)
    assert other[0][1].tobytes() != frames[0][1].tobytes()
    later = run(released, [shot], start=5)
    assert [index for index, _ in later] == [5] and later[0][1].tobytes() == frames[5][1].tobytes()


@pytest.mark.parametrize(("count", "guidance"), [(1, 1.0), (3, 0.0), (5, 5.0)])
def test_any_length_and_guidance(released, photo, count, guidance):
    assert len(run(released, [released.shot(photo, nod(count))], guidance=guidance, steps=1)) == count


def test_the_networks_see_what_they_were_trained_on(released, photo, networks):
    shot = released.shot(photo, nod(1))
    (crop,), (face,) = networks.crops, networks.faces
    assert crop.shape == (1, 3, 256, 256) and face.shape == (1, 3, 112, 112)
    assert -1 <= crop.min() < -0.2 and 0.2 < crop.max() <= 1
    np.testing.assert_allclose(
        crop[0].permute(1, 2, 0).numpy() * 127.5 + 127.5, draw(shot.canvas, shot.driving.crop[0], 256, 256), atol=1
    )
    assert torch.equal(face, identity_crop(shot.canvas, applied(shot.onto_canvas, five_points(photo.fit.landmarks))))


def test_signals_are_the_sources_and_the_drivers(released, photo, solved):
    shot = released.shot(photo, motion_of({}, {"jawOpen": 0.6, "gaze": (10, 0)}))
    inputs = released.inputs(shot, next(iter(_plan(released, shot))))
    signals = inputs.signals
    assert {name: tuple(value.shape) for name, value in signals.items()} == {
        "identity": (25088,), "albedo": (80,), "illumination": (27,),
        "gaze": (2, 4), "expression": (2, 64), "rotation": (2, 3), "translation": (2, 3),
    }  # fmt: skip
    np.testing.assert_allclose(signals["expression"][0], TOLD[80:144], atol=1e-5)
    np.testing.assert_allclose(signals["rotation"][0], TOLD[224:227], atol=1e-5)
    np.testing.assert_allclose(signals["translation"][0], TOLD[254:257], atol=1e-5)
    np.testing.assert_allclose(signals["gaze"][0], TOLD[257:], atol=1e-5)
    assert np.abs(signals["expression"][1] - signals["expression"][0]).max() > 0.05
    np.testing.assert_allclose((signals["gaze"][1] - signals["gaze"][0])[[0, 2]], np.radians(10), atol=1e-3)
    assert inputs.conditions["render"].shape == (2, 4, SIDE // 2, SIDE // 2)


def _plan(released, shot):
    from mimaface.sampling.clips import ClipPlan

    return ClipPlan(len(shot.driving), released.engine.config.clip_length, released.engine.config.overlap)


def covered(released, shot, frame):
    image = released.renders(shot, [frame])[0]
    return np.argwhere(image.max(-1) > 0)[:, ::-1] + 0.5  # u, v


def test_the_render_lies_where_the_net_saw_the_face_and_moves_with_the_head(released, photo):
    motion = motion_of({}, {}, {}, {})
    place = np.array([[0, 0, 0], [0.02, 0, 0], [0, -0.02, 0], [0, 0, 0.1]], float)
    shot = released.shot(photo, motion.but(head_pos=place))
    d = shot.driving
    middles = np.array([covered(released, shot, frame).mean(0) for frame in range(4)])
    apparent = [from_network(d.rotation[i], d.translation[i], d.crop[i]).position for i in range(4)]
    np.testing.assert_allclose((middles - middles[0])[:3], (np.array(apparent) - apparent[0])[:3], atol=1.2)
    pixels = 0.02 * photo.fit.scale * np.hypot(*shot.onto_canvas[:, 0])
    np.testing.assert_allclose(middles[1] - middles[0], [pixels, 0], atol=1.2)
    np.testing.assert_allclose(middles[2] - middles[0], [0, pixels], atol=1.2)
    assert len(covered(released, shot, 3)) > 1.1 * len(covered(released, shot, 0)), "nearer is larger"
    image = released.renders(shot, [0])[0]
    assert image[0, 0].max() == 0 and image[-1, -1].max() == 0, "background 0"


def test_frames_without_a_face_are_filled_and_said(released, photo, caplog):
    motion = motion_of(*[{"jawOpen": value} for value in (0.0, 0.9, 0.4, 0.9, 0.9, 0.8)])
    valid = motion.valid.copy()
    valid[[1, 3, 4], 0] = False
    found, notes = fill_gaps(motion.but(valid=valid))
    np.testing.assert_allclose(found.blendshapes.max(1), [0.0, 0.2, 0.4, 1.6 / 3, 2 / 3, 0.8], atol=1e-6)
    assert len(notes) == 1 and "no face in 3 of 6 frames (1, 3, 4)" in notes[0]
    shot = released.shot(photo, motion.but(valid=valid))
    assert shot.notes == tuple(notes) and notes[0] in caplog.text
    assert fill_gaps(motion) == (motion, [])
    with pytest.raises(InvalidMotion, match="none of the 6 frames"):
        released.shot(photo, motion.but(valid=np.zeros((6, 3), bool)))


def test_native_coefficients_are_used_as_they_are(released, photo):
    native = np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)
    gaze = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    motion = nod(3).but(expression_bfm=native, gaze_d3dfr=gaze, meta={"neutral": 1})
    published = released.shot(photo, motion, absolute=True).driving
    np.testing.assert_allclose(published.expression, native, atol=1e-6)
    np.testing.assert_allclose(published.gaze, gaze, atol=1e-6)
    relative = released.shot(photo, motion).driving
    np.testing.assert_allclose(relative.expression, TOLD[80:144] + native - native[1], atol=1e-5)


def test_several_faces_of_one_photograph(released, photo):
    first = released.shot(photo, nod(2))
    aside = first.onto_canvas.copy()
    aside[:, 2] -= aside[:, :2] @ [420.0, 0.0]  # the same face 420 pixels further right
    second = replace(first, onto_canvas=aside)
    together, alone = run(released, [first, second]), run(released, [first])
    middle = applied(inverted(aside), np.array([[SIDE / 2, SIDE / 2]]))[0].astype(int)
    changed = np.abs(together[0][1].astype(int) - alone[0][1]).max(-1)
    assert changed[middle[1], middle[0]] > 0 and together[0][1].shape == photo.image.shape
    with pytest.raises(InvalidInput, match="equal length"):
        run(released, [first, released.shot(photo, nod(3))])
    with pytest.raises(InvalidInput, match="no face"):
        run(released, [])


def test_squares_fade_into_the_photograph_and_share_their_overlap():
    photo = np.full((200, 300, 3), 100, np.uint8)
    red, blue = (np.tile(np.array(c, np.uint8), (64, 64, 1)) for c in ((250, 100, 100), (100, 100, 250)))
    place = similarity([[50, 50], [150, 150]], [[0, 0], [64, 64]])
    other = similarity([[110, 50], [210, 150]], [[0, 0], [64, 64]])
    result = paste(photo, [(red, place), (blue, other)])
    np.testing.assert_array_equal(result, paste(photo, [(blue, other), (red, place)]))
    assert (result[:49] == 100).all() and (result[:, :49] == 100).all()
    assert result[100, 90].tolist() == [250, 100, 100], "the middle is the square's own"
    assert result[100, 170].tolist() == [100, 100, 250]
    row = result[100, 50:100, 0].astype(int)
    assert (np.diff(row) >= 0).all() and np.diff(row).max() < 25, "no hard edge"
    beyond = similarity([[250, 150], [350, 250]], [[0, 0], [64, 64]])
    assert paste(photo, [(red, beyond)])[199, 299].tolist() == [250, 100, 100], "a square may reach over the border"
    away = similarity([[400, 400], [500, 500]], [[0, 0], [64, 64]])
    np.testing.assert_array_equal(paste(photo, [(red, away)]), photo)


def test_a_square_comes_back_to_where_it_was_cut(photo):
    small = np.asarray(Image.fromarray(photo.image).resize((photo.image.shape[1] // 4, photo.image.shape[0] // 4)))
    transform = similarity([[30, 40], [130, 140]], [[0, 0], [256, 256]])
    again = paste(small, [(draw(small, transform, 256, 256), transform)])
    assert np.abs(again.astype(int) - small).mean() < 2


def test_other_models_and_networks_are_refused(released, bfm, solved, photo, networks, tiny):
    torch.manual_seed(0)
    with pytest.raises(InvalidCheckpoint, match="not driven by the Basel face"):
        ReleasedEngine(
            TorchEngine(MimaFaceModel(tiny_configuration()).eval()), bfm, networks.reconstruct, networks.identify, solved
        )
    with pytest.raises(InvalidCheckpoint, match="reconstruction network"):
        ReleasedEngine(tiny, bfm, lambda x: torch.zeros(1, 257), networks.identify, solved).shot(photo, nod(1))
    with pytest.raises(InvalidCheckpoint, match="identity network"):
        ReleasedEngine(tiny, bfm, networks.reconstruct, lambda x: torch.zeros(1, 512), solved).shot(photo, nod(1))
