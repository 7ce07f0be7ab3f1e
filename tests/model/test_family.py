"""The whole model: folder round trip, rejected damage, batches equal to single runs, affinity between clips and resumption."""

import json

import numpy as np
import pytest
import torch

from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.family import MimaFaceModel
from mimaface.model.motion_unet import Affinity
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.sampling.clips import ClipPlan
from mimaface.sampling.sampler import ClipInputs, generate_clips

from .conftest import signals, tokens

SIDE = 4


@pytest.fixture
def folder(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def shot(frames: int, seed: int = 0):
    """Returns conditions and signals of each frame of a shot, in the form that ``generate_clips`` requests."""
    generator = torch.Generator().manual_seed(seed)
    conditions = {"render": torch.randn(frames, 4, SIDE, SIDE, generator=generator)}
    motion = {name: value[0] for name, value in signals(1, frames, seed).items()}

    def inputs(clip) -> ClipInputs:
        chosen = list(clip.frames)
        return ClipInputs({n: v[chosen] for n, v in conditions.items()}, {n: v[chosen] for n, v in motion.items()})

    return inputs


def one(values):
    return type(values)(*(value[:1] for value in values))


def finished(clips):
    return [clip for clip in clips if clip is not None]


def test_a_folder_comes_back_the_same(tiny_model, folder):
    loaded = MimaFaceModel.from_pretrained(folder)
    expected = tiny_model.state_dict()
    assert loaded.config == tiny_model.config
    assert loaded.state_dict().keys() == expected.keys()
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "MimaFaceModel"


def test_damaged_folders_are_refused_with_names(folder):
    weights = next((folder / "unet").glob("*.safetensors"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidCheckpoint, match="unet"):
        MimaFaceModel.from_pretrained(folder)
    from safetensors.torch import load, save

    tensors = load(whole)
    tensors["conv_in.wait"] = tensors.pop("conv_in.weight")
    weights.write_bytes(save(tensors))
    with pytest.raises(InvalidCheckpoint, match=r"conv_in\.weight"):
        MimaFaceModel.from_pretrained(folder)
    tensors["conv_in.weight"] = tensors.pop("conv_in.wait")[:, :-1].contiguous()
    weights.write_bytes(save(tensors))
    with pytest.raises(InvalidCheckpoint, match=r"conv_in\.weight"):
        MimaFaceModel.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(InvalidCheckpoint):
        MimaFaceModel.from_pretrained(folder)


@torch.inference_mode()
def test_a_batch_equals_the_identities_one_by_one(tiny_model):
    generator = torch.Generator().manual_seed(5)
    noisy = torch.randn(2, 4, 3, SIDE, SIDE, generator=generator)
    conditions = {"render": torch.randn(2, 4, 3, SIDE, SIDE, generator=generator)}
    affinity = Affinity(torch.randn(2, 4, 3, SIDE, SIDE, generator=generator), torch.ones(2, 1, 3, SIDE, SIDE))
    source, motion = tokens(2), signals(2, 3)
    together = tiny_model.network(noisy, torch.tensor(400.0), conditions, affinity, tiny_model.context(source, motion))
    for index in range(2):
        mine = slice(index, index + 1)
        context = tiny_model.context(type(source)(*(v[mine] for v in source)), {n: v[mine] for n, v in motion.items()})
        alone = tiny_model.network(
            noisy[mine],
            torch.tensor(400.0),
            {n: v[mine] for n, v in conditions.items()},
            Affinity(*(v[mine] for v in affinity)),
            context,
        )
        torch.testing.assert_close(together[mine], alone, rtol=1e-4, atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 0.01


def test_clips_cover_the_shot_hand_over_and_resume_exactly(tiny_model):
    engine, plan = TorchEngine(tiny_model), ClipPlan(7, 4, 2)
    inputs = shot(7)
    source = one(tokens(1))
    steps = list(generate_clips(engine, plan, source, inputs, seed=3, steps=2, guidance=1.5))
    clips = finished(steps)
    assert len(steps) - len(clips) == 2 * len(plan), "it yields after every denoising step"
    assert [frame for clip in clips for frame in clip.clip.new] == list(range(7))
    resumed = finished(generate_clips(engine, plan, source, inputs, 3, steps=2, guidance=1.5, first=1, previous=clips[0].tail(2)))
    for before, after in zip(clips[1:], resumed):
        torch.testing.assert_close(after.latents, before.latents, rtol=0, atol=0)
    with pytest.raises(InvalidInput, match="needs the 2 latents"):
        finished(generate_clips(engine, plan, source, inputs, 3, first=1))


def test_the_clip_before_matters_only_through_w_cond(tiny_model):
    engine, plan = TorchEngine(tiny_model), ClipPlan(6, 4, 2)
    inputs, source = shot(6), one(tokens(1))
    other = torch.randn(2, 4, SIDE, SIDE, generator=torch.Generator().manual_seed(8))

    def second(previous):
        return finished(generate_clips(engine, plan, source, inputs, 1, steps=2, guidance=1.0, first=1, previous=previous))[
            0
        ].latents

    assert (second(other) - second(-other)).abs().max() > 1e-3
    with torch.no_grad():
        tiny_model.unet.conv_in.weight[:, -tiny_model.config.affinity_channels :] = 0
    torch.testing.assert_close(second(other), second(-other), rtol=0, atol=0)


def test_the_seed_changes_the_noise_of_every_clip(tiny_model):
    engine, plan = TorchEngine(tiny_model), ClipPlan(6, 4, 2)
    inputs, source = shot(6), one(tokens(1))
    a, b, again = (finished(generate_clips(engine, plan, source, inputs, seed, steps=1, guidance=1.0)) for seed in (1, 2, 1))
    for first, second, third in zip(a, b, again):
        assert (first.latents - second.latents).abs().max() > 0.1
        np.testing.assert_array_equal(first.latents.numpy(), third.latents.numpy())
