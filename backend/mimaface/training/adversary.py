"""An adversary for the denoising stages: it tells true latents from predicted ones, so that an undecided prediction, the mean of
what may be, does not pay.

On latents, as in latent adversarial distillation (Sauer et al. 2024): a network of one sampling step is a generator, and its
latents need not be decoded. Relativistic pairs as in R3GAN (Huang et al. 2024), steadied by the approximate R1 and R2 of Lin et
al. 2025 (arXiv 2501.08316), which need no second derivatives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from .config import Losses

WIDTH = 64  # channels at the latents' own size, twice and four times as many at the halves of it


class Adversary(nn.Module):
    """Says of every patch of latents (N, C, h, w), under conditions (N, c, h, w), how true it looks: (N, 1, h / 4, w / 4)."""

    def __init__(self, channels: int, condition_channels: int) -> None:
        super().__init__()
        self.begin = nn.Conv2d(channels + condition_channels, WIDTH, 3, padding=1)
        self.halve = nn.Conv2d(WIDTH, 2 * WIDTH, 4, stride=2, padding=1)
        self.look = nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1)
        self.halve_again = nn.Conv2d(2 * WIDTH, 4 * WIDTH, 4, stride=2, padding=1)
        self.look_again = nn.Conv2d(4 * WIDTH, 4 * WIDTH, 3, padding=1)
        self.judge = nn.Conv2d(4 * WIDTH, 1, 1, bias=False)  # pairs are compared: a bias would say nothing

    def forward(self, latents: Tensor, conditions: Tensor) -> Tensor:
        x = _leaky(self.begin(torch.cat([latents, conditions], dim=1)))
        x = _leaky(self.halve(x))
        x = x + _leaky(self.look(x))
        x = _leaky(self.halve_again(x))
        x = x + _leaky(self.look_again(x))
        judged: Tensor = self.judge(x)
        return judged

    def frozen(self, latents: Tensor, conditions: Tensor) -> Tensor:
        """The same, but only ``latents`` get a gradient."""
        weights = {name: value.detach() for name, value in self.named_parameters()}
        judged: Tensor = functional_call(self, weights, (latents, conditions))
        return judged


def adversarial_losses(
    adversary: Adversary, real: Tensor, fake: Tensor, conditions: Tensor, noise: Tensor, losses: Losses
) -> tuple[Tensor, Tensor]:
    """What the generator and what the adversary minimise, for pairs of latents (N, C, h, w) under the same ``conditions``.

    noise (N, C, h, w), standard normal: what latents are shaken with for the penalty. Both losses are scalars.

    Each has a gradient only for its own player, so the sum of both trains both in one backward pass: the generator's passes
    through a frozen adversary, the adversary's sees ``fake`` as a constant. A generator as good as the truth has loss log 2.
    """
    pairs, twice = torch.cat([real, fake.detach()]), torch.cat([conditions, conditions])
    judged = adversary(pairs, twice)
    shaken = adversary(pairs + losses.adversary_noise * torch.cat([noise.flip(-1), noise.flip(-2)]), twice)
    penalty = (judged - shaken).float().square().mean() / losses.adversary_noise**2
    of_real, of_fake = judged.chunk(2)
    generator = functional.softplus(of_real.detach() - adversary.frozen(fake, conditions)).mean()
    return generator, functional.softplus(of_fake - of_real).mean() + losses.adversary_penalty * penalty


def players(trainee: nn.Module) -> list[list[nn.Parameter]]:
    """The trained parameters of the generator, and of its adversary where it has one; together in the order of the trainee."""
    named = [(name, parameter) for name, parameter in trainee.named_parameters() if parameter.requires_grad]
    sides = [[parameter for name, parameter in named if name.startswith("adversary.") == against] for against in (False, True)]
    return [side for side in sides if side]


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)
