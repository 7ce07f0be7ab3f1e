"""Conditions of one sample and pose are bitwise equal in training, evaluation and inference, and in the right channels."""

import numpy as np
import pytest
import torch

from conftest import nod
from mimaface.data.samples import Sample
from mimaface.engines.torch_engine import TorchEngine
from mimaface.evaluation import evaluate
from mimaface.face.pose import motion_signals, poses_for
from mimaface.face.renders import PLAIN_LIGHT, render_albedo, render_normals
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import generated_session
from mimaface.renderers.generated_session import GeneratedSession
from mimaface.sampling.conditions import FRAME_CONDITIONS, PORTRAIT_CONDITIONS, Conditions, blanked, is_reprojected
from mimaface.training.denoising import stored_conditions
from mimaface.training.latents import LatentStore, _write_rows, conditions_of
from mimaface.training.latents import row_of as stored_row
from training_fixtures import models

SIZE, FRAMES = 64, 3


@pytest.fixture(scope="module", params=["reprojected", "plain"])
def engine(request):
    """A model with random weights conditioned on the reprojection, and one on the paper's plain render."""
    parts = models.WITH_REFINER if request.param == "reprojected" else {}
    torch.manual_seed(0)
    return TorchEngine(MimaFaceModel(models.tiny_configuration(image_size=SIZE, guidance=1.0, **parts)).eval())


@pytest.fixture(scope="module")
def session(engine, portrait):
    return GeneratedSession(engine, portrait, RenderSettings(engine="demo", size=SIZE, framing="face"))


@pytest.fixture(scope="module")
def sample(session, portrait) -> Sample:
    """Returns the frames of a shot in the form of a data set."""
    poses, renderer, fit = poses_for(portrait.fit, nod(FRAMES)), session.renderer, portrait.fit
    posed = [renderer.posed(pose) for pose in poses]
    return Sample(
        "key", "person", np.ascontiguousarray(renderer.image),
        driven=np.stack([each.picture for each in posed]),
        projected=np.stack([each.picture for each in posed]),
        provenance=np.stack([each.provenance for each in posed]),
        albedo=np.stack([render_albedo(fit.identity, pose, session.camera, PLAIN_LIGHT) for pose in poses]),
        normals=np.stack([render_normals(each.vertices, session.camera) for each in posed]),
        source_normals=render_normals(renderer.projection.still, session.camera),
        signals=motion_signals(poses, fit), identity=np.zeros(80, np.float32), box=np.zeros((FRAMES, 4), np.float32), rate=24.0,
    )  # fmt: skip


def in_use(session, monkeypatch) -> dict[str, torch.Tensor]:
    """Returns the U-Net's conditions that the renderer passes to the sampler."""
    return given(monkeypatch, generated_session, lambda: next(session.shot(nod(FRAMES), 0, {})))


def given(monkeypatch, module, run) -> dict[str, torch.Tensor]:
    """Returns the conditions of the first clip that a module passes to the sampler."""
    found, real = [], module.generate_clips

    def watched(engine, plan, tokens, inputs, *rest, **options):
        found.append(inputs(plan[0]))
        return real(engine, plan, tokens, inputs, *rest, **options)

    monkeypatch.setattr(module, "generate_clips", watched)
    run()
    return found[0].conditions


def test_training_evaluation_and_use_are_given_the_same_to_the_bit(engine, session, sample, monkeypatch):
    names = [name for name, _ in engine.config.conditions]
    used = in_use(session, monkeypatch)
    trained = conditions_of(engine.encode_images, sample, engine.config).channels(names)
    evaluated = given(monkeypatch, evaluate, lambda: evaluate.model_generator(engine)(sample))
    assert set(used) == set(trained) == set(evaluated) == set(names)
    for name in names:
        assert torch.equal(used[name], trained[name]), name
        assert torch.equal(used[name], evaluated[name]), name
    assert used["render"][0].ne(used["render"][1]).any(), "frames differ"


def test_the_refiner_is_given_the_same_to_the_bit(engine, session, sample, portrait):
    poses = poses_for(portrait.fit, nod(FRAMES))
    used = Conditions.joined([session._conditioned(session._drawn(pose), 0).conditions for pose in poses])
    trained = conditions_of(engine.encode_images, sample, engine.config)
    latents = torch.randn(trained.latents.shape)
    ours, theirs = used.refiner_inputs(latents), trained.refiner_inputs(latents)
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def test_what_is_stored_for_training_differs_by_half_precision_alone(engine, sample, tmp_path, monkeypatch):
    path = tmp_path / "rows.safetensors"
    monkeypatch.setattr("mimaface.training.latents.read_shards", lambda paths: [sample])
    _write_rows(tmp_path, path, stored_row(engine.encode_images, engine.config))
    store = LatentStore([path])
    row = {name: value[None] for name, value in store.item(0, list(range(FRAMES))).items()}
    exact = conditions_of(engine.encode_images, sample, engine.config).channels((*FRAME_CONDITIONS, *PORTRAIT_CONDITIONS))
    for name, value in stored_conditions(row).items():
        assert torch.equal(value[0].transpose(0, 1), exact[name].half().float()), name


def test_the_ablation_blanks_the_posed_head_and_nothing_else(engine, sample):
    every = conditions_of(engine.encode_images, sample, engine.config).channels((*FRAME_CONDITIONS, *PORTRAIT_CONDITIONS))
    without = blanked(every)
    assert all(without[name].eq(0).all() for name in FRAME_CONDITIONS)
    assert all(torch.equal(without[name], every[name]) for name in PORTRAIT_CONDITIONS)


def test_the_render_is_the_kind_that_the_model_was_trained_on(engine, sample):
    field = sample.projected if is_reprojected(engine.config) else sample.albedo
    found = conditions_of(engine.encode_images, sample, engine.config).picture
    assert np.array_equal(((found + 1) * 127.5).round().numpy().astype(np.uint8), np.moveaxis(field, -1, 1))
