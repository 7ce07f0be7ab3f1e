"""MIA: the source's appearance, modulated by motion, as the U-Net's context (spec 1.2), and the released variant (spec 1.8)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from mimaface.protocol.errors import InvalidInput

from .config import AppearanceConfig, Signal
from .vision import VisionTokens

RELEASED_SIGNAL_NAMES = {
    "identity": "arcface",
    "gaze": "gaze",
    "expression": "exp",
    "albedo": "tex",
    "illumination": "gamma",
    "rotation": "angles",
    "translation": "translation",
}


class TransformerBlock(nn.Module):
    """Pre-norm transformer block: self-attention with fused query, key, value, then an exact GELU MLP of four times the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, L, W) → (N, L, W)."""
        queries, keys, values = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        x = x + self.projection(attend(queries, keys, values, self.heads))
        transformed: Tensor = x + self.contract(functional.gelu(self.expand(self.norm2(x))))
        return transformed


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """softmax(q·kᵀ/√d)·v for (N, L, W), (N, S, W), (N, S, W) → (N, L, W), heads concatenated in W.

    q and k are each scaled by 1/⁴√d against overflow in half precision, as in the released adapter.
    """
    queries, keys, values = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    scale = queries.shape[-1] ** -0.25
    mixed = functional.scaled_dot_product_attention(queries * scale, keys * scale, values, scale=1.0)  # (N, heads, L, d)
    return mixed.transpose(1, 2).flatten(2)


class Adapter(nn.Module):
    """f of spec 1.2: [e_id; e'_tex] → the U-Net's context, a transformer without positions."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (N, L, W) → (N, L, W)."""
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed


class MotionModulation(nn.Module):
    """Eq. 1: e'_tex = e_tex + CrossAttn(e_tex, [ρ; β; g]), one token per signal: linear embedding + learned type embedding.

    Departures: multiple heads, and a LayerNorm on e_tex before the queries (CLIP's last layer is not normalised).
    """

    def __init__(self, width: int, heads: int, signals: tuple[Signal, ...]) -> None:
        super().__init__()
        self.heads = heads
        self.embeddings = nn.ModuleDict({signal.name: nn.Linear(signal.size, width) for signal in signals})
        self.types = nn.Parameter(torch.empty(len(signals), width))
        if not self.types.is_meta:  # random numbers for mere shapes load torch's compiler: 2 s
            nn.init.normal_(self.types, std=width**-0.5)
        self.norm = nn.LayerNorm(width)
        self.queries = nn.Linear(width, width, bias=False)
        self.keys = nn.Linear(width, width, bias=False)
        self.values = nn.Linear(width, width, bias=False)
        self.projection = nn.Linear(width, width)

    def forward(self, texture: Tensor, signals: Mapping[str, Tensor]) -> Tensor:
        """texture e_tex (N, P, D), signals name → (N, n) → e'_tex (N, P, D)."""
        motion = torch.stack([embed(signals[name]) for name, embed in self.embeddings.items()], dim=1) + self.types
        queries = self.queries(self.norm(texture))
        mixed = attend(queries, self.keys(motion), self.values(motion), self.heads)  # keys (N, 4, D)
        modulated: Tensor = texture + self.projection(mixed)
        return modulated


class ModulatedAppearance(nn.Module):
    """The paper's MIA: class token as identity, patch tokens modulated by each frame's motion."""

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        self.config = config
        self.modulation = MotionModulation(config.token_width, config.modulation_heads, config.signals)
        self.tokens = nn.Linear(config.token_width, config.context_width)
        self.adapter = Adapter(config.context_width, config.adapter_layers, config.adapter_heads)

    def forward(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        """source tokens (B, 1 + P, D), signals name → (B, F, n) → context (B·F, 1 + P, W)."""
        values, frames = per_frame(signals, self.config.signals)
        identity = repeat_frames(source.class_token, frames)[:, None]  # (B·F, 1, D)
        texture = repeat_frames(source.tokens[:, 1:], frames)  # (B·F, P, D)
        texture = self.modulation(texture, values)
        context = self.adapter(self.tokens(torch.cat([identity, texture], dim=1)))
        return context if self.config.context_per_frame else averaged(context, frames)


class ConcatenatedAppearance(nn.Module):
    """The released checkpoint's variant: each signal and each vision token has its own linear layer; concatenated (spec 1.8)."""

    def __init__(self, config: AppearanceConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleDict({signal.name: nn.Linear(signal.size, config.context_width) for signal in config.signals})
        self.tokens = nn.Linear(config.token_width, config.context_width)
        self.adapter = Adapter(config.context_width, config.adapter_layers, config.adapter_heads)

    def forward(self, source: VisionTokens, signals: Mapping[str, Tensor]) -> Tensor:
        """source tokens (B, 257, 1024), signals name → (B, F, n) or (B, n) → context (B·F, 7 + 257, W)."""
        values, frames = per_frame(signals, self.config.signals)
        embedded = [embed(values[name])[:, None] for name, embed in self.embeddings.items()]  # each (B·F, 1, W)
        tokens = repeat_frames(self.tokens(source.tokens), frames)  # (B·F, 257, W)
        context: Tensor = self.adapter(torch.cat([*embedded, tokens], dim=1))
        return context if self.config.context_per_frame else averaged(context, frames)


def build_appearance(config: AppearanceConfig) -> ModulatedAppearance | ConcatenatedAppearance:
    """Returns a configuration's appearance module with initial weights."""
    return ModulatedAppearance(config) if config.modulation == "cross_attention" else ConcatenatedAppearance(config)


def per_frame(signals: Mapping[str, Tensor], wanted: tuple[Signal, ...]) -> tuple[dict[str, Tensor], int]:
    """Scales the signals and flattens (B, F, n) to (B·F, n); a (B, n) signal is repeated for all F frames. Returns them and F.

    Raises :class:`InvalidInput` with the name of a missing or misshapen signal.
    """
    frames = max((value.shape[1] for value in signals.values() if value.ndim == 3), default=1)
    flat = {}
    for signal in wanted:
        if signal.name not in signals:
            raise InvalidInput(f"signal {signal.name} is missing", f"the model needs {[s.name for s in wanted]}")
        value = signals[signal.name] * signal.scale
        if value.ndim == 2:
            value = value[:, None].expand(-1, frames, -1)
        if value.shape[1:] != (frames, signal.size):
            shape = tuple(value.shape)
            raise InvalidInput(f"signal {signal.name} has shape {shape}, expected (B, {frames}, {signal.size})")
        flat[signal.name] = value.flatten(0, 1)
    return flat, frames


def repeat_frames(x: Tensor, frames: int) -> Tensor:
    """(B, …) → (B·F, …), with the F copies of a sample adjacent."""
    return x[:, None].expand(-1, frames, *x.shape[1:]).flatten(0, 1)


def averaged(context: Tensor, frames: int) -> Tensor:
    """context (B·F, L, W) → the same shape, each frame replaced by the clip's mean (spec 1.8.4)."""
    return repeat_frames(context.unflatten(0, (-1, frames)).mean(dim=1), frames)


def drop_context(context: Tensor, frames: int, probability: float, generator: torch.Generator) -> Tensor:
    """Zeroes the context (B·F, L, W) of random samples, the unconditional input of guidance (spec 1.5; 10 % of samples)."""
    samples = context.shape[0] // frames
    kept = torch.rand(samples, generator=generator) >= probability
    return context * repeat_frames(kept.to(context.device, context.dtype), frames)[:, None, None]


def from_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps keys of the released ``mim.pth`` to those of :class:`ConcatenatedAppearance`. Unknown keys are unchanged."""
    return {_rename(key, released=False): value for key, value in weights.items()}


def to_released(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Maps keys of :class:`ConcatenatedAppearance` to those of the released ``mim.pth``."""
    return {_rename(key, released=True): value for key, value in weights.items()}


_KEY_PAIRS = (  # ours, released; {0} is a block number
    ("tokens.", "transform_dim_clip."),
    *((f"embeddings.{ours}.", f"transform_dim_{theirs}.") for ours, theirs in RELEASED_SIGNAL_NAMES.items()),
    ("adapter.norm.", "layer_norm."),
    ("adapter.blocks.{0}.norm1.", "mapper.resblocks.{0}.ln_1."),
    ("adapter.blocks.{0}.norm2.", "mapper.resblocks.{0}.ln_2."),
    ("adapter.blocks.{0}.qkv.", "mapper.resblocks.{0}.attn.c_qkv."),
    ("adapter.blocks.{0}.projection.", "mapper.resblocks.{0}.attn.c_proj."),
    ("adapter.blocks.{0}.expand.", "mapper.resblocks.{0}.mlp.c_fc."),
    ("adapter.blocks.{0}.contract.", "mapper.resblocks.{0}.mlp.c_proj."),
)


def _rename(key: str, released: bool) -> str:
    key = key.removeprefix("module.")
    for ours, theirs in _KEY_PAIRS:
        source, target = (ours, theirs) if released else (theirs, ours)
        match = re.match(re.escape(source).replace(r"\{0\}", r"(\d+)"), key)
        if match:
            return target.format(*match.groups()) + key[match.end() :]
    return key
