"""Miniature hub folders of Stable Diffusion, CLIP, a KL-VAE and AnimateDiff, written by their libraries."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionModel

from mimaface.cli import main
from mimaface.cli.train import add_arguments, opened
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import INSTANCES, PAPER_SD15
from mimaface.model.motion_unet import to_animatediff
from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.weights.start_paper import start_paper

WEIGHTS = "diffusion_pytorch_model.safetensors"
BASE = PAPER_SD15.but(
    unet={**PAPER_SD15.unet, "cross_attention_dim": 24},
    vision={**PAPER_SD15.vision, "hidden_size": 32},
    appearance=replace(PAPER_SD15.appearance, token_width=32, context_width=24),
)
VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 9,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@dataclass
class Hub:
    """Four folders and the weights written to them."""

    root: Path
    unet: UNet2DConditionModel
    clip: CLIPModel
    vae: AutoencoderKL
    motion: MotionAdapter

    def start(self, motion: str | None = "animatediff", **options: object) -> MimaFaceModel:
        paths = [self.root / name for name in ("sd", "clip", "vae")]
        return start_paper(*paths, None if motion is None else self.root / motion, base=BASE, **options)  # type: ignore[arg-type]


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    clip = CLIPModel(CLIPConfig(vision_config=VISION, text_config=TEXT))
    vae = AutoencoderKL(block_out_channels=(8,), latent_channels=4, norm_num_groups=4)
    motion = MotionAdapter(
        block_out_channels=(16, 32),
        motion_layers_per_block=1,
        motion_norm_num_groups=8,
        motion_num_attention_heads=4,
        use_motion_mid_block=False,
    )
    unet.save_pretrained(tmp_path / "sd" / "unet")
    clip.save_pretrained(tmp_path / "clip")
    vae.save_pretrained(tmp_path / "vae")
    motion.save_pretrained(tmp_path / "animatediff")
    return Hub(tmp_path, unet, clip, vae, motion)


def test_every_weight_arrives_and_new_input_columns_are_zero(hub: Hub) -> None:
    model = hub.start()
    found = model.unet.state_dict()
    assert {block.attn1.heads for part in model.unet.motion_parts() for block in part.transformer_blocks} == {4}
    assert model.unet.mid_block.attentions[0].transformer_blocks[0].attn1.heads == 8, "SD v1 calls its number of heads attention_head_dim"
    for key, value in hub.unet.state_dict().items():
        assert torch.equal(found[key][:, :4] if key == "conv_in.weight" else found[key], value), key
    assert not found["conv_in.weight"][:, 4:].any()
    for key, value in hub.motion.state_dict().items():
        assert key.endswith(".pe") or torch.equal(found[key], value), key
    assert all(torch.equal(a, b) for a, b in zip(model.vae.parameters(), hub.vae.parameters()))
    images = torch.randn(1, 3, 28, 28)
    expected = hub.clip.vision_model(images)
    assert torch.allclose(model.vision.eval()(images).tokens, expected.last_hidden_state, atol=1e-6)
    assert not any(value.is_meta for value in (*model.parameters(), *model.buffers()))


def test_training_from_the_command_line_starts_there(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(INSTANCES, "paper-sd15", BASE)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    command = ["image", "--model", "paper-sd15", "--data", "d", "--held-out", "h", "--out", "o", "--steps", "1"]
    parts = {"--stable-diffusion": "sd", "--clip": "clip", "--vae": "vae", "--motion-modules": "animatediff"}
    model = opened(
        parser.parse_args([*command, *(str(word) for option, name in parts.items() for word in (option, hub.root / name))])
    )
    expected = hub.start().state_dict()
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "paper-sd15"], r"--stable-diffusion, --clip, --vae missing.*--clip FOLDER \(CLIP ViT-L/14\)"),
        (["--model", "paper-sd15", "--clip", "c", "--vae", "v"], r"weights: --stable-diffusion missing"),
        (["--model", "paper-sd15", "--clip", "c", "--vae", "v", "--stable-diffusion", "s"], r"s/unet"),
        (["--model", "released-sd15"], r"released-sd15 cannot be trained from nothing.*demo, paper-sd15 or the folder"),
        (["--model", "nowhere"], r"nowhere is no model and no folder"),
        (["--clip", "c"], r"--clip is for paper-sd15, not demo"),
    ],
)
def test_training_without_what_it_needs_says_what_to_give(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--data", str(tmp_path), "--held-out", str(tmp_path), "--out", str(tmp_path / "out"), "--steps", "1"]
    assert main(["train", "image", *folders, *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert re.search(words, said) and len(said.splitlines()) == 1, said


def test_the_started_model_can_be_saved_and_loaded(hub: Hub, tmp_path: Path) -> None:
    model = hub.start()
    model.save_pretrained(tmp_path / "saved")
    loaded = MimaFaceModel.from_pretrained(tmp_path / "saved")
    assert loaded.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters()))


def test_new_appearance_weights_come_from_the_seed_alone(hub: Hub) -> None:
    first = hub.start(seed=1).appearance.state_dict()
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    again, other = hub.start(seed=1).appearance.state_dict(), hub.start(seed=2).appearance.state_dict()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["tokens.weight"], other["tokens.weight"])


def test_without_animatediff_the_motion_modules_are_silent(hub: Hub) -> None:
    unet = hub.start(motion=None).unet
    assert all(not part.proj_out.weight.any() and part.proj_in.weight.any() for part in unet.motion_parts())


@pytest.mark.parametrize("name", ["v3_sd15_mm.safetensors", "v3_sd15_mm.ckpt"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_original_animatediff_file_gives_the_same_as_the_folder(hub: Hub, name: str, prefix: str) -> None:
    original = {prefix + key: value.clone() for key, value in to_animatediff(hub.motion.state_dict()).items()}
    if name.endswith("ckpt"):
        torch.save({"state_dict": original}, hub.root / name)
    else:
        save_file(original, hub.root / name)
    found = hub.start(motion=name).unet.state_dict()
    assert all(torch.equal(found[key], value) for key, value in hub.motion.state_dict().items() if ".pe" not in key)


def test_the_vision_half_of_clip_may_come_alone_or_with_old_names(hub: Hub) -> None:
    expected = hub.start().vision.state_dict()
    CLIPVisionModel.from_pretrained(hub.root / "clip").save_pretrained(hub.root / "clip")
    path = hub.root / "clip" / "model.safetensors"
    for prefix in ("", "vision_model."):
        weights = {prefix + key.removeprefix("vision_model."): value for key, value in load_file(path).items()}
        weights[f"{prefix}embeddings.position_ids"] = torch.arange(5)[None]
        save_file({key: value.clone() for key, value in weights.items()}, path, metadata={"format": "pt"})
        found = hub.start().vision.state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_the_old_names_of_the_vae_attention_are_understood(hub: Hub) -> None:
    path = hub.root / "vae" / WEIGHTS
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {
        re.sub(r"(attentions\.0\.)(to_q|to_k|to_v|to_out\.0)\.", lambda m: f"{m[1]}{new[m[2]]}.", key): value.clone()
        for key, value in load_file(path).items()
    }
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in old
    save_file(old, path)
    assert all(torch.equal(a, b) for a, b in zip(hub.start().vae.parameters(), hub.vae.parameters()))


@pytest.mark.parametrize("name", [f"sd/unet/{WEIGHTS}", "clip/model.safetensors", f"vae/{WEIGHTS}", f"animatediff/{WEIGHTS}"])
@pytest.mark.parametrize("damage", ["missing", "unexpected"])
def test_missing_and_unexpected_weights_are_named_with_their_file(hub: Hub, name: str, damage: str) -> None:
    path = hub.root / name
    weights = {key: value.clone() for key, value in load_file(path).items()}
    key = sorted(key for key in weights if key.endswith("bias") and not key.startswith("text"))[0]
    if damage == "missing":
        del weights[key]
    else:
        key = "down_blocks.0.motion_modules.7.stray" if "animatediff" in name else "stray"
        weights[key] = torch.ones(2)
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(InvalidCheckpoint) as caught:
        hub.start()
    assert key.removeprefix("vision_model.") in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_adapter_with_motion_in_the_middle_is_refused(hub: Hub) -> None:
    MotionAdapter(block_out_channels=(16, 32), motion_layers_per_block=1, motion_norm_num_groups=8).save_pretrained(
        hub.root / "animatediff"
    )
    with pytest.raises(InvalidCheckpoint, match="middle"):
        hub.start()


def test_weights_are_converted_on_request(hub: Hub) -> None:
    assert {value.dtype for value in hub.start(dtype=torch.bfloat16).parameters()} == {torch.bfloat16}
