"""Samplers against diffusers' schedulers, which share no code with them, and against invariants of any model."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler
from torch import Tensor

from mimaface.protocol.errors import InvalidInput
from mimaface.sampling import schedule

NOISE = torch.randn(2, 4, 3, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ALPHAS = schedule.scaled_linear_schedule()
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def network(x: Tensor, timestep: Tensor) -> Tensor:
    """A smooth stand-in for the U-Net that depends on all its inputs."""
    return torch.tanh(x * 0.7 + torch.sin(timestep / 300)) + 0.3 * x.roll(1, -1)


def last(steps: object) -> Tensor:
    return list(steps)[-1]  # type: ignore[call-overload, no-any-return]


def test_spacing_and_sigma_of_the_published_pipeline() -> None:
    points = schedule.euler_points(ALPHAS, schedule.linspace_timesteps(25))
    assert [point.timestep for point in points[:3]] == [999, 957.375, 915.75]
    assert points[0].noise == pytest.approx(14.6146, abs=1e-4)
    assert points[-1].noise == 0
    assert len(points) == 26


@pytest.mark.parametrize("steps", [1, 2, 4, 7, 25, 1000])
@pytest.mark.parametrize("spacing", schedule.SPACINGS.values())
def test_spacings_start_at_the_last_timestep_and_fall(spacing: object, steps: int) -> None:
    timesteps = spacing(steps)  # type: ignore[operator]
    assert len(timesteps) == steps
    assert timesteps[0] == 999
    assert all(now > after for now, after in pairwise(timesteps))
    assert timesteps[-1] >= 0


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [2, 4, 25])
def test_euler_equals_diffusers(prediction: str, steps: int) -> None:
    name = {"epsilon": "epsilon", "v": "v_prediction"}[prediction]
    reference = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace", prediction_type=name)
    reference.set_timesteps(steps)
    x = NOISE * reference.init_noise_sigma
    for timestep in reference.timesteps:
        x = reference.step(network(reference.scale_model_input(x, timestep), timestep), timestep, x).prev_sample
    points = schedule.euler_points(ALPHAS, schedule.linspace_timesteps(steps))
    found = last(schedule.euler(schedule.PREDICTIONS[prediction](network), NOISE, points))
    assert (found - x).abs().max() / x.std() < 1e-5


@pytest.mark.parametrize(("prediction", "zero_snr"), [("epsilon", False), ("v", False), ("v", True)])
@pytest.mark.parametrize("eta", [0.0, 0.6])
@pytest.mark.parametrize("steps", [1, 4, 20])
def test_ddim_equals_diffusers(prediction: str, zero_snr: bool, eta: float, steps: int) -> None:
    reference = DDIMScheduler(
        **BETAS,
        timestep_spacing="trailing",
        prediction_type={"epsilon": "epsilon", "v": "v_prediction"}[prediction],
        rescale_betas_zero_snr=zero_snr,
        clip_sample=False,
        set_alpha_to_one=True,
    )
    reference.set_timesteps(steps)
    generator = torch.Generator().manual_seed(5)
    x = NOISE.float()
    for timestep in reference.timesteps:
        x = reference.step(network(x, timestep), timestep, x, eta=eta, generator=generator).prev_sample
    points = schedule.ddim_points(
        schedule.scaled_linear_schedule(zero_terminal_snr=zero_snr), schedule.trailing_timesteps(steps)
    )
    denoise = schedule.PREDICTIONS[prediction](network)
    found = last(schedule.ddim(denoise, NOISE.float(), points, eta, torch.Generator().manual_seed(5)))
    assert (found - x).abs().max() / x.std() < 2e-4


@pytest.mark.parametrize("steps", [1, 3, 30])
def test_a_perfect_denoiser_is_believed_at_any_number_of_steps(steps: int) -> None:
    truth = torch.randn(2, 4, 3, 5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for sampler, points in (
        (schedule.euler, schedule.euler_points(ALPHAS, schedule.linspace_timesteps(steps))),
        (schedule.ddim, schedule.ddim_points(ALPHAS, schedule.trailing_timesteps(steps))),
    ):
        assert torch.allclose(last(sampler(lambda x, point: truth, NOISE, points)), truth)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_training_targets_and_denoisers_are_inverse(prediction: str) -> None:
    clean = torch.randn(NOISE.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    timesteps = torch.tensor([30, 800])
    noisy = schedule.add_noise(ALPHAS, clean, NOISE, timesteps)
    target = schedule.training_target(prediction, ALPHAS, clean, NOISE, timesteps)
    for sample in (0, 1):
        point = schedule.ddim_points(ALPHAS, [float(timesteps[sample])])[0]
        denoise = schedule.PREDICTIONS[prediction](lambda x, t, s=sample: target[s])  # type: ignore[misc]
        assert torch.allclose(denoise(noisy[sample], point), clean[sample])


def test_zero_terminal_snr_is_zero_at_the_end_only_and_keeps_the_beginning() -> None:
    alphas = schedule.scaled_linear_schedule(zero_terminal_snr=True)
    assert alphas[-1] == 0
    assert alphas[-2] > 0
    assert alphas[0] == pytest.approx(float(ALPHAS[0]))
    with pytest.raises(InvalidInput, match="ddim"):
        schedule.euler_points(alphas, [999.0])


def test_min_snr_weights_by_the_formula() -> None:
    timesteps = torch.tensor([0, 500, 999])
    snr = ALPHAS[timesteps] / (1 - ALPHAS[timesteps])
    expected = torch.minimum(snr, torch.tensor(5.0)) / snr
    assert torch.allclose(schedule.min_snr_weight("epsilon", ALPHAS, timesteps), expected.float())
    clean = schedule.min_snr_weight("sample", ALPHAS, timesteps)
    assert torch.allclose(clean, (torch.minimum(snr, torch.tensor(5.0)) + 1).float())
    assert torch.allclose(schedule.min_snr_weight("v", ALPHAS, timesteps), clean / (snr + 1).float())


def test_no_step_is_without_weight_even_at_a_zero_terminal_snr() -> None:
    alphas = schedule.scaled_linear_schedule(zero_terminal_snr=True)
    for prediction in ("v", "sample"):
        assert (schedule.min_snr_weight(prediction, alphas, torch.arange(1000)) > 0).all()
        assert schedule.min_snr_weight(prediction, alphas, torch.tensor([999])) == 1


def test_guidance_of_one_runs_one_pass_and_any_other_one_pass_of_both() -> None:
    batches: list[int] = []

    def model(x: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        batches.append(len(x))
        return x + context.sum(dim=(1, 2)).reshape(-1, 1, 1, 1, 1)

    x = NOISE[:, :, :1]
    context = torch.arange(12.0, dtype=torch.float64).reshape(2, 3, 2)  # distinct per sample
    total = context.sum(dim=(1, 2)).reshape(-1, 1, 1, 1, 1)
    assert torch.equal(schedule.guidance(model, context, 1.0)(x, torch.tensor(9.0)), x + total)
    assert torch.allclose(schedule.guidance(model, context, 5.0)(x, torch.tensor(9.0)), x + 5 * total)
    assert torch.allclose(schedule.guidance(model, context, 0.5)(x, torch.tensor(9.0)), x + 0.5 * total)
    assert batches == [2, 4, 4]


def test_interleaved_samplers_do_not_disturb_each_other() -> None:
    points = schedule.euler_points(ALPHAS, schedule.linspace_timesteps(5))
    denoise = schedule.from_epsilon(network)
    alone = [last(schedule.euler(denoise, noise, points)) for noise in NOISE]
    together = list(zip(*(schedule.euler(denoise, noise, points) for noise in NOISE)))
    assert len(together) == 5, "one yield per step"
    assert all(torch.equal(a, b) for a, b in zip(together[-1], alone))


def test_ddim_without_eta_uses_no_randomness() -> None:
    points = schedule.ddim_points(ALPHAS, schedule.trailing_timesteps(4))
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    last(schedule.ddim(schedule.from_epsilon(network), NOISE, points, generator=generator))
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_a_batch_of_timesteps_means_what_each_means_by_itself(prediction: str) -> None:
    alphas = schedule.scaled_linear_schedule()
    draw = torch.Generator().manual_seed(0)
    x, output = (torch.randn(3, 4, 2, 2, 2, generator=draw) for _ in range(2))
    points = schedule.ddim_points(alphas, [999.0, 400.0, 3.0])[:3]
    signal, noise = (torch.tensor([getattr(one, name) for one in points]).reshape(3, 1, 1, 1, 1) for name in ("signal", "noise"))
    found = schedule.clean_of(prediction, output, x, signal, noise)
    for item, point in enumerate(points):
        one = schedule.PREDICTIONS[prediction](lambda *_, said=output[item]: said)(x[item], point)
        assert torch.allclose(found[item], one, rtol=1e-4, atol=1e-4)
