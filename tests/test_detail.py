"""Detail transfer: kept where the generator agrees, given up where it does not, seamless at the border."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mimaface.detail import COARSE, FEATHER, Layer, agreement, coarse, resized, with_detail


def texture(side: int, seed: int = 0) -> torch.Tensor:
    """A smooth picture with fine grain, (1, 3, side, side) in [−1, 1]."""
    draw = torch.Generator().manual_seed(seed)
    smooth = resized(torch.rand(1, 3, 6, 6, generator=draw) - 0.5, (side, side))
    return (smooth + 0.2 * (torch.rand(1, 3, side, side, generator=draw) - 0.5)).clamp(-1, 1)


def test_where_the_generator_agrees_the_photograph_stays_whole():
    posed = texture(192)
    small = resized(posed, (64, 64))
    held = torch.nn.functional.avg_pool2d(small, 3, 1, 1, count_include_pad=False)  # an autoencoder that blurs
    assert (with_detail(held, Layer.of(posed, small, held)) - posed).abs().max() < 1e-5


def test_where_it_does_not_the_generated_picture_is_shown():
    posed = texture(192)
    small = resized(posed, (64, 64))
    generated = small.clone()
    generated[:, :, 20:44, 20:44] = 0.9  # an open mouth, say
    result = with_detail(generated, Layer.of(posed, small, small))
    assert (result[:, :, 72:120, 72:120] - 0.9).abs().mean() < 0.03, "none of the old grain is on it"
    assert (result[:, :, :8] - posed[:, :, :8]).abs().max() < 1e-5, "far away nothing has changed"


def test_a_blurred_picture_of_the_same_thing_keeps_the_photograph_sharp():
    posed = 0.4 * texture(192)
    small = resized(posed, (64, 64))
    generated = coarse(small) + 0.05  # unsure of every detail, and a little brighter
    result = with_detail(generated, Layer.of(posed, small, small))
    middle = slice(96 - 24, 96 + 24)

    def grain(images):
        return (images - coarse(images))[..., middle, middle].std()

    assert (result - posed)[..., middle, middle].mean() > 0.015, "the brighter light is taken"
    assert grain(result) > 0.65 * grain(posed), "the blur is not"
    assert grain(resized(generated, (192, 192))) < 0.4 * grain(posed), "which it had"


def test_coarse_structure_is_two_box_filters_a_side():
    pictures = torch.cat([texture(64, 1), texture(64, 2)])
    expected = pictures
    for _ in range(2):
        padded = torch.nn.functional.pad(expected, (COARSE,) * 4, mode="replicate")
        expected = torch.nn.functional.avg_pool2d(padded, 2 * COARSE + 1, 1)
    assert torch.allclose(coarse(pictures), expected, atol=1e-6)


def test_the_border_is_the_photograph_whatever_is_generated():
    posed = texture(128)
    small = resized(posed, (64, 64))
    result = with_detail(-small, Layer.of(posed, small, small))
    for edge in (result[..., 0, :] - posed[..., 0, :], result[..., :, -1] - posed[..., :, -1]):
        assert edge.abs().mean() < 0.02
    middle = slice(2 * FEATHER + 8, -2 * FEATHER - 8)
    assert (result - posed)[..., middle, middle].abs().mean() > 0.1


@settings(max_examples=20, deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_agreement_falls_with_the_difference(low, high):
    base = texture(64)
    near, far = (agreement(torch.full_like(base, shift)) for shift in sorted((low, high)))
    assert (far >= 0).all() and (far <= near + 1e-6).all() and (near <= 1).all()
