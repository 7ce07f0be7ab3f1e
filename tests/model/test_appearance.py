from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mimaface.evaluation.golden import fill_weights
from mimaface.model.appearance import (
    RELEASED_SIGNAL_NAMES,
    ConcatenatedAppearance,
    ModulatedAppearance,
    MotionModulation,
    attend,
    averaged,
    build_appearance,
    drop_context,
    from_released,
    to_released,
)
from mimaface.model.checkpoint import load_weights, without_memory
from mimaface.model.config import MimaFaceConfig, Signal
from mimaface.model.instances import RELEASED_SD15
from mimaface.model.vision import VisionTokens
from mimaface.protocol.errors import InvalidInput

from .conftest import assert_close_to_golden, golden, golden_keys, signals, tokens


@pytest.fixture
def appearance(tiny_config: MimaFaceConfig) -> ModulatedAppearance:
    torch.manual_seed(0)
    built = build_appearance(tiny_config.appearance)
    assert isinstance(built, ModulatedAppearance)
    return built.eval()


def test_golden_of_the_released_module() -> None:
    module = without_memory(lambda: build_appearance(RELEASED_SD15.appearance))
    load_weights(module, from_released(fill_weights(golden_keys("mim"))), "golden")
    assert to_released(module.state_dict()).keys() == golden_keys("mim").keys()
    values = golden("mim")
    given = {ours: values[f"{theirs}_embeds"] for ours, theirs in RELEASED_SIGNAL_NAMES.items()}
    with torch.no_grad():
        found = module(VisionTokens(torch.empty(0), values["object_embeds"][0]), given)
    assert_close_to_golden(found, values["out"])


def test_attention_equals_the_formula_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, length, 6, generator=generator) for length in (5, 3, 3))
    expected = torch.empty(2, 5, 6)
    for n in range(2):
        for head in (slice(0, 3), slice(3, 6)):
            weights = torch.softmax(q[n, :, head] @ k[n, :, head].T / 3**0.5, dim=-1)
            expected[n, :, head] = weights @ v[n, :, head]
    assert torch.allclose(attend(q, k, v, heads=2), expected, atol=1e-6)


def test_modulation_equals_equation_1_written_out() -> None:
    torch.manual_seed(0)
    kinds = (Signal("rotation", 3), Signal("gaze", 2), Signal("expression", 5))
    module = MotionModulation(4, 1, kinds)
    texture = torch.randn(1, 2, 4)
    values = {"expression": torch.randn(1, 5), "rotation": torch.randn(1, 3), "gaze": torch.randn(1, 2)}
    motion = [module.embeddings[kind.name](values[kind.name][0]) + module.types[i] for i, kind in enumerate(kinds)]
    for patch in range(2):
        query = module.queries(module.norm(texture[0, patch]))
        scores = torch.stack([query @ module.keys(token) / 2 for token in motion])
        mixed = sum(w * module.values(token) for w, token in zip(torch.softmax(scores, 0), motion))
        expected = texture[0, patch] + module.projection(mixed)
        assert torch.allclose(module(texture, values)[0, patch], expected, atol=1e-6)


def test_patches_attend_to_motion_differently(appearance: ModulatedAppearance) -> None:
    """With a single key the softmax is constant, and every patch would be shifted by the same vector."""
    source = tokens(1)
    flat = {name: value[:, 0] for name, value in signals(1, 1).items()}
    shift = appearance.modulation(source.tokens[:, 1:], flat) - source.tokens[:, 1:]
    assert (shift[:, 0] - shift[:, 1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["rotation", "translation", "expression", "gaze"])
def test_permuting_the_values_of_any_signal_changes_the_context(appearance: ModulatedAppearance, name: str) -> None:
    given = signals(2, 3)
    permuted = {**given, name: given[name].roll(1, -1)}
    assert (appearance(tokens(2), permuted) - appearance(tokens(2), given)).abs().max() > 1e-3


def test_swapping_two_signals_of_one_size_changes_the_context(appearance: ModulatedAppearance) -> None:
    given = signals(1, 2)
    swapped = {**given, "rotation": given["translation"], "translation": given["rotation"]}
    assert (appearance(tokens(1), swapped) - appearance(tokens(1), given)).abs().max() > 1e-3


def test_a_batch_of_identities_equals_one_by_one(appearance: ModulatedAppearance) -> None:
    given, source = signals(2, 3), tokens(2)
    together = appearance(source, given)
    assert together.shape == (6, 5, 24)
    for i in range(2):
        one = VisionTokens(*(value[i : i + 1] for value in source))
        alone = appearance(one, {name: value[i : i + 1] for name, value in given.items()})
        assert torch.allclose(together[3 * i : 3 * i + 3], alone, atol=1e-6)


def test_context_is_per_frame_or_averaged_over_the_clip(tiny_config: MimaFaceConfig) -> None:
    given, source = signals(2, 3), tokens(2)
    results: dict[bool, Tensor] = {}
    for each in (True, False):
        torch.manual_seed(0)
        module = build_appearance(replace(tiny_config.appearance, context_per_frame=each))
        results[each] = module(source, given)
    assert not torch.allclose(results[True][0], results[True][1], atol=1e-3)
    for i in range(2):
        mean = results[True][3 * i : 3 * i + 3].mean(dim=0)
        assert all(torch.allclose(results[False][3 * i + f], mean, atol=1e-6) for f in range(3))
    assert torch.equal(averaged(results[True], 3), results[False])


def concatenated(tiny_config: MimaFaceConfig) -> ConcatenatedAppearance:
    torch.manual_seed(0)
    kinds = (Signal("identity", 9), *tiny_config.appearance.signals)
    built = build_appearance(replace(tiny_config.appearance, modulation="concat", signals=kinds))
    assert isinstance(built, ConcatenatedAppearance)
    return built


def test_a_batch_of_concatenated_identities_equals_one_by_one(tiny_config: MimaFaceConfig) -> None:
    module = concatenated(tiny_config)
    given, source = {"identity": torch.randn(2, 9), **signals(2, 3)}, tokens(2)
    together = module(source, given)
    assert together.shape == (6, 5 + 5, 24)
    for i in range(2):
        one = VisionTokens(*(value[i : i + 1] for value in source))
        alone = module(one, {name: value[i : i + 1] for name, value in given.items()})
        assert torch.allclose(together[3 * i : 3 * i + 3], alone, atol=1e-6)


def test_a_missing_or_misshapen_signal_is_named(appearance: ModulatedAppearance) -> None:
    given = signals(1, 2)
    with pytest.raises(InvalidInput, match="gaze is missing"):
        appearance(tokens(1), {name: value for name, value in given.items() if name != "gaze"})
    with pytest.raises(InvalidInput, match="expression has shape"):
        appearance(tokens(1), {**given, "expression": given["expression"][..., :51]})
    with pytest.raises(InvalidInput, match="rotation has shape"):
        appearance(tokens(1), {**given, "rotation": given["rotation"][:, :1]})


def test_dropout_zeroes_whole_samples_at_the_given_rate() -> None:
    context = torch.arange(1.0, 1 + 1000 * 2 * 3).reshape(2000, 3, 1)
    dropped = drop_context(context, frames=2, probability=0.1, generator=torch.Generator().manual_seed(0))
    per_sample = dropped.reshape(1000, 6)
    gone = (per_sample == 0).all(dim=1)
    assert 70 < int(gone.sum()) < 130
    assert torch.equal(per_sample[~gone], context.reshape(1000, 6)[~gone])


def test_gradients_reach_every_weight(appearance: ModulatedAppearance) -> None:
    appearance(tokens(2), signals(2, 3)).square().sum().backward()
    assert not [name for name, weight in appearance.named_parameters() if weight.grad is None]
