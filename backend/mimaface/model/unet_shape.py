"""The sizes of a motion U-Net, read from diffusers' configuration and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint

# field → its default in diffusers
DEFAULTS: dict[str, Any] = {
    "sample_size": None,
    "layers_per_block": 2,
    "cross_attention_dim": 1280,
    "num_attention_heads": 8,
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "use_linear_projection": False,
    "motion_num_attention_heads": 8,
    "motion_max_seq_length": 32,
    "use_motion_mid_block": True,
}
REQUIRED = ("in_channels", "out_channels", "down_block_types", "up_block_types", "block_out_channels")
# fields that have one value in this model family
FIXED: dict[str, Any] = {
    "use_motion_mid_block": False,
    "encoder_hid_dim_type": None,
    "addition_embed_type": None,
    "act_fn": "silu",
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "transformer_layers_per_block": 1,
    "temporal_transformer_layers_per_block": 1,
    "mid_block_layers": 1,
    "time_cond_proj_dim": None,
}
ATTENDS = {"CrossAttn{}BlockMotion": True, "{}BlockMotion": False}  # types of blocks → whether they attend to the context


@dataclass(frozen=True)
class LevelShape:
    """Sizes of one level: channels, heads of its motion modules, and what all levels share."""

    width: int
    motion_heads: int
    time_width: int
    context_width: int
    groups: int
    epsilon: float
    linear: bool
    positions: int


@dataclass(frozen=True)
class UNetShape:
    """Sizes of a whole U-Net, of its levels from the largest pictures to the smallest; ``up_attends`` in the order of use."""

    in_channels: int
    out_channels: int
    widths: tuple[int, ...]
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    motion_heads: tuple[int, ...]
    down_attends: tuple[bool, ...]
    up_attends: tuple[bool, ...]
    context_width: int
    groups: int
    epsilon: float
    linear: bool
    positions: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> UNetShape:
        """Reads diffusers' configuration. Raises :class:`InvalidCheckpoint` with the name of a field that does not fit."""
        found = {name: value for name, value in config.items() if not name.startswith("_")}
        for name in REQUIRED:
            if name not in found:
                raise InvalidCheckpoint(f"unet.{name} is missing")
        complete = {**DEFAULTS, **found}
        for name, wanted in FIXED.items():
            if complete.get(name, wanted) != wanted:
                raise InvalidCheckpoint(f"unet.{name} is {complete.get(name)!r}; only {wanted!r} is part of this model family")
        if unknown := sorted(complete.keys() - DEFAULTS.keys() - FIXED.keys() - set(REQUIRED)):
            raise InvalidCheckpoint(f"unet.{unknown[0]} is no part of this model family")
        widths = tuple(complete["block_out_channels"])

        def per_level(name: str) -> tuple[int, ...]:
            value = complete[name]
            values = (value,) * len(widths) if isinstance(value, int) else tuple(value)
            if len(values) != len(widths):
                raise InvalidCheckpoint(f"unet.{name} has {len(values)} values for {len(widths)} levels")
            return values

        def attends(name: str, way: str) -> tuple[bool, ...]:
            kinds = {kind.format(way): attending for kind, attending in ATTENDS.items()}
            values = tuple(complete[name])
            if len(values) != len(widths) or not kinds.keys() >= set(values):
                raise InvalidCheckpoint(f"unet.{name} is {values}; {len(widths)} of {', '.join(kinds)} are part of this model family")
            return tuple(kinds[value] for value in values)

        return cls(
            complete["in_channels"], complete["out_channels"], widths, per_level("layers_per_block"),
            per_level("num_attention_heads"), per_level("motion_num_attention_heads"),
            attends("down_block_types", "Down"), attends("up_block_types", "Up"),
            complete["cross_attention_dim"], complete["norm_num_groups"], complete["norm_eps"],
            complete["use_linear_projection"], complete["motion_max_seq_length"],
        )  # fmt: skip

    def level(self, index: int) -> LevelShape:
        """Returns the sizes of one level."""
        return LevelShape(
            self.widths[index], self.motion_heads[index], 4 * self.widths[0], self.context_width, self.groups, self.epsilon,
            self.linear, self.positions,
        )  # fmt: skip
