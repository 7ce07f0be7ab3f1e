"""The autoencoder stage: what its loss measures, which crops it draws, that it learns, and what it leaves behind."""

import numpy as np
import pytest
import torch
from PIL import Image

from mimaface.data.samples import write_shard
from mimaface.data.synthetic import SyntheticConfig, make_samples
from mimaface.model.family import MimaFaceModel
from mimaface.protocol.errors import InvalidInput
from mimaface.training.autoencoding import CROP, LEVELS, AutoencoderStage, laplacian
from mimaface.training.config import Losses
from mimaface.training.loop import train
from model import conftest as models
from training_fixtures import settings, weights

TINY = {
    "_class_name": "SmallAutoencoder", "latent_channels": 4, "widths": (12, 16), "encoder_blocks": (1, 1), "decoder_blocks": (1, 1),
}  # fmt: skip
BLUE = (10, 60, 250)  # no rendered head has this colour


def tiny_model() -> MimaFaceModel:
    torch.manual_seed(2)
    return MimaFaceModel(models.tiny_configuration(vae=TINY))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shard(folder / "a.tar", make_samples(5, 0, 3, SyntheticConfig(size=CROP + 8, frames=2), 1))
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for name, size in (("a.png", (CROP, CROP)), ("b.png", (3 * CROP + 5, 2 * CROP + 1))):
        Image.new("RGB", size, BLUE).save(folder / name)
    return folder


def stage(shards, photographs=None, **changes: object) -> AutoencoderStage:
    config = settings(**{"stage": "autoencoder", "batch": 4, "learning_rate": 3e-3, **changes})
    return AutoencoderStage(tiny_model(), config, shards, shards, photographs)


def test_bands_and_what_is_left_give_the_picture_back():
    images = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    bands = laplacian(images)
    assert [band.shape[-2:] for band in bands] == [(32, 48), (16, 24), (8, 12)]
    result = torch.nn.functional.avg_pool2d(images, 2**LEVELS)
    for band in reversed(bands):
        result = torch.nn.functional.interpolate(result, scale_factor=2.0, mode="bilinear", align_corners=False) + band
    assert torch.allclose(result, images, atol=1e-5)
    assert all(band.abs().max() < 1e-6 for band in laplacian(torch.full((1, 3, 16, 16), 0.3))), "an even picture has none"


def test_crops_depend_on_seed_step_and_place_alone(shards, photographs):
    learner = stage(shards, photographs)
    whole, halves = learner.batch(3, range(8)), [learner.batch(3, places) for places in (range(4), range(4, 8))]
    for name, value in whole.tensors.items():
        assert torch.equal(value, torch.cat([half.tensors[name] for half in halves]))
    assert whole.names == halves[0].names + halves[1].names
    assert whole.tensors["images"].shape == (8, 3, CROP, CROP)
    assert whole.tensors["noise"].shape == (8, 4, CROP // 4, CROP // 4), (
        "the tiny autoencoder's latents have a quarter of the side"
    )
    assert not torch.equal(whole.tensors["images"], learner.batch(4, range(8)).tensors["images"])
    assert not torch.equal(whole.tensors["images"], stage(shards, photographs, seed=6).batch(3, range(8)).tensors["images"])


def test_the_share_of_photographs_is_the_recipe_s_and_only_they_are_tinted(shards, photographs):
    losses = Losses(photographs=0.25)
    learner = stage(shards, photographs, losses=losses)
    batch = learner.batch(0, range(200))
    taken = [name.startswith("photograph") for name in batch.names]
    assert 0.15 < np.mean(taken) < 0.35
    assert {name for name in batch.names if name.startswith("photograph")} == {"photograph 0", "photograph 1"}
    colours = (batch.tensors["images"][taken] + 1) * 127.5
    assert torch.equal(colours.amax((2, 3)), colours.amin((2, 3))), "crops of an even photograph are even, at every scale"
    gains = colours.mean((2, 3)) / torch.tensor(BLUE)
    assert gains[:, 1].min() > 0.65 and gains[:, 1].max() < 1.35 and gains[:, 1].std() > 0.1
    originals = {f"render {number}": picture for number, picture in enumerate(learner.rendered)}
    shown = ((batch.tensors["images"][taken.index(False)] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    original = originals[batch.names[taken.index(False)]]
    assert any(
        np.abs(shown[:, ::step] - original[top : top + CROP, left : left + CROP]).max() == 0
        for top in range(9) for left in range(9) for step in (1, -1)
    ), "a render's crop has its very pixels, perhaps mirrored"  # fmt: skip
    assert all(name.startswith("render") for name in stage(shards).batch(0, range(20)).names)


def test_it_learns_and_leaves_normalised_latents(tmp_path, shards):
    learner = stage(shards, steps=40, evaluate_every=40)
    with torch.no_grad():
        before, _ = learner.evaluate()
    frozen = weights(learner.model.unet)
    assert train(learner, learner.config, tmp_path / "run") == 40
    saved = MimaFaceModel.from_pretrained(tmp_path / "run" / "model")
    with torch.no_grad():
        after, sheet = learner.evaluate()
        latents = torch.cat([saved.vae.encode(_tensor(picture)).latents for picture in learner.rendered])
        shown = saved.vae.decode(saved.vae.encode(_tensor(learner.held_out[0])).latents).sample
    assert after["psnr"] > before["psnr"] + 3
    assert sheet.shape == (2 * (CROP + 8), 3 * (CROP + 8), 3)
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3 and (latents.std((0, 2, 3)) - 1).abs().max() < 1e-3
    error = ((shown.clamp(-1, 1) - _tensor(learner.held_out[0])) / 2).square().mean()
    assert -10 * error.log10() > before["psnr"] + 2, "normalised latents are decoded to the same picture"
    assert np.array_equal(weights(saved.unet), frozen), "no other network is trained"


def test_what_cannot_be_trained_on_is_said(tmp_path, shards):
    pretrained = MimaFaceModel(models.tiny_configuration())
    with pytest.raises(InvalidInput, match="tiny has a pretrained autoencoder"):
        AutoencoderStage(pretrained, settings(stage="autoencoder"), shards, shards, None)
    Image.new("RGB", (CROP, CROP - 1)).save(tmp_path / "small.png")
    with pytest.raises(InvalidInput, match=rf"photograph 0 has {CROP} × {CROP - 1} pixels.*{CROP} on each side"):
        stage(shards, tmp_path)
    write_shard(tmp_path / "a.tar", make_samples(5, 0, 1, SyntheticConfig(size=64, frames=1), 1))
    with pytest.raises(InvalidInput, match=r"render 0 has 64 × 64 pixels"):
        stage(tmp_path)


def _tensor(picture: np.ndarray) -> torch.Tensor:
    """RGB (S, S, 3), 0–255 → (1, 3, S, S) in [−1, 1]."""
    return torch.from_numpy(picture.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
