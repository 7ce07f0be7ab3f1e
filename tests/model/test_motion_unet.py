from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.unets.unet_motion_model import UNetMotionModel
from torch import Tensor

from mimaface.evaluation.golden import fill_weights
from mimaface.model.appearance import repeat_frames
from mimaface.model.checkpoint import check_weights, load_weights, without_memory
from mimaface.model.instances import DEMO, SD15_UNET
from mimaface.model.motion_unet import (
    MotionUNet,
    build_motion_unet,
    from_animatediff,
    initialise_for_training,
    is_temporal,
    to_animatediff,
    widened,
)
from mimaface.protocol.errors import InvalidCheckpoint

from .conftest import assert_close_to_golden, awaken, golden, golden_keys, tiny_unet

GOLDEN_UNET = {**SD15_UNET, "block_out_channels": (32, 64, 64, 64), "cross_attention_dim": 48}


@pytest.fixture(scope="module")
def golden_unet() -> MotionUNet:
    unet = without_memory(lambda: build_motion_unet(GOLDEN_UNET))
    load_weights(unet, from_animatediff(fill_weights(golden_keys("motion_unet_small"))), "golden")
    return unet.eval()


@pytest.fixture
def unet() -> MotionUNet:
    torch.manual_seed(0)
    built = build_motion_unet(tiny_unet())
    awaken(built)
    return built.eval()


def inputs(batch: int = 2, frames: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Returns inputs that differ by sample and frame: sample (B, 13, F, 8, 8), timestep (B,), context (B·F, 5, 24)."""
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randn(batch, 13, frames, 8, 8, generator=generator)
    timestep = torch.linspace(900, 100, batch)
    return sample, timestep, torch.randn(batch * frames, 5, 24, generator=generator)


@pytest.mark.parametrize("case", [0, 1])
def test_golden(golden_unet: MotionUNet, case: int) -> None:
    values = golden("motion_unet")
    sample = values[f"sample.{case}"]
    context = repeat_frames(values[f"context.{case}"], sample.shape[2])
    with torch.no_grad():
        found = golden_unet(sample, values[f"timestep.{case}"], context)
    assert_close_to_golden(found, values[f"out.{case}"])


def test_stock_diffusers_misses_the_golden_because_it_normalises_across_frames(golden_unet: MotionUNet) -> None:
    stock = UNetMotionModel(**GOLDEN_UNET)
    stock.load_state_dict(golden_unet.state_dict(), strict=False)
    values = golden("motion_unet")
    with torch.no_grad():
        context = repeat_frames(values["context.0"], 6)
        found = stock(values["sample.0"], values["timestep.0"], context).sample
    assert (found - values["out.0"]).abs().max() > 0.1


@pytest.mark.parametrize("by_matmul", [False, True])
@pytest.mark.parametrize("config", [GOLDEN_UNET, {**GOLDEN_UNET, "use_linear_projection": True}, DEMO.unet], ids=("sd15", "sd2", "demo"))
def test_one_frame_is_diffusers_own_to_the_bit(config: dict[str, object], by_matmul: bool) -> None:
    """Norms of one frame are those of a clip of one; attention of it to itself is skipped here, and changes nothing there."""
    torch.manual_seed(0)
    stock, unet = UNetMotionModel(**config).eval(), build_motion_unet(config).eval()
    awaken(stock)
    stored = {key: value for key, value in stock.state_dict().items() if not key.endswith(".pe")}
    check_weights(stored, unet.state_dict(), "ours")
    load_weights(unet, stored, "diffusers'")
    if by_matmul:
        stock.set_attn_processor(AttnProcessor())
        unet.attend_by_matmul(spatial=True)
    sample = torch.randn(2, int(str(config["in_channels"])), 1, 16, 16)
    given = sample, torch.tensor([957.375, 20.0]), torch.randn(2, 5, int(str(config["cross_attention_dim"])))
    with torch.no_grad():
        assert torch.equal(unet(*given), stock(*given).sample)


def test_gradient_checkpointing_changes_no_gradient(unet: MotionUNet) -> None:
    def gradients() -> list[Tensor]:
        unet.zero_grad()
        unet(*inputs()).square().mean().backward()
        return [weight.grad.clone() for weight in unet.parameters() if weight.grad is not None]

    plain = gradients()
    unet.enable_gradient_checkpointing()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients(), plain, strict=True))


def test_full_size_keys_and_shapes_are_those_of_the_released_checkpoint() -> None:
    unet = without_memory(lambda: build_motion_unet(SD15_UNET))
    released = {key: torch.empty(shape, device="meta") for key, shape in golden_keys("motion_unet_sd15").items()}
    check_weights(unet.state_dict(), from_animatediff(released), "released")
    check_weights(released, to_animatediff(unet.state_dict()), "ours")
    assert sum(value.numel() for value in released.values()) == pytest.approx(1.278e9, rel=1e-3)


def test_renaming_there_and_back_keeps_every_weight(golden_unet: MotionUNet) -> None:
    ours = golden_unet.state_dict()
    theirs = to_animatediff(ours)
    assert theirs.keys() == golden_keys("motion_unet_small").keys()
    back = from_animatediff({f"module.{key}": value for key, value in theirs.items()})
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[key], ours[key]) for key in ours)


def test_a_foreign_position_table_is_refused(golden_unet: MotionUNet) -> None:
    theirs = to_animatediff(golden_unet.state_dict())
    key = next(key for key in theirs if key.endswith("pos_encoder.pe"))
    theirs[key] = theirs[key] + 0.1
    with pytest.raises(InvalidCheckpoint, match="sinusoidal"):
        from_animatediff(theirs)


def test_a_position_table_in_half_precision_is_accepted(golden_unet: MotionUNet) -> None:
    theirs = {key: value.half() for key, value in to_animatediff(golden_unet.state_dict()).items()}
    assert from_animatediff(theirs).keys() == golden_unet.state_dict().keys()


def test_samples_of_a_batch_do_not_mix(unet: MotionUNet) -> None:
    sample, timestep, context = inputs(batch=2, frames=3)
    with torch.no_grad():
        together = unet(sample, timestep, context)
        for i in range(2):
            alone = unet(sample[i : i + 1], timestep[i : i + 1], context[3 * i : 3 * i + 3])
            assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


def test_each_frame_has_its_own_context(unet: MotionUNet) -> None:
    unet.enable_motion(False)
    sample, timestep, context = inputs(batch=2, frames=3)
    changed = context.clone()
    changed[4] += 1  # sample 1, frame 1
    with torch.no_grad():
        difference = (unet(sample, timestep, changed) - unet(sample, timestep, context)).abs().amax(dim=(1, 3, 4))
    assert difference[1, 1] > 1e-3
    difference[1, 1] = 0
    assert not difference.any()


def test_frames_see_each_other_through_the_motion_modules(unet: MotionUNet) -> None:
    sample, timestep, context = inputs(batch=1, frames=3)
    changed = sample.clone()
    changed[:, :, 2] += 1
    with torch.no_grad():
        difference = unet(changed, timestep, context) - unet(sample, timestep, context)
    assert difference[:, :, 0].abs().max() > 1e-4


def test_with_motion_at_its_zero_initialisation_a_frame_equals_the_same_frame_alone(unet: MotionUNet) -> None:
    initialise_for_training(unet, affinity_channels=5)
    sample, timestep, context = inputs(batch=2, frames=3)
    with torch.no_grad():
        together = unet(sample, timestep, context)
        for i in range(2):
            for f in range(3):
                row = 3 * i + f
                alone = unet(sample[i : i + 1, :, f : f + 1], timestep[i : i + 1], context[row : row + 1])
                assert torch.allclose(together[i : i + 1, :, f : f + 1], alone, atol=1e-5)
        unet.enable_motion(False)
        assert torch.allclose(unet(sample, timestep, context), together, atol=1e-5)


def test_zero_w_cond_ignores_the_previous_clip_and_others_do_not(unet: MotionUNet) -> None:
    sample, timestep, context = inputs()
    other = sample.clone()
    other[:, -5:] = torch.randn(other[:, -5:].shape, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        assert not torch.allclose(unet(sample, timestep, context), unet(other, timestep, context), atol=1e-3)
        initialise_for_training(unet, affinity_channels=5)
        assert torch.equal(unet(sample, timestep, context), unet(other, timestep, context))


def test_the_widened_u_net_equals_the_image_model_it_came_from(unet: MotionUNet) -> None:
    torch.manual_seed(1)
    image_model = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=8,
    ).eval()
    spatial = image_model.state_dict()
    spatial["conv_in.weight"] = widened(spatial["conv_in.weight"], 13)
    temporal = {key: value for key, value in unet.state_dict().items() if is_temporal(key)}
    unet.load_state_dict({**spatial, **temporal})
    initialise_for_training(unet, affinity_channels=5)
    sample, timestep, context = inputs(batch=2, frames=3)
    with torch.no_grad():
        found = unet(sample, timestep, context)
        for f in range(3):
            expected = image_model(sample[:, :4, f], timestep, context[f::3]).sample
            assert torch.allclose(found[:, :, f], expected, atol=1e-5)


def test_matmul_and_fused_attention_agree(unet: MotionUNet) -> None:
    with torch.no_grad():
        fused = unet(*inputs())
        unet.attend_by_matmul()
        assert torch.allclose(unet(*inputs()), fused, atol=1e-5)


def test_memory_format_does_not_change_the_result(unet: MotionUNet) -> None:
    with torch.no_grad():
        expected = unet(*inputs())
        unet.to(memory_format=torch.channels_last)
        assert torch.allclose(unet(*inputs()), expected, atol=1e-5)


def test_a_half_precision_model_keeps_its_time_embedding_in_float32(unet: MotionUNet) -> None:
    sample, timestep, context = inputs()
    with torch.no_grad():
        expected = unet(sample, timestep, context)
        half = unet.to(torch.bfloat16)
        half.time_embedding.float()
        found = half(sample.bfloat16(), timestep, context.bfloat16())
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().max() / expected.std() < 0.1


def test_gradients_reach_every_weight(unet: MotionUNet) -> None:
    unet(*inputs()).square().mean().backward()
    assert not [name for name, weight in unet.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("field", [{"use_motion_mid_block": True}, {"addition_embed_type": "text_time"}, {"act_fn": "gelu"}, {"novel": 1}])
def test_a_configuration_of_another_family_is_refused(field: dict[str, object]) -> None:
    with pytest.raises(InvalidCheckpoint, match=next(iter(field))):
        build_motion_unet(tiny_unet(**field))


def test_an_input_layer_cannot_be_narrowed() -> None:
    with pytest.raises(InvalidCheckpoint, match="conv_in"):
        widened(torch.zeros(8, 9, 3, 3), 4)
