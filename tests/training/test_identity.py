"""L_id: the loss of Eq. 2, its memory bank, its augmentations."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from mimaface.training.identity import MemoryBank, augment, identity_loss


def test_the_loss_is_the_formula():
    z, plus = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    bank = torch.tensor([[0.0, 2.0], [-3.0, 0.0], [1.0, 0.0]])
    own = torch.tensor([[False, False, True]])
    up = math.exp(1 / math.sqrt(2))
    assert math.isclose(float(identity_loss(z, plus, bank, own)), -math.log(up / (up + math.exp(0) + math.exp(-1))), rel_tol=1e-5)


def test_an_empty_bank_costs_nothing():
    nothing = identity_loss(torch.randn(3, 4), torch.randn(3, 4), torch.zeros(0, 4), torch.zeros(3, 0, dtype=torch.bool))
    assert float(nothing) == 0


def test_the_gradient_pulls_a_person_together_and_others_apart():
    z = torch.tensor([[1.0, 0.2, 0.1]], requires_grad=True)
    plus, other = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    identity_loss(z, plus, other, torch.tensor([[False]])).backward()
    after = torch.nn.functional.normalize(z.detach() - 0.1 * z.grad, dim=-1)
    before = torch.nn.functional.normalize(z.detach(), dim=-1)
    assert float(after @ plus.T) > float(before @ plus.T)
    assert float(after @ other.T) < float(before @ other.T)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-5, 5)), max_size=40), st.integers(1, 6))
def test_the_bank_keeps_the_newest_token_of_the_newest_persons(puts, size):
    bank, newest = MemoryBank(size, 1), {}
    for person, value in puts:
        bank.put([person], torch.tensor([[value]]))
        newest.pop(person, None)
        newest[person] = value
    kept = dict(list(newest.items())[-size:])
    persons, tokens = bank.all()
    assert persons.tolist() == list(kept)
    assert torch.allclose(tokens[:, 0], torch.tensor(list(kept.values()), dtype=torch.float32).reshape(-1))
    again = MemoryBank(size, 1)
    again.load_state(bank.state())
    assert again.all()[0].tolist() == persons.tolist()


def test_augmentation_changes_light_not_shape():
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    images[:, :, :16] = -0.8  # dark above, bright below: no augmentation may invert that
    images[:, :, 16:] = images[:, :, 16:] * 0.1 + 0.8
    draws = [torch.Generator().manual_seed(i) for i in range(6)]
    result = augment(images, draws)
    again = augment(images, [torch.Generator().manual_seed(i) for i in range(6)])
    assert torch.equal(result, again)
    assert result.abs().max() <= 1
    assert all((a - b).abs().mean() > 0.005 for a, b in zip(result, images))
    assert (result[:, :, 20:].mean((1, 2, 3)) > result[:, :, :12].mean((1, 2, 3)) + 0.3).all()
