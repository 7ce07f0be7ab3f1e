"""Frames by a diffusion model: any number, resumable to the byte, pasted into the whole photograph."""

import itertools
import json
import shutil
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from conftest import CASES, generated, motion_of, nod
from mimaface.drivers import open_motion
from mimaface.engines.pool import EnginePool
from mimaface.face.portrait import Portrait
from mimaface.face.pose import poses_for
from mimaface.geometry.rasterise import rasterise
from mimaface.model.config import Quality, SamplerConfig
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.settings import QUALITIES, RenderSettings
from mimaface.renderers.generated_session import GeneratedSession, open_engine, window_in
from mimaface.renderers.registry import SHIPPED
from mimaface.renderers.reprojected import Reprojected
from mimaface.reprojection.crops import choose_window
from mimaface.reprojection.kernels import MOUTH, TEETH
from mimaface.reprojection.reprojector import Reprojector
from training_fixtures import models

SMALL = RenderSettings(engine="demo", size=160, seed=4)
POOL = EnginePool()
SAMPLE = SamplerConfig(method="ddim", steps=2, prediction="sample")


def tiny(target: Path, parts: dict, side: int = 32) -> Path:
    """A model of random weights: ``side``² pictures, clips of 4 frames that overlap by 1."""
    torch.manual_seed(0)
    model = MimaFaceModel(models.tiny_configuration(image_size=side, guidance=1.0, **parts))
    models.awaken(model)
    model.save_pretrained(target)
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny(tmp_path_factory.mktemp("tiny"), models.WITH_REFINER)


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory) -> Path:
    return tiny(tmp_path_factory.mktemp("plain"), models.FOUR_CONDITIONS)


def run(folder, portrait, motion, settings=SMALL, start=0, memory=None, pool=POOL):
    found = generated(folder, portrait, motion, settings, start, memory, pool)
    return {step.index: step.image for step in found if step is not None}


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8])
def test_a_shot_of_any_length_has_every_frame_once(folder, portrait, count):
    frames = run(folder, portrait, nod(count))
    assert list(frames) == list(range(count))
    height, width = portrait.image.shape[:2]
    assert {image.shape for image in frames.values()} == {
        (160 * height // max(height, width), 160 * width // max(height, width), 3)
    }


def test_equal_seeds_give_equal_bytes_and_others_do_not(folder, portrait):
    one, two = (run(folder, portrait, nod(3), pool=EnginePool()) for _ in range(2))
    other = run(folder, portrait, nod(3), RenderSettings(engine="demo", size=160, seed=5))
    assert all(np.array_equal(one[i], two[i]) for i in one)
    assert not np.array_equal(one[1], other[1])


def test_a_quality_is_what_the_model_says_and_the_standard_is_its_own_sampling(folder, portrait, tmp_path):
    told = MimaFaceModel.from_pretrained(folder)
    told.config = told.config.but(residual_of="render", sampler=SAMPLE, qualities={"draft": Quality(0), "final": Quality(5)})
    told.save_pretrained(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "earlier")
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "earlier" / "config.json").write_text(json.dumps({**values, "qualities": {}}))
    plain = run(tmp_path / "earlier", portrait, nod(3))
    draft, standard, final = (run(tmp_path, portrait, nod(3), replace(SMALL, quality=name)) for name in QUALITIES)
    assert all(np.array_equal(standard[i], plain[i]) for i in plain), "to the byte"
    assert not np.array_equal(final[1], standard[1])
    projected = [frame.image for frame in Reprojected().open(portrait, SMALL, POOL).shot(nod(3), 0, {})]
    assert all(np.array_equal(draft[i], projected[i]) for i in plain), "no step: the posed photograph"
    alike = run(tmp_path / "earlier", portrait, nod(3), replace(SMALL, quality="draft"))
    assert all(np.array_equal(alike[i], plain[i]) for i in plain), "a model that tells no qualities apart has one"


@pytest.fixture(scope="module")
def whole(folder, portrait):
    return run(folder, portrait, nod(9))


@pytest.mark.parametrize("start", [0, 2, 4, 5, 8])
def test_a_resumed_shot_goes_on_to_the_byte(folder, portrait, whole, start):
    memory: dict[str, bytes] = {}
    for step in generated(folder, portrait, nod(9), SMALL, 0, memory, POOL):
        if step is not None and step.index == start:  # killed right after this frame
            break
    for remembered in (memory, {}):  # and when what was remembered is lost
        rest = run(folder, portrait, nod(9), start=start, memory=dict(remembered))
        assert list(rest) == list(range(start, 9))
        assert all(np.array_equal(rest[i], whole[i]) for i in rest)


def test_what_is_remembered_saves_the_clips_before(folder, portrait):
    memory: dict[str, bytes] = {}
    run(folder, portrait, nod(13), memory=memory)
    steps = [sum(1 for _ in generated(folder, portrait, nod(13), SMALL, 12, dict(kept), POOL)) for kept in (memory, {})]
    assert steps[0] < steps[1] / 2
    assert len(memory) == 2, "memory does not grow with the shot"


def test_at_rest_it_is_the_photograph_and_near_it_hardly_less(folder, portrait):
    """Whatever the networks say – these have random weights."""
    motion = motion_of({}, {"angles": (0.1, 0, 0)}, {"angles": (8, 0, 0)})
    poses = poses_for(portrait.fit, motion)
    renderer = Reprojector(portrait, 160)
    frames = run(folder, portrait, motion)
    change = [np.abs(frames[i].astype(float) - renderer.render(pose)).mean() for i, pose in enumerate(poses)]
    assert change[0] == 0
    assert np.array_equal(frames[0], renderer.image)
    assert change[1] < 0.1 * change[2]


def test_the_inside_of_an_open_mouth_is_reprojected(hopper, tmp_path):
    """Networks, which are worse there, decide nothing of it; shut lips are theirs, and a mouth opens without a jump."""
    folder, settings = tiny(tmp_path, models.WITH_REFINER, 256), RenderSettings(engine="demo", size=256, framing="face")
    session, renderer = GeneratedSession(open_engine(folder), hopper, settings), Reprojector(hopper, 256, "face")
    opening = poses_for(hopper.fit, motion_of(*({"jawOpen": part} for part in np.linspace(0, 0.26, 14))))
    shares = [session._mouth(session.camera.project(renderer.pose_vertices(each))) for each in opening]
    assert shares[0].max() == 0 and shares[-1].max() == 1
    assert max(np.abs(one - other).max() for one, other in pairwise(shares)) < 0.65

    motion = motion_of({"angles": (8, 0, 0), "jawOpen": 0.5})
    pose = poses_for(hopper.fit, motion)[0]
    off = np.abs(run(folder, hopper, motion, settings)[0].astype(int) - renderer.render(pose)).max(2)
    left, top, right, bottom = renderer.view
    raster = rasterise(
        renderer.camera.project(renderer.pose_vertices(pose)) - [left, top, 0],
        renderer.projection.triangles,
        bottom - top,
        right - left,
    )
    inside = np.zeros(off.shape, bool)
    inside[renderer._part] = np.isin(renderer.projection.kind[raster.triangle], (MOUTH, TEETH)) & raster.covered
    deep = distance_transform_edt(inside) > 3
    assert deep.sum() > 100 and off[deep].max() <= 1 and np.median(off[~inside]) > 2


POSE, LOOK = {"angles": (8, 4, 2), "jawOpen": 0.3}, {"gaze": (15, 5)}


@pytest.mark.parametrize(
    ("decoder", "seed", "motion", "held"),
    [
        ("folder", 4, motion_of(*[POSE] * 6, {}), range(6)),  # at the start, across the border of clips of 4
        ("folder", 11, motion_of({}, {"angles": (4, 2, 1)}, *[POSE] * 4), range(2, 6)),  # in the middle and to the end
        ("plain_folder", 4, motion_of({}, *[LOOK] * 4), range(1, 5)),  # by the eyes alone
        ("folder", 4, motion_of({}, *[{"angles": (0.3, 0, 0)}] * 4), range(1, 5)),  # hardly off the photograph
    ],
    ids=["start", "middle", "gaze", "near rest"],
)
def test_a_held_pose_stands_still(decoder, seed, motion, held, portrait, request):
    folder, settings = request.getfixturevalue(decoder), RenderSettings(engine="demo", size=96, seed=seed)
    memory: dict[str, bytes] = {}
    frames = run(folder, portrait, motion, settings, memory=memory)
    assert [index for index in held if not np.array_equal(frames[index], frames[held[0]])] == []
    assert held[0] == 0 or not np.array_equal(frames[held[0]], frames[0])
    last = len(motion) - 1
    resumed = run(folder, portrait, motion, settings, start=last, memory=memory)
    assert np.array_equal(resumed[last], frames[last]), "also after it was resumed"


def test_the_shipped_model_holds_a_pose_to_the_pixel(hopper):
    """Hat badge, collar and glasses crept from frame to frame."""
    motion = open_motion(CASES / "held_pose.csv")
    found = generated(SHIPPED, hopper, motion, RenderSettings(engine="demo", size=192), pool=POOL)
    frames = list(itertools.islice((step.image for step in found if step is not None), 14))  # past the first border of clips
    assert np.abs(frames[1].astype(int) - frames[0]).max() > 30, "it is another pose than the photograph's"
    assert [np.abs(frame.astype(int) - frames[1]).max() for frame in frames[1:]] == [0] * 13


def test_a_nearly_held_pose_does_not_flicker(hopper):
    """Trembling by a twentieth of a degree, as a still head that is followed: frames change hardly more than the posed photograph."""
    random = np.random.default_rng(0)
    tremble = [{"angles": tuple(np.array([8, 4, 2]) + random.normal(0, 0.05, 3)), "jawOpen": 0.3} for _ in range(12)]
    motion, renderer = motion_of(*tremble), Reprojector(hopper, 192)
    posed = np.stack([renderer.render(pose) for pose in poses_for(hopper.fit, motion)]).astype(float)
    found = generated(SHIPPED, hopper, motion, RenderSettings(engine="demo", size=192), pool=POOL)
    frames = np.stack([step.image for step in found if step is not None]).astype(float)
    assert np.abs(np.diff(frames, axis=0)).mean() < 1.2 * np.abs(np.diff(posed, axis=0)).mean()


@pytest.mark.parametrize("decoder", ["folder", "plain_folder"])
def test_far_from_the_face_the_proxy_s_frame_is_untouched(decoder, portrait, request):
    folder = request.getfixturevalue(decoder)
    settings = RenderSettings(engine="demo", size=256)
    pose = poses_for(portrait.fit, nod(2))[1]
    generated = run(folder, portrait, nod(2), settings)[1]
    renderer = Reprojector(portrait, 256, "photo")
    proxy = renderer.render(pose)
    left, top, side = window_in(renderer.crop, choose_window(portrait, 32, "face"))
    outside = np.ones(proxy.shape[:2], bool)
    outside[top : top + side, left : left + side] = False
    assert outside.sum() > 2000
    assert np.array_equal(generated[outside], proxy[outside])
    edge = np.s_[top + 1 : top + side - 1, [left, left + side - 1]]
    assert np.abs(generated[edge].astype(int) - proxy[edge]).max() <= 2, "there is no seam"
    assert not np.array_equal(generated[~outside], proxy[~outside])


def test_a_drawing_in_flat_colours_is_reprojected_alone(folder):
    """Networks that know photographs alone draw pale stains around its outlines, and mottle its skin."""
    portrait, settings = Portrait.open(CASES / "cartoon.png"), RenderSettings(engine="demo", size=128)
    frame = run(folder, portrait, nod(2), settings)[1]
    np.testing.assert_array_equal(frame, Reprojector(portrait, 128).render(poses_for(portrait.fit, nod(2))[1]))


def test_transparent_frames_keep_their_alpha(folder, portrait):
    frame = run(folder, portrait, nod(2), RenderSettings(engine="demo", size=128, transparent=True))[1]
    assert frame.shape[2] == 4
    assert frame[..., 3].min() == 0 and frame[..., 3].max() == 255


def test_a_job_that_is_left_does_not_wait_for_frames_being_drawn(folder, portrait):
    session = GeneratedSession(open_engine(folder), portrait, RenderSettings(engine="demo", size=96))
    poses, drawn, release = poses_for(portrait.fit, nod(12)), session._drawn, threading.Event()

    def slow(pose):
        if np.array_equal(pose.rotation, poses[7].rotation):  # of the clip ahead
            assert release.wait(60)
        return drawn(pose)

    session._drawn = slow
    frames = session.shot(nod(12), 0, {})
    while next(frames) is None:
        pass
    frames.close()
    assert not release.is_set()
    release.set()
