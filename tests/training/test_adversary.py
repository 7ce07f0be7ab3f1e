"""The adversary: separate gradients for both players; it learns to separate blur from truth, and a model responds."""

import math

import numpy as np
import pytest
import torch

from mimaface.training.adversary import Adversary, adversarial_losses
from mimaface.training.config import Losses
from mimaface.training.loop import train
from training_fixtures import settings, stage, weights

AGAINST = {"adversary_weight": 0.05}


def pairs(seed: int, count: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns blocks with sharp edges, the same blurred, uninformative conditions, and noise."""
    draw = torch.Generator().manual_seed(seed)
    blocks = torch.rand(count, 4, 4, 4, generator=draw)
    sharp = torch.nn.functional.interpolate(blocks, scale_factor=4)
    blurred = torch.nn.functional.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False)
    return sharp, blurred, torch.zeros(count, 3, 16, 16), torch.randn(sharp.shape, generator=draw)


def test_each_player_s_loss_moves_only_that_player():
    torch.manual_seed(0)
    adversary = Adversary(4, 3)
    real, fake, conditions, noise = pairs(0)
    fake.requires_grad_(True)
    generator, judged = adversarial_losses(adversary, real, fake, conditions, noise, Losses())
    generator.backward(retain_graph=True)
    assert fake.grad is not None and fake.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in adversary.parameters())
    fake.grad = None
    judged.backward()
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in adversary.parameters())


def test_one_that_equals_the_truth_loses_log_two():
    torch.manual_seed(0)
    real, _, conditions, noise = pairs(0)
    generator, _ = adversarial_losses(Adversary(4, 3), real, real, conditions, noise, Losses())
    assert float(generator.detach()) == pytest.approx(math.log(2), rel=1e-5)


def test_it_learns_to_tell_blur_from_truth_and_its_gradient_sharpens():
    torch.manual_seed(0)
    adversary = Adversary(4, 3)
    optimiser = torch.optim.AdamW(adversary.parameters(), 1e-3)
    for step in range(60):
        optimiser.zero_grad()
        adversarial_losses(adversary, *pairs(step + 1), Losses())[1].backward()
        optimiser.step()
    real, blurred, conditions, noise = pairs(1000)
    right = adversary(real, conditions) > adversary(blurred, conditions)
    assert right.float().mean() > 0.9, "on pictures it has not seen"
    fake = blurred.clone().requires_grad_(True)
    adversarial_losses(adversary, real, fake, conditions, noise, Losses())[0].backward()
    assert float((-fake.grad * (real - blurred)).sum()) > 0, "down its slope lies the truth"


def test_both_players_learn(tmp_path, store):
    config = settings(**AGAINST)
    learner = stage(config, store)
    before = [weights(part) for part in (learner.trainee.unet, learner.trainee.adversary)]
    train(learner, config, tmp_path / "run")
    after = [weights(part) for part in (learner.trainee.unet, learner.trainee.adversary)]
    assert all(not np.array_equal(old, new) for old, new in zip(before, after))


def test_the_shares_of_two_processes_make_the_gradient_of_the_whole_batch(store):
    config = settings(**AGAINST)
    gradients = []
    for shares in ([range(4)], [range(0, 4, 2), range(1, 4, 2)]):
        learner = stage(config, store)
        for share in shares:
            (learner.trainee(learner.batch(0, share).tensors)["loss"] / len(shares)).backward()
        gradients.append({name: value.grad for name, value in learner.trainee.adversary.named_parameters()})
    whole, halves = gradients
    for name in whole:
        assert torch.allclose(whole[name], halves[name], rtol=1e-3, atol=1e-5 * float(whole[name].abs().max())), name


def test_the_saved_model_holds_no_adversary(tmp_path, store):
    config = settings(**AGAINST)
    train(stage(config, store), config, tmp_path / "run")
    saved = {path.name for path in (tmp_path / "run" / "model").iterdir()}
    train(stage(settings(), store), settings(), tmp_path / "alone")
    assert saved == {path.name for path in (tmp_path / "alone" / "model").iterdir()}
