"""What a training run is: a frozen dataclass, saved with the weights. No torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput

STAGES = ("autoencoder", "image", "video", "refiner", "distill")
PRECISIONS = ("auto", "no", "bf16", "fp16")
LATER: dict[str, Any] = {"losses": {}, "student_steps": 4}  # fields that earlier versions did not write, as these versions had them


@dataclass(frozen=True)
class Losses:
    """Numbers of the losses and of their noise: part of a run's recipe, and no options of the command line.

    latent_noise     of a latent's deviation, on the autoencoder's latents: the decoder meets latents that are nearly right
    latent_weight    of the autoencoder's squared latents; higher: smaller ones
    photographs      share of the autoencoder's crops that are of photographs
    pixel_edge, band_edge  of RGB in [−1, 1], of the refiner: errors above count linearly, so that an outline is not hedged
    flow_roughness   weight of the refiner's flow's total variation, per pixel; higher: larger parts move as one
    light_roughness  weight of the total variation of its bias and of its gain's logarithm; higher: softer light
    gain_price       weight of the gain's mean |log| on the photographed person; higher: less is relit
    bias_price       weight of the bias's mean size there: a gain keeps black black, a bias hazes it
    adversary_pace   learning rate of the adversary over the generator's (two time scales, Heusel et al. 2017)
    adversary_noise  standard deviation of the noise that must not change a judgement; adversary_penalty: weight of that demand
    bank_share       of L_id's positives that are another picture of the person, from the bank; the others are the same one, augmented
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
    """One run of one stage.

    batch            samples of one optimiser step, over all processes; each brings ``frames`` frames
    accumulate       parts into which a process cuts its share of the batch, to save memory
    learning_rate    reached after ``warmup`` steps; falls linearly to zero over the last ``cooldown`` (Hägele et al. 2024)
    clip_norm        largest norm of a step's gradient; ema_decay of the averaged weights, which are what is evaluated and saved
    dropout          share of samples whose appearance context is all zero (spec 1.5)
    snr_gamma        of min-SNR; 0 weighs all timesteps of a network that says the clean latents alike
    first_step_share share of samples at the last timestep, pure noise, where sampling begins; the others are uniform
    identity_weight  factor of L_id (Eq. 2); 0 leaves it out, as ablation; identity_bank: persons that its memory holds
    huber            c of the pseudo-Huber loss √(‖d‖² + c²) − c at every latent pixel (Song, Dhariwal 2023), which prefers one of
                     two plausible pictures to their blurred mean; 0 takes the mean square
    correction_weight  of the size of a correction at every latent pixel (group lasso, Yuan, Lin 2006): a network that corrects a
                     condition adds only what it is sure of, so that photographs stay sharp
    adversary_weight factor of the generator's loss against an adversary (training/adversary.py); 0 trains without one
    without          inputs that an ablation blanks: "render", "coefficients", "affinity"
    pixel_weighted   weighs a latent channel's error by what it does to pixels (demo: its channels differ tenfold)
    average_context  ablation: the context averaged over the frames, as the released code has it
    student_steps    sampling steps of the model that ``distill`` makes; its first_step_share is of the first of them
    precision        of accelerate: no, bf16 or fp16; auto takes bf16 on a device that computes in it, else no
    losses           numbers of the losses
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
        """The learning rate of a step, counted from 0."""
        rise = min((step + 1) / self.warmup, 1.0) if self.warmup else 1.0
        fall = min((self.steps - step) / self.cooldown, 1.0) if self.cooldown else 1.0
        return self.learning_rate * min(rise, fall)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> TrainingConfig:
        """Raises :class:`InvalidCheckpoint` for a file that this version does not understand."""
        try:
            values: dict[str, Any] = {**LATER, **json.loads(path.read_text())}
            known = {item.name for item in fields(cls)}
            if set(values) != known:
                raise InvalidCheckpoint(f"{path}: missing or unknown fields {sorted(set(values) ^ known)}")
            return cls(**{**values, "losses": Losses(**values["losses"])})
        except (OSError, ValueError, TypeError) as error:
            raise InvalidCheckpoint(f"{path}: not a training configuration ({error})") from error
