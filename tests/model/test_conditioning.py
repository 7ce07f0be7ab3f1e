from __future__ import annotations

import pytest
import torch

from mimaface.model.motion_unet import (
    PREVIOUS_NOISE,
    Affinity,
    add_residual,
    affinity_from,
    sample_affinity,
    stack_input,
)
from mimaface.protocol.errors import InvalidInput


def clip(batch: int = 2, frames: int = 3, channels: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, channels, frames, 5, 6, generator=torch.Generator().manual_seed(seed))


def test_channels_are_in_the_order_of_the_paper() -> None:
    noisy, render, previous = clip(seed=1), clip(seed=2), clip(seed=3)
    mask = torch.ones(2, 1, 3, 5, 6)
    stacked = stack_input(noisy, {"render": render}, Affinity(previous, mask), (("render", 4),))
    assert torch.equal(stacked, torch.cat([noisy, render, previous, mask], dim=1))
    assert stacked.shape[1] == 13


def test_conditions_follow_the_configured_order_not_that_of_the_caller() -> None:
    first, second = clip(channels=1, seed=1), clip(channels=2, seed=2)
    order = (("render", 1), ("source", 2))
    stacked = stack_input(clip(), {"source": second, "render": first}, affinity_from(None, clip()), order)
    assert torch.equal(stacked[:, 4:5], first)
    assert torch.equal(stacked[:, 5:7], second)


def test_a_missing_or_misshapen_condition_is_named() -> None:
    with pytest.raises(InvalidInput, match="source is missing"):
        stack_input(clip(), {}, affinity_from(None, clip()), (("source", 4),))
    with pytest.raises(InvalidInput, match="source has shape"):
        stack_input(clip(), {"source": clip(frames=2)}, affinity_from(None, clip()), (("source", 4),))


def test_a_correction_is_added_to_the_condition_that_is_named() -> None:
    render, source, output = clip(seed=1), clip(seed=2), clip(seed=3)
    conditions = {"source": source, "render": render}
    assert torch.equal(add_residual(output, conditions, "render"), render + output)
    assert torch.equal(add_residual(output, conditions, "source"), source + output)
    assert torch.equal(add_residual(output, conditions, ""), output), "a network that says everything is believed"


def test_the_first_clip_knows_nothing() -> None:
    latents, mask = affinity_from(None, clip())
    assert not latents.any()
    assert not mask.any()
    assert mask.shape == (2, 1, 3, 5, 6)


def test_handed_over_latents_open_the_clip_and_the_rest_is_zero() -> None:
    previous = clip(frames=2, seed=5)
    latents, mask = affinity_from(previous, clip(frames=5))
    assert torch.equal(latents[:, :, :2], previous)
    assert (mask[:, :, :2] == 1).all()
    assert not latents[:, :, 2:].any()
    assert not mask[:, :, 2:].any()


@pytest.mark.parametrize("previous", [clip(frames=4), clip(channels=3), clip(batch=1)])
def test_latents_that_do_not_fit_are_refused(previous: torch.Tensor) -> None:
    with pytest.raises(InvalidInput, match="do not fit"):
        affinity_from(previous, clip(frames=3))


@pytest.mark.parametrize(("frames", "most"), [(1, 0), (3, 0), (4, 1), (12, 3)])
def test_training_draws_k_per_sample_uniformly_up_to_a_quarter(frames: int, most: int) -> None:
    latents = torch.ones(400, 1, frames, 1, 1)
    _, mask = sample_affinity(latents, torch.Generator().manual_seed(0))
    k = mask.sum(dim=(1, 2, 3, 4)).long()
    counts = torch.bincount(k, minlength=most + 1)
    assert len(counts) == most + 1
    assert (counts > 0.7 * 400 / (most + 1)).all()
    assert (mask.sum(dim=2).squeeze() == k).all(), "the known frames are the first"
    assert all((mask[i, 0, : k[i]] == 1).all() for i in range(400))


def test_training_adds_noise_of_a_tenth_where_known_and_zero_elsewhere() -> None:
    latents = clip(batch=50, frames=12, seed=4)
    known, mask = sample_affinity(latents, torch.Generator().manual_seed(1))
    inside = mask.expand_as(known) == 1
    assert not known[~inside].any()
    assert float((known - latents)[inside].std()) == pytest.approx(PREVIOUS_NOISE, rel=0.05)
    again, _ = sample_affinity(latents, torch.Generator().manual_seed(1))
    assert torch.equal(known, again)
