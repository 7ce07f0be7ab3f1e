from __future__ import annotations

import pytest
import torch

from mimaface.model.autoencoder import (
    SmallAutoencoder,
    build_autoencoder,
    decode_latents,
    downsampling,
    encode_images,
)
from mimaface.model.instances import DEMO
from mimaface.protocol.errors import InternalError, InvalidCheckpoint

from .conftest import awaken, tiny_configuration

TINY_TAESD = {
    "_class_name": "AutoencoderTiny",
    "encoder_block_out_channels": (8, 8),
    "decoder_block_out_channels": (8, 8),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
    "latent_channels": 4,
}
TINY_SMALL = {
    "_class_name": "SmallAutoencoder",
    "latent_channels": 3,
    "widths": (8, 12),
    "encoder_blocks": (1, 1),
    "decoder_blocks": (1, 1),
}


@pytest.mark.parametrize(
    ("config", "factor", "channels"),
    [(tiny_configuration().vae, 2, 4), (TINY_TAESD, 2, 4), (TINY_SMALL, 4, 3), (DEMO.vae, 8, 16)],
)
def test_shapes_of_every_class(config: dict[str, object], factor: int, channels: int) -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(config).eval()
    images = torch.rand(2, 3, 32, 64) * 2 - 1
    with torch.no_grad():
        latents = encode_images(autoencoder, images)
        decoded = decode_latents(autoencoder, latents)
    assert downsampling(autoencoder) == factor
    assert latents.shape == (2, channels, 32 // factor, 64 // factor)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1


def test_the_kl_latents_are_the_scaled_mode_and_so_deterministic() -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(tiny_configuration().vae).eval()
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        latents = encode_images(autoencoder, images)
        assert torch.equal(latents, encode_images(autoencoder, images))
        mean = autoencoder.encode(images).latent_dist.mean
    assert torch.allclose(latents, mean * autoencoder.config.scaling_factor)


def test_measured_statistics_normalise_the_latents_and_do_not_change_the_picture() -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(TINY_SMALL).eval()
    assert isinstance(autoencoder, SmallAutoencoder)
    awaken(autoencoder)
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        autoencoder.set_statistics(torch.zeros(3), torch.ones(3))
        raw = encode_images(autoencoder, images)
        before = decode_latents(autoencoder, raw)
        autoencoder.set_statistics(raw.mean(dim=(0, 2, 3)), raw.std(dim=(0, 2, 3)))
        latents = encode_images(autoencoder, images)
        after = decode_latents(autoencoder, latents)
    assert torch.allclose(latents.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-4)
    assert torch.allclose(before, after, atol=1e-5)


def test_the_small_autoencoder_learns() -> None:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(TINY_SMALL)
    optimizer = torch.optim.AdamW(autoencoder.parameters(), 3e-3)
    images = torch.nn.functional.interpolate(torch.rand(4, 3, 4, 4) * 2 - 1, (32, 32), mode="bicubic").clamp(-1, 1)
    losses = []
    for _ in range(60):
        loss = (autoencoder.decode(autoencoder.encode(images).latents).sample - images).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.3 * losses[0]


def test_overflow_is_reported_not_drawn() -> None:
    autoencoder = build_autoencoder(TINY_SMALL)
    with pytest.raises(InternalError, match="not finite"), torch.no_grad():
        decode_latents(autoencoder, torch.full((1, 3, 4, 4), float("nan")))


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(InvalidCheckpoint, match="AutoencoderMystery"):
        build_autoencoder({"_class_name": "AutoencoderMystery"})
