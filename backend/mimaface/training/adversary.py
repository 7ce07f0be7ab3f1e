"""Adversary of the denoising stages: penalises blurred predictions, the mean of several plausible results.

It works on latents, as in latent adversarial distillation (Sauer et al. 2024): a network with one sampling step is a generator,
and its latents need not be decoded. Relativistic pairs as in R3GAN (Huang et al. 2024), with the approximate R1 and R2 penalties
of Lin et al. 2025 (arXiv 2501.08316), which need no second derivatives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from .config import Losses

WIDTH = 64  # channels at the latents' resolution; doubled at each halving


class Adversary(nn.Module):
    """Scores patches of latents (N, C, h, w) under conditions (N, c, h, w) for realism: (N, 1, h / 4, w / 4)."""

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.begin = nn.Conv2d(channels + condition_channels, WIDTH, 3, padding=1)
        self.halve = nn.Conv2d(WIDTH, 2 * WIDTH, 4, stride=2, padding=1)
        self.look = nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1)
        self.halve_again = nn.Conv2d(2 * WIDTH, 4 * WIDTH, 4, stride=2, padding=1)
        self.look_again = nn.Conv2d(4 * WIDTH, 4 * WIDTH, 3, padding=1)
        self.judge = nn.Conv2d(4 * WIDTH, 1, 1, bias=False)  # scores are compared in pairs, so a bias would cancel

    def forward(self, latents: Tensor, conditions: Tensor) -> Tensor:
        x = _leaky(self.begin(torch.cat([latents, conditions], dim=1)))
        x = _leaky(self.halve(x))
        x = x + _leaky(self.look(x))
        x = _leaky(self.halve_again(x))
        x = x + _leaky(self.look_again(x))
        scores: Tensor = self.judge(x)
        return scores

    def frozen(self, latents: Tensor, conditions: Tensor) -> Tensor:
        """The same, with a gradient for ``latents`` only."""
        weights = {name: value.detach() for name, value in self.named_parameters()}
        scores: Tensor = functional_call(self, weights, (latents, conditions))
        return scores


def adversarial_losses(
    adversary: Adversary, real: Tensor, fake: Tensor, conditions: Tensor, noise: Tensor, losses: Losses
) -> tuple[Tensor, Tensor]:
    """Returns the losses of generator and adversary for pairs of latents (N, C, h, w) with common ``conditions``.

    noise (N, C, h, w), standard normal: perturbation for the penalty. Both losses are scalars.

    Each has a gradient for its own player only, so one backward pass of their sum trains both: the generator's loss passes
    through a frozen adversary, the adversary's treats ``fake`` as constant. A generator that matches the truth has loss log 2.
    """
    pairs, twice = torch.cat([real, fake.detach()]), torch.cat([conditions, conditions])
    scores = adversary(pairs, twice)
    perturbed = adversary(pairs + losses.adversary_noise * torch.cat([noise.flip(-1), noise.flip(-2)]), twice)
    penalty = (scores - perturbed).float().square().mean() / losses.adversary_noise**2
    of_real, of_fake = scores.chunk(2)
    generator = functional.softplus(of_real.detach() - adversary.frozen(fake, conditions)).mean()
    return generator, functional.softplus(of_fake - of_real).mean() + losses.adversary_penalty * penalty


def players(trainee: nn.Module) -> list[list[nn.Parameter]]:
    """Returns the trained parameters of the generator and, if present, of its adversary; concatenated they are in the trainee's
    order.
    """
    named = [(name, parameter) for name, parameter in trainee.named_parameters() if parameter.requires_grad]
    sides = [[parameter for name, parameter in named if name.startswith("adversary.") == against] for against in (False, True)]
    return [side for side in sides if side]


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)
