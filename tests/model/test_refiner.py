"""The refiner warps and relights the photograph at any size without blurring it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mimaface.model.config import RefinerConfig
from mimaface.model.refiner import (
    FEATHER,
    Refinement,
    Refiner,
    feather,
    feathered,
    refined,
    refined_rows,
)  # fmt: skip

from .conftest import awaken

SIDE = 64  # of the generated picture: latents of 16² × 4, in blocks of 2 pixels


def inputs(count: int, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    latents = {name: torch.randn(count, 4, 16, 16, generator=draw) for name in ("latents", "render", "source", "source_normals")}
    picture = torch.rand(count, 3, SIDE, SIDE, generator=draw) * 2 - 1
    normals = torch.randn(count, 4, 32, 32, generator=draw)
    provenance = torch.rand(count, 3, 32, 32, generator=draw)
    return {**latents, "picture": picture, "normals": normals, "provenance": provenance / provenance.sum(1, keepdim=True)}


def from_one(kind: int, count: int = 2) -> Tensor:
    """Returns the provenance of pictures whose left half is all photographed person, inpainted or background; the right half is
    background.
    """
    provenance = torch.zeros(count, 3, 32, 32)
    provenance[:, kind, :, :16] = 1
    provenance[:, 2, :, 16:] = 1
    return provenance


def still(count: int = 1, places: int = 32) -> Refinement:
    return Refinement(
        torch.zeros(count, 2, places, places), torch.ones(count, 3, places, places), torch.zeros(count, 3, places, places)
    )


def texture(side: int, scale: float = 1.0) -> Tensor:
    """Returns a smooth picture (1, 3, side, side) of the same scene at any size."""
    place = (torch.arange(side) + 0.5) / side
    waves = [torch.sin(scale * (9 + 3 * k) * place[:, None] + k) * torch.cos(scale * (11 - 2 * k) * place) for k in range(3)]
    return 0.8 * torch.stack(waves)[None]


@pytest.fixture
def refiner() -> Refiner:
    torch.manual_seed(2)
    found = Refiner(4, 2, RefinerConfig(fine_width=8, width=8)).eval()
    awaken(found, 0.5)
    return found


@torch.no_grad()
def test_a_fresh_refiner_changes_nothing() -> None:
    given = inputs(2)
    change = Refiner(4, 2, RefinerConfig(fine_width=8, width=8))(**given)
    assert change.flow.shape == (2, 2, 32, 32)
    assert torch.allclose(refined(given["picture"], change, SIDE), given["picture"], atol=1e-5)


@torch.no_grad()
def test_pictures_of_a_batch_are_drawn_as_one_by_one(refiner: Refiner) -> None:
    given = inputs(3)
    together = refined(given["picture"], refiner(**given), SIDE)
    alone = [refined(given["picture"][i : i + 1], refiner(**{k: v[i : i + 1] for k, v in given.items()}), SIDE) for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-3), "noise, that a millionth of a pixel changes"


@torch.no_grad()
def test_rows_of_a_large_picture_are_those_of_the_whole(refiner: Refiner) -> None:
    """Strips of 256 rows give the bits that one call over the whole picture gives."""
    picture, change = texture(600), refiner(**inputs(1))
    flow, gain, bias = (torch.nn.functional.interpolate(value, (600, 600), mode="bilinear", align_corners=False) for value in change)
    place = (torch.arange(600, dtype=torch.float32) * 2 + 1) / 600 - 1
    grid = torch.stack([place.expand(600, -1) + flow[:, 0] * (2 / SIDE), place[:, None] + flow[:, 1] * (2 / SIDE)], -1)
    moved = torch.nn.functional.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)
    whole = (moved + 1) * gain - 1 + 2 * bias
    parts = list(refined_rows(picture, change, SIDE))
    assert [rows for rows, _ in parts] == [slice(0, 256), slice(256, 512), slice(512, 600)]
    assert all(torch.equal(part, whole[:, :, rows]) for rows, part in parts)
    assert torch.equal(refined(picture, change, SIDE), whole)


@torch.no_grad()
@pytest.mark.parametrize("name", ["latents", "render", "source", "picture", "normals", "source_normals", "provenance"])
def test_every_input_counts(refiner: Refiner, name: str) -> None:
    given, other = inputs(1), inputs(1, seed=1)
    assert not torch.allclose(refiner(**given).flow, refiner(**{**given, name: other[name]}).flow)


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "cover", "gain", "bias"),
    [(0, 1, 0.4, 0.3), (0, 0, 0.4, 0.3), (1, 1, 2.5, 1.0), (1, 0, 0.0, 0.0), (2, 1, 0.0, 0.0)],
)
def test_changes_are_bounded_whatever_the_weights(
    refiner: Refiner, kind: int, cover: float, gain: float, bias: float
) -> None:
    """Inpainted parts of the head may take any colour, the person becomes lighter or darker; the background only moves."""
    given = {name: 100 * value for name, value in inputs(2).items()}
    given["normals"][:, 3], given["provenance"] = cover, from_one(kind)
    change = refiner(**given)
    assert change.flow.abs().max() <= 12 and change.flow.abs().max() > 1
    for value, most in ((change.gain.log(), gain), (change.bias, bias)):
        assert value[..., :16].abs().max() == pytest.approx(most, rel=0.01)
        assert not value[..., 16:].any()
    assert change.flow[..., 16:].any()


@pytest.mark.parametrize("size", [64, 128, 192])
def test_a_shift_is_the_same_part_of_the_scene_at_any_size(size: int) -> None:
    """Displacements of 3 and 1 pixels of the generated picture scale with the output size; axes are not swapped."""
    change = still()
    change.flow[:, 0], change.flow[:, 1] = 3.0, -1.0
    picture, k = texture(size), size // SIDE
    moved = refined(picture, change, SIDE)
    assert torch.allclose(moved[:, :, 2 * k : -8 * k, 2 * k : -8 * k], picture[:, :, k : -9 * k, 5 * k : -5 * k], atol=1e-4)


def test_gain_keeps_black_black_and_grain_sharp() -> None:
    change = still()._replace(gain=torch.full((1, 3, 32, 32), 0.7))
    picture = 0.5 * texture(128, 8.0) - 0.5
    picture[:, :, 40:60] = -1
    lit = refined(picture, change, SIDE)
    assert torch.allclose(lit + 1, 0.7 * (picture + 1), atol=1e-5)
    assert (lit[:, :, 40:60] == -1).all()


def test_bias_adds_to_rgb_between_0_and_1() -> None:
    change = still()._replace(bias=torch.full((1, 3, 32, 32), 0.1))
    assert torch.allclose(refined(texture(64), change, SIDE), texture(64) + 0.2, atol=1e-5)


def test_nothing_changes_at_the_border() -> None:
    change = Refinement(torch.full((1, 2, 32, 32), 5.0), torch.full((1, 3, 32, 32), 1.4), torch.full((1, 3, 32, 32), 0.2))
    picture = texture(128)
    result = refined(picture, feathered(change, SIDE), SIDE)
    for edge in (result[..., 0, :] - picture[..., 0, :], result[..., -1] - picture[..., -1]):
        assert edge.abs().max() < 0.02
    middle = feathered(still()._replace(gain=torch.full((1, 3, 32, 32), 1.4)), 2 * FEATHER + 8).gain[..., 15:17, 15:17]
    assert torch.allclose(middle, torch.full_like(middle, 1.4)), "and in the middle all of it"


@pytest.mark.parametrize("count", [32, 64, 130])
def test_the_feather_is_symmetric_and_rises(count: int) -> None:
    shares = feather(count, SIDE)
    assert torch.allclose(shares, shares.T) and torch.allclose(shares, shares.flip(0), atol=1e-6)
    assert (shares[count // 2, : count // 2].diff() >= 0).all()
