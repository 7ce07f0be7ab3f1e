"""The refiner stage: learns errors, changes nothing else, resumes bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mimaface.data.samples import write_shard
from mimaface.data.synthetic import SyntheticConfig, make_samples
from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InvalidInput
from mimaface.training.loop import train
from mimaface.training.refining import RefinerStage, inputs_of, refiner_row
from model import conftest as models
from training_fixtures import settings, weights

DOWN = 3  # pixels by which the truth lies below its render
CONFIG = {"stage": "refiner", "batch": 3, "frames": 2, "learning_rate": 1e-2}


def tiny_model() -> MimaFaceModel:
    torch.manual_seed(1)
    return MimaFaceModel(models.tiny_configuration(image_size=64, **models.WITH_REFINER))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples whose true frames are their renders, moved and darkened: a learnable difference."""
    found = tmp_path_factory.mktemp("shards")
    samples = [
        replace(sample, driven=(0.8 * np.roll(sample.projected, DOWN, axis=1)).astype(np.uint8))
        for sample in make_samples(5, 0, 3, SyntheticConfig(size=64, frames=2), 1)
    ]
    write_shard(found / "a.tar", samples)
    return found


def stage(folder, config) -> RefinerStage:
    return RefinerStage(tiny_model(), config, folder, folder)


def test_it_learns_where_pixels_come_from_and_how_they_are_lit(tmp_path, folder):
    config = settings(**CONFIG, steps=60, evaluate_every=60)
    learner = stage(folder, config)
    with torch.no_grad():
        before, _ = learner.evaluate()
    assert before["psnr"] == pytest.approx(before["psnr_of_render"], abs=0.01), "a fresh one changes nothing"
    train(learner, config, tmp_path / "run")
    with torch.no_grad():
        after, sheet = learner.evaluate()
        inputs = inputs_of(learner.data.item(0, [0, 1]))
        inputs.pop("truth")
        change = learner.trainee.decoder(**inputs)
    assert after["psnr"] > before["psnr"] + 3
    assert sheet.shape == (3 * 64, 3 * 64, 3)
    assert change.gain.mean() < 0.95
    assert change.flow[:, 1].mean() < -0.5 and abs(change.flow[:, 0].mean()) < 0.5, "from above, not from the side"


def test_only_the_refiner_moves(tmp_path, folder):
    config = settings(**CONFIG)
    learner, before = stage(folder, config), tiny_model()
    train(learner, config, tmp_path / "run")
    saved = MimaFaceModel.from_pretrained(tmp_path / "run" / "model")
    for name, part in before.parts().items():
        same = np.array_equal(weights(part), weights(saved.parts()[name]))
        assert same == (name != "refiner"), name


def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(tmp_path, folder):
    config = settings(**CONFIG)
    whole = stage(folder, config)
    train(whole, config, tmp_path / "whole")
    first = stage(folder, config)
    original = first.batch

    def batch(step, places):
        if step == 4:  # right after the checkpoint of step 3
            raise KeyboardInterrupt
        return original(step, places)

    first.batch = batch
    with pytest.raises(KeyboardInterrupt):
        train(first, config, tmp_path / "broken")
    rest = stage(folder, config)
    assert train(rest, config, tmp_path / "broken") == 6
    assert np.array_equal(weights(rest.trainee), weights(whole.trainee))


def test_what_is_drawn_depends_on_the_sample_alone(folder):
    samples = list(make_samples(5, 0, 2, SyntheticConfig(size=64, frames=2), 1))
    engine = TorchEngine(tiny_model().eval())
    one, again, other = (refiner_row(engine, sample) for sample in (samples[0], samples[0], samples[1]))
    assert torch.equal(one["latents"], again["latents"])
    assert not torch.equal(one["latents"], other["latents"])
    assert one["normals"].shape == (2, 4, 64, 64) and one["provenance"].shape == (2, 3, 64, 64)
    assert one["latents"].shape == (2, 4, 32, 32)


def test_a_model_without_a_refiner_is_refused(folder):
    model = MimaFaceModel(models.tiny_configuration())
    with pytest.raises(InvalidInput, match="no refiner"):
        RefinerStage(model, settings(**CONFIG), folder, folder)
