"""Named instances of the model family: ``paper-sd15``, ``released-sd15`` and ``demo``; no torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mimaface.protocol.errors import InvalidInput

from .config import AppearanceConfig, MimaFaceConfig, Quality, RefinerConfig, SamplerConfig, Signal

SD15_UNET: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 13,
    "out_channels": 4,
    "down_block_types": ("CrossAttnDownBlockMotion",) * 3 + ("DownBlockMotion",),
    "up_block_types": ("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * 3,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "num_attention_heads": 8,
    "norm_num_groups": 32,
    "motion_num_attention_heads": 8,
    "motion_max_seq_length": 32,
    "use_motion_mid_block": False,
}
SD15_VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}
CLIP_VIT_LARGE: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
}

# Rotation: yaw, pitch, roll in radians; translation: metres, camera frame; expression: the 52 ARKit blendshapes; gaze: [subject's
# left, right eye] × [yaw, pitch] in radians. The factors scale typical values to about unit size.
ANNY_SIGNALS = (
    Signal("rotation", 3, 3.0),
    Signal("translation", 3, 10.0),
    Signal("expression", 52, 2.0),
    Signal("gaze", 4, 4.0),
)
# Spec 1.8.1: the order of the released tokens, raw values.
RELEASED_SIGNALS = (
    Signal("identity", 25088),
    Signal("gaze", 4),
    Signal("expression", 64),
    Signal("albedo", 80),
    Signal("illumination", 27),
    Signal("rotation", 3),
    Signal("translation", 3),
)

PAPER_SD15 = MimaFaceConfig(
    name="paper-sd15",
    image_size=512,
    motion_space="anny",
    appearance=AppearanceConfig(
        modulation="cross_attention",
        identity="clip_class_token",
        context_per_frame=True,
        signals=ANNY_SIGNALS,
        token_width=1024,
        context_width=768,
        modulation_heads=8,
        adapter_heads=8,
    ),
    conditions=(("render", 4),),
    clip_length=12,
    overlap=3,
    sampler=SamplerConfig(),
    guidance=5.0,
    qualities={"draft": Quality(10, 5.0), "final": Quality(50, 5.0)},
    unet=SD15_UNET,
    vae=SD15_VAE,
    vision=CLIP_VIT_LARGE,
)

RELEASED_SD15 = PAPER_SD15.but(
    name="released-sd15",
    motion_space="bfm2009",
    appearance=replace(
        PAPER_SD15.appearance, modulation="concat", identity="curricularface", context_per_frame=False, signals=RELEASED_SIGNALS,
        adapter_heads=1,
    ),
)  # fmt: skip

# Shipped; trainable on two CPU cores with this repository's synthetic heads. 256² pictures have 32² × 16 latents (12 : 1).
# Reprojection and source latents carry the picture, so spatial attention is limited to 8², where it is cheap and adds identity
# and exact motion. Attention heads are 16 and 40 wide, sizes with fused kernels. The network predicts a residual to the
# reprojection (the person, moved, over the background), which preserves its sharpness. Normals of the head, posed and in the
# source, give its position. Zero terminal SNR and trailing steps: a few steps suffice, and brightness does not drift from clip to
# clip.
DEMO = MimaFaceConfig(
    name="demo",
    image_size=256,
    motion_space="anny",
    appearance=replace(PAPER_SD15.appearance, token_width=160, context_width=160, modulation_heads=4, adapter_heads=4),
    conditions=(("render", 16), ("source", 16), ("normals", 4), ("source_normals", 4)),
    residual_of="render",
    clip_length=12,
    overlap=3,
    sampler=SamplerConfig(method="ddim", steps=1, prediction="sample", spacing="trailing", zero_terminal_snr=True),
    guidance=1.0,
    qualities={"draft": Quality(0)},
    unet={
        "sample_size": 32,
        "in_channels": 73,
        "out_channels": 16,
        "down_block_types": ("DownBlockMotion", "DownBlockMotion", "CrossAttnDownBlockMotion"),
        "up_block_types": ("CrossAttnUpBlockMotion", "UpBlockMotion", "UpBlockMotion"),
        "block_out_channels": (64, 128, 160),
        "layers_per_block": (1, 1, 2),
        "cross_attention_dim": 160,
        "num_attention_heads": 4,
        "norm_num_groups": 16,
        "motion_num_attention_heads": (4, 8, 10),
        "motion_max_seq_length": 32,
        "use_motion_mid_block": False,
    },
    vae={
        "_class_name": "SmallAutoencoder",
        "latent_channels": 16,
        "widths": (64, 96, 144),
        "encoder_blocks": (0, 1, 2),
        "decoder_blocks": (1, 2, 4),
    },
    refiner=RefinerConfig(),
    vision={
        "hidden_size": 160,
        "intermediate_size": 640,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": 128,
        "patch_size": 16,
        "hidden_act": "quick_gelu",
    },
)

INSTANCES = {config.name: config for config in (PAPER_SD15, RELEASED_SD15, DEMO)}


def named(name: str) -> MimaFaceConfig:
    """Returns the instance of that name. Raises :class:`InvalidInput` with the known names."""
    if name not in INSTANCES:
        raise InvalidInput(f"no model configuration is called {name!r}", f"known are {', '.join(INSTANCES)}")
    return INSTANCES[name]
