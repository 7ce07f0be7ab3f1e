"""A fake release: every published file with the right names, keys and shapes, of any size, filled with golden weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, AutoencoderTiny
from safetensors.numpy import load_file
from safetensors.torch import save_file
from scipy.io import savemat
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from mimaface.basel.curricularface import CurricularFace, CurricularFaceConfig
from mimaface.basel.reconstruction import ReconstructionConfig, ReconstructionNet
from mimaface.evaluation.golden import fill_networks
from mimaface.model.appearance import build_appearance, to_released
from mimaface.model.checkpoint import without_memory
from mimaface.model.config import SamplerConfig, Signal
from mimaface.model.instances import RELEASED_SD15
from mimaface.model.motion_unet import build_motion_unet, is_temporal, to_animatediff
from mimaface.weights.convert import Release

GOLDEN = Path(__file__).parent / "golden"
FACES = CurricularFaceConfig((4, 8, 12, 16), (1, 2, 1, 1), 16, 32)
SMALL = Release(
    RELEASED_SD15.but(
        image_size=32,
        unet={**RELEASED_SD15.unet, "block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 48, "sample_size": 16},
        vae={
            "_class_name": "AutoencoderKL",
            "down_block_types": ("DownEncoderBlock2D",) * 2,
            "up_block_types": ("UpDecoderBlock2D",) * 2,
            "block_out_channels": (8, 16),
            "latent_channels": 4,
            "norm_num_groups": 4,
        },
        vision={
            "hidden_size": 20,
            "intermediate_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "hidden_act": "quick_gelu",
        },
        appearance=replace(
            RELEASED_SD15.appearance,
            signals=(Signal("identity", FACES.deep_size), *RELEASED_SD15.appearance.signals[1:]),
            token_width=20,
            context_width=48,
            modulation_heads=2,
        ),
        clip_length=4,
        overlap=1,
        sampler=SamplerConfig(steps=2),
    ),
    ReconstructionConfig(4, (1, 2, 1, 1), 64),
    FACES,
)
# The U-Net with two of its four levels and one layer in each: the same kinds of weights, in a quarter of the time
LEVELS = {
    "down_block_types": SMALL.base.unet["down_block_types"][2:],
    "up_block_types": SMALL.base.unet["up_block_types"][:2],
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
}
TINY = replace(SMALL, base=SMALL.base.but(unet={**SMALL.base.unet, **LEVELS}))


def filled(weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Values by the golden rule for every key; tables that the rule leaves out stay as they are."""
    done: dict[str, Tensor] = {}
    for key, value in weights.items():  # one by one, so that a full-size network is never whole in float32
        made = fill_networks({key: tuple(value.shape)}).get(key, value)
        done[key] = made.to(dtype) if made.is_floating_point() else made
    return done


def unet_2d_config(unet: Mapping[str, Any]) -> dict[str, Any]:
    """The config.json that diffusers' 2-D U-Net of the same sizes has; SD v1 calls its number of heads attention_head_dim."""
    config = {key: unet[key] for key in ("sample_size", "in_channels", "out_channels", "block_out_channels", "layers_per_block")}
    config |= {key: unet[key] for key in ("cross_attention_dim", "norm_num_groups")}
    config |= {"_class_name": "UNet2DConditionModel", "attention_head_dim": unet["num_attention_heads"]}
    blocks = {key: [str(name).replace("Motion", "2D") for name in unet[key]] for key in ("down_block_types", "up_block_types")}
    return config | blocks


def save(weights: Mapping[str, Tensor], path: Path, prefix: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {prefix + key: value for key, value in weights.items()}
    if path.suffix == ".safetensors":
        save_file(content, path, metadata={"format": "pt"})
    else:
        torch.save(content, path)


def write_release(
    folder: Path, release: Release = TINY, dtype: torch.dtype = torch.float32, unet_file: str = "unet.pth"
) -> Path:
    """The published folder, and ``sd-vae-ft-mse`` beside it. Returns the folder."""
    base, image, video = release.base, folder / "checkpoints" / "image" / "pretrained_unet", folder / "checkpoints" / "video"

    def shapes(module: nn.Module) -> dict[str, Tensor]:
        return dict(module.state_dict())

    unet = to_animatediff(shapes(without_memory(lambda: build_motion_unet(base.unet))))
    whole = filled(unet, dtype)
    save({key: value for key, value in whole.items() if not is_temporal(key)}, image / unet_file)
    (image / "config.json").write_text(json.dumps(unet_2d_config(base.unet)))
    whole["conv_in.weight"] = whole["conv_in.weight"] * 2  # stage 2 trains W_cond: this one must be taken
    whole["conv_out.bias"] = whole["conv_out.bias"] + 1  # and this one must not
    save(whole, video / "3dunet.pth")
    del whole
    appearance = to_released(shapes(without_memory(lambda: build_appearance(base.appearance))))
    save(filled(appearance, dtype), video / "mim.pth")
    vision_config = CLIPVisionConfig(**base.vision)
    torch.manual_seed(0)
    CLIPVisionModel(vision_config).to(dtype).save_pretrained(video / "vision_encoder")
    save(
        filled(shapes(without_memory(lambda: ReconstructionNet(release.reconstruction)))),
        folder / "models" / "D3DFR" / "netG_epoch_25.pth",
        "module.",
    )
    face = {key.removeprefix("model."): value for key, value in load_file(GOLDEN / "bfm.safetensors").items() if "model." in key}
    savemat(folder / "models" / "D3DFR" / "BFM09_model_info.mat", face, do_compression=True)
    save(
        filled(shapes(without_memory(lambda: CurricularFace(release.identity)))),
        folder / "models" / "ArcFace" / "CurricularFace_Backbone.pth",
        "module.",
    )
    AutoencoderKL(**{k: v for k, v in base.vae.items() if k != "_class_name"}).to(dtype).save_pretrained(folder / "sd-vae-ft-mse")
    return folder


def write_taesd(folder: Path) -> Path:
    """A tiny TAESD of the published keys, whose latents are those of the tiny release. Returns the folder."""
    sizes = {"encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8), "num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoencoderTiny(**sizes).save_pretrained(folder)
    return folder
