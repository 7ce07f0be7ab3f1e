"""Configuration of a training run: frozen dataclasses, saved with the weights; no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.protocol.files import write_whole

STAGES = ("autoencoder", "image", "video", "refiner", "distill")
PRECISIONS = ("auto", "no", "bf16", "fp16")
# fields absent in files of earlier versions, with those versions' values
ADDED_FIELDS: dict[str, Any] = {"losses": {}, "student_steps": 4}


@dataclass(frozen=True)
class Losses:
    """Parameters of the losses, part of a run's recipe without command line options.

      latent_noise     noise on the autoencoder's latents, in their standard deviations: robustness to inexact latents
      latent_weight    weight of the autoencoder's squared latents. Raised: smaller latents
      photographs      share of photographs among the autoencoder's crops
      pixel_edge, band_edge  of RGB in [−1, 1], refiner: errors above count linearly, which keeps outlines sharp
      flow_roughness   weight of the total variation of the refiner's flow, per pixel. Raised: larger parts move rigidly
      light_roughness  weight of the total variation of its bias and of its gain's logarithm. Raised: softer light
      gain_price       weight of the gain's mean |log| on the photographed person. Raised: less relighting
      bias_price       weight of the bias's mean magnitude there: a gain preserves black, a bias adds haze
      adversary_pace   ratio of the adversary's learning rate to the generator's (two time scales, Heusel et al. 2017)
      adversary_noise  standard deviation of the penalty's perturbation; adversary_penalty: weight of the penalty
      bank_share       share of L_id's positives that are another picture of the person, from the bank; the others are augmentations
    """

    latent_noise: float = 0.05
    latent_weight: float = 1e-4
    photographs: float = 0.3
    pixel_edge: float = 0.05
    band_edge: float = 0.02
    flow_roughness: float = 0.01
    light_roughness: float = 0.1
    gain_price: float = 0.02
    bias_price: float = 0.5
    adversary_pace: float = 2.0
    adversary_noise: float = 0.1
    adversary_penalty: float = 0.1
    bank_share: float = 0.5


@dataclass(frozen=True)
class TrainingConfig:
    """Configuration of one run of one stage.

      batch            samples per optimiser step over all processes, each with ``frames`` frames
      accumulate       parts of a process's share of the batch, processed one after another to save memory
      learning_rate    reached after ``warmup`` steps; falls linearly to zero over the last ``cooldown`` (Hägele et al. 2024)
      clip_norm        largest norm of a step's gradient; ema_decay: of the averaged weights, which are evaluated and saved
      dropout          share of samples with an all-zero appearance context (spec 1.5)
      snr_gamma        of min-SNR; 0 weights all timesteps equally for networks that predict clean latents
      first_step_share share of samples at the last timestep, pure noise, where sampling starts; the others are uniform
      identity_weight  factor of L_id (Eq. 2), 0 for the ablation without it; identity_bank: persons in the memory bank
      huber            c of the pseudo-Huber loss √(‖d‖² + c²) − c at each latent pixel (Song, Dhariwal 2023), which prefers one of
                       two plausible pictures to their blurred mean; 0 uses the mean square
      correction_weight  weight of a correction's norm at each latent pixel (group lasso, Yuan, Lin 2006): a residual network then adds
                       only confident corrections, so that photographs remain sharp
      adversary_weight factor of the generator's loss against an adversary (training/adversary.py); 0 trains without one
      without          inputs that an ablation blanks: "render", "coefficients", "affinity"
      pixel_weighted   weights a latent channel's error by its effect on pixels (demo: its channels differ tenfold)
      average_context  ablation: averages the context over the frames, as the released code does
      student_steps    sampling steps of the model that ``distill`` trains; its first_step_share refers to the first of them
      precision        of accelerate: no, bf16 or fp16; auto selects bf16 on a device with native support, else no
      losses           parameters of the losses
    """

    stage: str
    steps: int
    batch: int = 16
    frames: int = 1
    learning_rate: float = 1e-5
    warmup: int = 100
    cooldown: int = 0
    accumulate: int = 1
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    dropout: float = 0.1
    snr_gamma: float = 5.0
    first_step_share: float = 0.0
    huber: float = 0.0
    correction_weight: float = 0.0
    adversary_weight: float = 0.0
    identity_weight: float = 0.1
    identity_bank: int = 4096
    without: tuple[str, ...] = ()
    pixel_weighted: bool = False
    average_context: bool = False
    student_steps: int = 4
    checkpoint_gradients: bool = False
    precision: str = "auto"
    evaluate_every: int = 500
    save_every: int = 500
    seed: int = 0
    losses: Losses = Losses()

    def __post_init__(self) -> None:
        object.__setattr__(self, "without", tuple(self.without))
        if self.stage not in STAGES:
            raise InvalidInput(f"stage {self.stage!r} is unknown", f"use one of: {', '.join(STAGES)}")
        if self.precision not in PRECISIONS:
            raise InvalidInput(f"precision {self.precision!r} is unknown", f"use one of: {', '.join(PRECISIONS)}")
        for name in ("steps", "batch", "frames", "accumulate", "student_steps", "evaluate_every", "save_every"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}, use at least 1")
        unknown = set(self.without) - {"render", "coefficients", "affinity"}
        if unknown:
            raise InvalidInput(f"cannot train without {', '.join(sorted(unknown))}", "use render, coefficients or affinity")

    def rate_at(self, step: int) -> float:
        """Returns the learning rate of a step, counted from 0."""
        rise = min((step + 1) / self.warmup, 1.0) if self.warmup else 1.0
        fall = min((self.steps - step) / self.cooldown, 1.0) if self.cooldown else 1.0
        return self.learning_rate * min(rise, fall)

    def save(self, path: Path) -> None:
        write_whole(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> TrainingConfig:
        """Reads a configuration. Raises :class:`InvalidCheckpoint` for a file that this version cannot read."""
        try:
            values: dict[str, Any] = {**ADDED_FIELDS, **json.loads(path.read_text())}
            known = {item.name for item in fields(cls)}
            if set(values) != known:
                raise InvalidCheckpoint(f"{path}: missing or unknown fields {sorted(set(values) ^ known)}")
            return cls(**{**values, "losses": Losses(**values["losses"])})
        except (OSError, ValueError, TypeError) as error:
            raise InvalidCheckpoint(f"{path}: not a training configuration ({error})") from error
