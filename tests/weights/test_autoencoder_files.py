"""The KL-VAE as a folder and as a single file with latent diffusion's keys, compared with diffusers' own mapping."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors.torch import save_file
from torch import Tensor

from mimaface.model.instances import SD15_VAE
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights.autoencoder_files import from_latent_diffusion, read_autoencoder

SIZES = {
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "block_out_channels": (8, 8, 16),
    "layers_per_block": 2,
    "norm_num_groups": 4,
}


@pytest.fixture
def vae() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(**SIZES)


def original(weights: dict[str, Tensor], levels: int = 3) -> dict[str, Tensor]:
    """Maps diffusers' keys to those of the original file: an independent inverse."""
    ours = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    found = {}
    for key, value in weights.items():
        new = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        new = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", new)
        new = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}.block.{m[2]}", new)
        new = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", new)
        if "attentions" in new:
            for today, then in ours.items():
                new = new.replace(f"mid_block.attentions.0.{today}.", f"mid.attn_1.{then}.")
            value = value[:, :, None, None] if value.ndim == 2 else value
        found[new] = value
    return found


def test_every_original_key_finds_its_place(vae: AutoencoderKL) -> None:
    expected = vae.state_dict()
    theirs = original(expected)
    assert not set(theirs) & {key for key in expected if "block" in key}
    found = from_latent_diffusion(theirs)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_it_renames_as_diffusers_does(vae: AutoencoderKL) -> None:
    theirs = {f"first_stage_model.{key}": value for key, value in original(vae.state_dict()).items()}
    reference = convert_ldm_vae_checkpoint(dict(theirs), dict(vae.config))
    found = from_latent_diffusion({**theirs, "cond_stage_model.weight": torch.ones(2)})
    assert found.keys() == reference.keys()
    assert all(torch.equal(found[key], reference[key]) for key in found)


@pytest.mark.parametrize(
    "form", ["folder", "folder with .bin", "file.safetensors", "file.ckpt", "file with old names.safetensors"]
)
def test_all_forms_give_the_same(vae: AutoencoderKL, tmp_path: Path, form: str) -> None:
    expected = vae.state_dict()
    if form.startswith("folder"):
        vae.save_pretrained(tmp_path / "vae", safe_serialization="bin" not in form)
        path = tmp_path / "vae"
    else:
        path = tmp_path / form
        theirs = {key: value.contiguous() for key, value in original(expected).items()}
        if form.endswith(".ckpt"):
            torch.save({"state_dict": {**theirs, "loss.logvar": torch.zeros(())}, "epoch": 1}, path)
        elif "old" in form:
            save_file({key.replace(".to_q.", ".query."): value for key, value in expected.items()}, path)
        else:
            save_file(theirs, path)
    config, weights, file = read_autoencoder(path, SD15_VAE)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    assert file.is_file()
    assert (config == SD15_VAE) == (not form.startswith("folder"))
    if form.startswith("folder"):
        assert tuple(config["block_out_channels"]) == SIZES["block_out_channels"]


def test_two_weights_for_one_place_and_empty_folders_are_refused(vae: AutoencoderKL, tmp_path: Path) -> None:
    theirs = original(vae.state_dict())
    theirs["encoder.conv_norm_out.weight"] = theirs["encoder.norm_out.weight"]
    with pytest.raises(InvalidCheckpoint, match=r"encoder\.conv_norm_out\.weight"):
        from_latent_diffusion(theirs)
    with pytest.raises(InvalidCheckpoint, match=r"config\.json"):
        read_autoencoder(tmp_path, SD15_VAE)
