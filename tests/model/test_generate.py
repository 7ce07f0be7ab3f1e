"""The clip loop: any length, resumable, fresh noise per clip; and golden noise levels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mimaface.engines.torch_engine import TorchEngine
from mimaface.model.family import MimaFaceModel
from mimaface.model.vision import VisionTokens
from mimaface.protocol.errors import InvalidInput, NotFinite
from mimaface.sampling import schedule
from mimaface.sampling.clips import Clip, ClipPlan
from mimaface.sampling.sampler import ClipInputs, GeneratedClip, clip_noise, generate_clips

from .conftest import golden, signals, tokens


@pytest.fixture
def engine(tiny_model: MimaFaceModel) -> TorchEngine:
    return TorchEngine(tiny_model)


def driven(clip: Clip) -> ClipInputs:
    """Returns inputs that depend only on the shot's frame."""
    renders = [torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(frame)) for frame in clip.frames]
    motion = [signals(1, 1, seed=frame) for frame in clip.frames]
    return ClipInputs({"render": torch.stack(renders)}, {name: torch.cat([m[name][0] for m in motion]) for name in motion[0]})


def run(engine: TorchEngine, frames: int, seed: int = 1, **options: object) -> list[GeneratedClip]:
    plan = ClipPlan(frames, engine.config.clip_length, engine.config.overlap)
    steps = generate_clips(engine, plan, tokens(1), driven, seed, **options)  # type: ignore[arg-type]
    return [clip for clip in steps if clip is not None]


def test_golden_noise_levels_and_timesteps() -> None:
    """``mimaface golden`` compares the latents of two clips denoised with them, see test_golden_check."""
    values = golden("sampler")
    points = schedule.euler_points(schedule.scaled_linear_schedule(), schedule.linspace_timesteps(25))
    assert torch.allclose(torch.tensor([point.noise for point in points]), values["sigmas"], atol=1e-4)
    assert torch.equal(torch.tensor([point.timestep for point in points[:-1]]), values["timesteps"])


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 9])
def test_any_length_gives_each_frame_once(engine: TorchEngine, frames: int) -> None:
    clips = run(engine, frames)
    assert [frame for clip in clips for frame in clip.clip.new] == list(range(frames))
    latents = torch.cat([clip.new for clip in clips])
    assert latents.shape == (frames, 4, 8, 8)
    assert latents.isfinite().all()


def test_one_yield_per_step_then_the_clip(engine: TorchEngine) -> None:
    plan = ClipPlan(7, 4, 1)
    kinds = [clip is None for clip in generate_clips(engine, plan, tokens(1), driven, 1, steps=2)]
    assert kinds == [True, True, False] * 2


def test_a_resumed_run_continues_exactly(engine: TorchEngine) -> None:
    whole = run(engine, 10)
    resumed = run(engine, 10, first=2, previous=whole[1].tail(1))
    assert [clip.clip.index for clip in resumed] == [2]
    assert torch.equal(resumed[0].latents, whole[2].latents)


def test_resuming_needs_the_latents_before(engine: TorchEngine) -> None:
    with pytest.raises(InvalidInput, match="clip 2"):
        run(engine, 10, first=2)


def test_the_clip_before_shows_unless_w_cond_is_zero(engine: TorchEngine) -> None:
    other = torch.randn(1, 4, 8, 8)
    assert not torch.allclose(run(engine, 7, first=1, previous=other)[0].latents, run(engine, 7)[1].latents, atol=1e-3)
    with torch.no_grad():
        engine._model.unet.conv_in.weight[:, -5:] = 0
    assert torch.equal(run(engine, 7, first=1, previous=other)[0].latents, run(engine, 7)[1].latents)


def test_noise_is_of_the_seed_and_the_clip_alone() -> None:
    plan = ClipPlan(10, 4, 1)
    first, second = (clip_noise(1, plan[index], driven(plan[index]), 4) for index in (0, 1))
    assert not torch.equal(first, second), "fresh for every clip"
    assert torch.equal(first, clip_noise(1, ClipPlan(99, 4, 1)[0], driven(plan[0]), 4))
    assert not torch.equal(first, clip_noise(2, plan[0], driven(plan[0]), 4))
    assert first.shape == (1, 4, 4, 8, 8)
    assert float(first.std()) == pytest.approx(1, abs=0.1)


def test_the_same_seed_gives_the_same_bytes(engine: TorchEngine) -> None:
    first, again, other = run(engine, 5), run(engine, 5), run(engine, 5, seed=2)
    assert all(torch.equal(a.latents, b.latents) for a, b in zip(first, again))
    assert not torch.equal(first[0].latents, other[0].latents)


@pytest.mark.parametrize(("guidance", "batch"), [(1.0, 1), (3.0, 2)])
def test_guidance_of_one_runs_the_network_once_a_step(engine: TorchEngine, guidance: float, batch: int) -> None:
    seen: list[int] = []
    network = engine.denoise

    def watched(sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        seen.append(len(sample))
        return network(sample, timestep, context)

    engine.denoise = watched  # type: ignore[method-assign]
    run(engine, 4, guidance=guidance, steps=3)
    assert seen == [batch] * 3


def test_inputs_are_asked_for_once_a_clip_and_only_when_their_turn_comes(engine: TorchEngine) -> None:
    asked: list[int] = []

    def watched(clip: Clip) -> ClipInputs:
        asked.append(clip.index)
        return driven(clip)

    steps = generate_clips(engine, ClipPlan(1000, 4, 1), tokens(1), watched, 1, steps=1)
    assert asked == []
    finished = [next(steps) for _ in range(6)]
    assert asked == [0, 1, 2]
    assert sum(clip is not None for clip in finished) == 3


def test_motion_and_portrait_reach_the_picture(engine: TorchEngine) -> None:
    plan = ClipPlan(4, 4, 1)

    def result(inputs: Callable[[Clip], ClipInputs], source: VisionTokens) -> Tensor:
        clips = [clip for clip in generate_clips(engine, plan, source, inputs, 1) if clip is not None]
        return clips[0].latents

    def still(clip: Clip) -> ClipInputs:
        given = driven(clip)
        return ClipInputs(given.conditions, {**given.signals, "gaze": torch.zeros(4, 4)})

    expected = result(driven, tokens(1))
    assert (result(still, tokens(1)) - expected).abs().max() > 1e-3
    assert (result(driven, tokens(1, seed=5)) - expected).abs().max() > 1e-3


def test_an_engine_opens_a_folder_in_bfloat16(tiny_model: MimaFaceModel, tmp_path: object) -> None:
    tiny_model.save_pretrained(str(tmp_path))
    engine = TorchEngine.open(str(tmp_path))
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    latents = engine.encode_images(images)
    assert latents.shape == (3, 4, 8, 8)
    assert latents.dtype == torch.float32
    assert engine.decode_latents(latents).shape == images.shape
    assert engine._model.unet.time_embedding.linear_1.weight.dtype == torch.float32
    source = engine.encode_source(images[:1])
    plan = ClipPlan(5, 4, 1)
    clips = [clip for clip in generate_clips(engine, plan, source, driven, 1) if clip is not None]
    exact = TorchEngine.open(str(tmp_path), dtype=torch.float32)
    expected = [c for c in generate_clips(exact, plan, exact.encode_source(images[:1]), driven, 1) if c is not None]
    assert (clips[0].latents - expected[0].latents).abs().mean() / expected[0].latents.std() < 0.1


@pytest.mark.parametrize("steps", [0, 1001])
def test_a_number_of_steps_out_of_range_is_refused(engine: TorchEngine, steps: int) -> None:
    with pytest.raises(InvalidInput, match="steps"):
        run(engine, 4, steps=steps)


def spoil(monkeypatch: pytest.MonkeyPatch, calls: range, value: float) -> None:
    """Makes one latent of the clip's third frame non-finite in the network calls numbered ``calls``."""
    real, count = TorchEngine.denoise, [0]

    def spoiled(engine: TorchEngine, *arguments: Tensor) -> Tensor:
        found = real(engine, *arguments).clone()
        count[0] += 1
        if count[0] - 1 in calls:
            found[0, 1, 2, 3, 4] = value
        return found

    monkeypatch.setattr(TorchEngine, "denoise", spoiled)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("call", [0, 2, 4])
def test_a_step_that_is_not_finite_once_changes_nothing(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, call: int, value: float
) -> None:
    whole = run(engine, 7)
    spoil(monkeypatch, range(call, call + 1), value)
    again = run(engine, 7)
    assert all(torch.equal(one.latents, two.latents) for one, two in zip(whole, again, strict=True))


@pytest.mark.parametrize(("first", "frame", "clips"), [(0, 2, 0), (3, 5, 1)])
def test_a_step_that_is_never_finite_is_named_and_its_clip_never_given(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, first: int, frame: int, clips: int
) -> None:
    whole = run(engine, 7)
    spoil(monkeypatch, range(first, 1000), float("nan"))
    made: list[GeneratedClip] = []
    steps = generate_clips(engine, ClipPlan(7, engine.config.clip_length, engine.config.overlap), tokens(1), driven, 1)
    with pytest.raises(
        NotFinite, match=f"^step 1 of 3 gave, for frame {frame}, numbers that are not finite, twice – resume the take"
    ):
        made.extend(clip for clip in steps if clip is not None)  # keeps earlier clips
    assert len(made) == clips
    assert all(torch.equal(one.latents, two.latents) for one, two in zip(made, whole))
