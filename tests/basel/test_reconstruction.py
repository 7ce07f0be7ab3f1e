"""Reconstruction network and CurricularFace: golden values, keys of the published files, configurable sizes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mimaface.basel.curricularface import CurricularFace, CurricularFaceConfig
from mimaface.basel.reconstruction import HEADS, PREDICTED, Reconstruction, ReconstructionConfig, ReconstructionNet
from mimaface.evaluation.golden import fill_networks
from mimaface.model.checkpoint import load_weights, without_memory
from mimaface.model.instances import RELEASED_SIGNALS
from model.conftest import assert_close_to_golden, golden, golden_keys

SMALL = CurricularFaceConfig((4, 8, 8, 16), (1, 2, 1, 1), 8, 32)


def released(build: type[nn.Module], keys: str) -> nn.Module:
    module = without_memory(build)
    load_weights(module, fill_networks(golden_keys(keys)), "golden")
    return module.eval()


@torch.no_grad()
def test_golden_of_the_reconstruction_net() -> None:
    values = golden("d3dfr_net")
    net = released(ReconstructionNet, "d3dfr_net")
    assert_close_to_golden(net(values["image"]), values["out"])
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == golden_keys("d3dfr_net")


@torch.no_grad()
def test_golden_of_curricularface() -> None:
    values = golden("curricularface")
    net = released(CurricularFace, "curricularface_ir101")
    found = net(values["crop112"])
    assert_close_to_golden(found.embedding, values["embedding"])
    assert_close_to_golden(found.deep, values["deep"])
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == golden_keys("curricularface_ir101")


def test_a_prediction_is_taken_apart_in_the_order_of_the_heads() -> None:
    values = torch.arange(2 * PREDICTED).reshape(2, PREDICTED)
    signals = Reconstruction(*values.split([257, 4], dim=1)).signals()
    starts, position = {}, 0
    for name, size in HEADS:
        starts[name] = position
        position += size
    assert {name: int(value[0, 0]) for name, value in signals.items()} == {
        "gaze": starts["gaze"], "expression": starts["expression"], "albedo": starts["albedo"],
        "illumination": starts["illumination"], "rotation": starts["rotation"], "translation": starts["translation_xy"],
    }  # fmt: skip
    assert {name: value.shape[1] for name, value in signals.items()} == {
        signal.name: signal.size for signal in RELEASED_SIGNALS if signal.name != "identity"
    }


@torch.no_grad()
def test_a_crop_is_reconstructed_alike_alone_and_in_company() -> None:
    torch.manual_seed(0)
    net = ReconstructionNet(ReconstructionConfig(4, (1, 2, 1), 64)).eval()
    images = torch.rand(3, 3, 64, 64) * 2 - 1
    together = net.reconstruct(images)
    assert together.coefficients.shape == (3, 257)
    assert together.gaze.shape == (3, 4)
    for index in range(3):
        alone = net.reconstruct(images[index : index + 1])
        assert all(torch.allclose(a[0], b[index], atol=1e-6) for a, b in zip(alone, together))
    assert not torch.allclose(together.coefficients[0], together.coefficients[1], atol=1e-4)


@torch.no_grad()
def test_a_small_identity_net_has_the_sizes_it_says() -> None:
    torch.manual_seed(0)
    found = CurricularFace(SMALL).eval()(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert found.deep.shape == (2, SMALL.deep_size) == (2, 16 * 2 * 2)
    assert found.embedding.shape == (2, 8)
    assert CurricularFaceConfig().deep_size == RELEASED_SIGNALS[0].size


@pytest.mark.parametrize("stride", [1, 2])
def test_a_unit_is_its_shortcut_where_its_branch_is_silent(stride: int) -> None:
    from mimaface.basel.curricularface import ResidualUnit

    unit = ResidualUnit(3, 3, stride).eval()
    nn.init.zeros_(unit.res_layer[3].weight)
    x = torch.randn(1, 3, 6, 6)
    assert torch.equal(unit(x), x[:, :, ::stride, ::stride])
