"""Configuration of the model family: frozen dataclasses, stored in the checkpoint; no torch.

Sizes are data: no code depends on the instance. ``unet``, ``vae`` and ``vision`` are configurations of diffusers and
transformers; in a checkpoint each is in its part's own folder, where hub tools read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint
from mimaface.protocol.settings import QUALITIES, STANDARD

MOTION_SIGNALS = ("rotation", "translation", "expression", "gaze")
MOTION_SPACES = ("anny", "bfm2009")
PARTS = ("unet", "vae", "vision")
# qualities that a model defines; standard is the sampler's own
CONFIGURABLE_QUALITIES = tuple(name for name in QUALITIES if name != STANDARD)
EARLIER_NAMES = {"corrects": "residual_of", "photo_decoder": "refiner"}  # of fields, in checkpoints of earlier versions


@dataclass(frozen=True)
class Signal:
    """A conditioning vector: its name, its length, and the factor that scales it to about unit size."""

    name: str
    size: int
    scale: float = 1.0


@dataclass(frozen=True)
class AppearanceConfig:
    """Mapping from source portrait and motion to the U-Net's context (spec 1.2; ``concat`` is spec 1.8).

      modulation          "cross_attention" (paper, Eq. 1) or "concat" (the released checkpoint)
      identity            source of the identity token: "clip_class_token" or "curricularface"
      context_per_frame   False averages the context over the frames of a clip, as the released code does
      signals             the vectors that become tokens, in the order of the tokens
      token_width         width of the vision encoder's tokens; context_width that of the U-Net's cross-attention
    """

    modulation: str
    identity: str
    context_per_frame: bool
    signals: tuple[Signal, ...]
    token_width: int
    context_width: int
    modulation_heads: int = 8
    adapter_layers: int = 3
    adapter_heads: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "signals", tuple(s if isinstance(s, Signal) else Signal(**s) for s in self.signals))
        _one_of("appearance.modulation", self.modulation, ("cross_attention", "concat"))
        _one_of("appearance.identity", self.identity, ("clip_class_token", "curricularface"))
        missing = [name for name in MOTION_SIGNALS if name not in [signal.name for signal in self.signals]]
        if missing:  # with a single key the softmax of Eq. 1 is constant and motion degenerates to a bias
            raise InvalidCheckpoint(
                f"appearance.signals lacks {', '.join(missing)}", "every motion signal needs a token of its own"
            )
        for name, width, heads in (
            ("modulation_heads", self.token_width, self.modulation_heads),
            ("adapter_heads", self.context_width, self.adapter_heads),
        ):
            if heads < 1 or width % heads:
                raise InvalidCheckpoint(f"appearance.{name} is {heads}, which does not divide the width {width}")


@dataclass(frozen=True)
class SamplerConfig:
    """Noise schedule of training and the default sampler (spec 1.6)."""

    method: str = "euler"  # euler | ddim
    steps: int = 25
    prediction: str = "epsilon"  # epsilon | v | sample
    spacing: str = "linspace"  # linspace | trailing
    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        _one_of("sampler.method", self.method, ("euler", "ddim"))
        _one_of("sampler.prediction", self.prediction, ("epsilon", "v", "sample"))
        _one_of("sampler.spacing", self.spacing, ("linspace", "trailing"))
        if not 1 <= self.steps <= self.train_steps:
            raise InvalidCheckpoint(f"sampler.steps is {self.steps}, use 1 to {self.train_steps}")
        if self.zero_terminal_snr and (self.prediction == "epsilon" or self.method != "ddim"):
            raise InvalidCheckpoint(
                "sampler: zero_terminal_snr needs v or sample prediction and ddim (pure noise has infinite sigma)"
            )


@dataclass(frozen=True)
class Quality:
    """Sampling steps and guidance of a quality. With 0 steps a frame is the model's reprojection, for models with
    ``residual_of``.
    """

    steps: int
    guidance: float = 1.0


@dataclass(frozen=True)
class RefinerConfig:
    """The refiner's widths and output ranges, which belong to its weights.

      fine_width, width  channels at twice the latents' size and at their size
      flow               largest displacement, pixels of the generated picture
      steepness          slope of displacement against the network's output; equalises the learning rates of displacement and light
      gain, bias         on the photographed person: largest |log| of the factor, largest offset to RGB in [0, 1]
      inpainted_gain, inpainted_bias  the same for the head's inpainted pixels: any colour
      hue                scale of the gain's chroma. Raised: coloured speckles in hair
    """

    fine_width: int = 24
    width: int = 42
    flow: float = 12.0
    steepness: float = 4.0
    gain: float = 0.4
    bias: float = 0.3
    inpainted_gain: float = 2.5
    inpainted_bias: float = 1.0
    hue: float = 0.3


@dataclass(frozen=True)
class MimaFaceConfig:
    """The whole model. Raises :class:`InvalidCheckpoint` if its parts are inconsistent.

      image_size      pixels per side of the generated square
      motion_space    "anny" (ARKit blendshapes) or "bfm2009" (64 expression coefficients)
      conditions      latent-sized inputs beside the noisy latent, (name, channels) in the order of the U-Net's input; followed by
                      latents and mask of the previous clip (ICA)
      residual_of     condition to which the prediction is a residual; "" for direct prediction
      refiner         the network that warps and relights the reprojection; None for a model without one
      qualities       definitions of "draft" and "final"; "standard" is the sampler's own steps and ``guidance``
    """

    name: str
    image_size: int
    motion_space: str
    appearance: AppearanceConfig
    conditions: tuple[tuple[str, int], ...]
    clip_length: int
    overlap: int
    sampler: SamplerConfig
    guidance: float
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    vision: Mapping[str, Any]
    residual_of: str = ""
    refiner: RefinerConfig | None = None
    qualities: Mapping[str, Quality] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "conditions", tuple((str(name), int(count)) for name, count in self.conditions))
        for part in PARTS:
            object.__setattr__(self, part, {key: _frozen(value) for key, value in getattr(self, part).items()})
        object.__setattr__(self, "qualities", {name: _quality(name, value, self) for name, value in self.qualities.items()})
        _one_of("motion_space", self.motion_space, MOTION_SPACES)
        _one_of("residual_of", self.residual_of, ("", *(name for name, count in self.conditions if count == self.latent_channels)))
        if self.residual_of and self.sampler.prediction != "sample":
            raise InvalidCheckpoint("residual_of needs a sampler that predicts the clean latents", 'set prediction to "sample"')
        needed = {"render", "source", "normals", "source_normals"} - {name for name, _ in self.conditions}
        if self.refiner and needed:
            raise InvalidCheckpoint(f"refiner needs the conditions {', '.join(sorted(needed))}")
        if not 0 <= self.overlap < self.clip_length:
            raise InvalidCheckpoint(f"overlap {self.overlap} must be less than clip_length {self.clip_length}")
        if self.clip_length > self.unet["motion_max_seq_length"]:
            raise InvalidCheckpoint(
                f"clip_length {self.clip_length} exceeds the {self.unet['motion_max_seq_length']} positions of the U-Net"
            )
        for what, found, wanted in (
            ("unet.in_channels", self.unet["in_channels"], self.input_channels),
            ("unet.out_channels", self.unet["out_channels"], self.latent_channels),
            ("unet.cross_attention_dim", self.unet["cross_attention_dim"], self.appearance.context_width),
            ("vision.hidden_size", self.vision["hidden_size"], self.appearance.token_width),
        ):
            if found != wanted:
                raise InvalidCheckpoint(f"{what} is {found}, the other parts of the model need {wanted}")

    @property
    def latent_channels(self) -> int:
        return int(self.vae["latent_channels"])

    @property
    def affinity_channels(self) -> int:
        """Channels of [s; m]: the previous clip's latents and their mask. W_cond is this many last columns of conv_in."""
        return self.latent_channels + 1

    @property
    def input_channels(self) -> int:
        return self.latent_channels + sum(count for _, count in self.conditions) + self.affinity_channels

    def quality(self, name: str) -> Quality:
        """Returns the definition of a quality; standard if the model does not define it."""
        return self.qualities.get(name, Quality(self.sampler.steps, self.guidance))

    def but(self, **changes: Any) -> MimaFaceConfig:
        """Returns a validated copy with some fields replaced."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Returns all fields except the parts, whose configurations are in their own folders."""
        return {key: value for key, value in asdict(self).items() if key not in PARTS}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], where: str) -> MimaFaceConfig:
        """Rebuilds a configuration from ``config.json`` and those of its parts. Raises :class:`InvalidCheckpoint`."""
        values = {"qualities": {}, **{EARLIER_NAMES.get(name, name): value for name, value in values.items()}}
        expected = {item.name for item in fields(cls)} - set(PARTS)
        wrong = sorted(expected ^ set(values))
        if wrong:
            raise InvalidCheckpoint(
                f"{where}: config.json has missing or unknown fields: {', '.join(wrong)}",
                "the checkpoint is of another version of MIMAFace Animator",
            )
        try:
            nested = {
                "appearance": AppearanceConfig(**values["appearance"]),
                "sampler": SamplerConfig(**values["sampler"]),
                "refiner": RefinerConfig(**values["refiner"]) if values["refiner"] else None,
            }
            everything: dict[str, Any] = {**values, **nested, **parts}
            return cls(**everything)
        except (TypeError, KeyError, ValueError) as error:
            raise InvalidCheckpoint(f"{where}: configuration does not fit: {error}") from error


def _one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidCheckpoint(f"{what} is {value!r}, known are {', '.join(known)}")


def quality_in(folder: Path, name: str) -> Quality | None:
    """Returns a checkpoint folder's definition of a quality without loading the model; None if undefined, and for standard."""
    try:
        return Quality(**json.loads((folder / "config.json").read_text(encoding="utf-8"))["qualities"][name])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # loading the folder reports its problems


def qualities_in(folder: Path) -> tuple[str, ...]:
    """Returns the qualities of a checkpoint folder that differ, from fast to slow, without loading the model."""
    return tuple(name for name in QUALITIES if name == STANDARD or quality_in(folder, name) is not None)


def _quality(name: str, value: Quality | Mapping[str, Any], config: MimaFaceConfig) -> Quality:
    _one_of("a quality", name, CONFIGURABLE_QUALITIES)
    quality = value if isinstance(value, Quality) else Quality(**value)
    fewest, most = 0 if config.residual_of else 1, config.sampler.train_steps
    if not fewest <= quality.steps <= most or quality.guidance < 1:
        raise InvalidCheckpoint(f"qualities.{name} is {quality}", f"use {fewest} to {most} steps and a guidance from 1 on")
    return quality


def _frozen(value: Any) -> Any:
    """Converts JSON lists to tuples, so that a configuration equals itself after a round trip."""
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value
