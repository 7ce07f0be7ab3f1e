"""The loop: learns, resumes bit for bit, writes complete checkpoints, stops at non-finite numbers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mimaface.engines.precision import fast_dtype
from mimaface.protocol.errors import InternalError, InvalidCheckpoint, InvalidInput
from mimaface.renderers.registry import SHIPPED
from mimaface.training import checkpoints
from mimaface.training.config import STAGES, Losses, TrainingConfig
from mimaface.training.loop import train
from training_fixtures import settings, stage, tiny_model, weights


def losses(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "curves"))
    events.Reload()
    return [event.value for event in events.Scalars("denoising")]


def test_training_learns_and_leaves_a_model(tmp_path, store):
    config = settings(steps=61, batch=8, learning_rate=3e-3, evaluate_every=60)
    learner = stage(config, store)
    assert train(learner, config, tmp_path / "run") == 61
    curve = losses(tmp_path / "run")
    assert np.mean(curve[-2:]) < 0.8 * np.mean(curve[:2])
    assert (tmp_path / "run" / "sheets" / "0000060.jpg").exists()
    from mimaface.model.family import MimaFaceModel

    saved = MimaFaceModel.from_pretrained(tmp_path / "run" / "model")
    assert not np.array_equal(weights(saved.unet), weights(tiny_model().unet))


@pytest.mark.parametrize(
    ("kind", "frames", "adversary"), [("image", 2, 0.0), ("video", 5, 0.0), ("image", 2, 0.05), ("video", 5, 0.05)]
)
def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(tmp_path, store, kind, frames, adversary):
    config = settings(stage=kind, frames=frames, adversary_weight=adversary)
    whole = stage(config, store)
    train(whole, config, tmp_path / "whole")
    _train_until(stage(config, store), config, tmp_path / "broken", 4)
    rest = stage(config, store)
    with torch.no_grad():  # trained weights must come from the checkpoint
        for value in rest.trainee.parameters():
            value.add_(1.0 * value.requires_grad)
    assert train(rest, config, tmp_path / "broken") == 6
    assert np.array_equal(weights(rest.trainee), weights(whole.trainee))
    assert np.array_equal(*(each.bank.all()[1].numpy() for each in (rest, whole)))


def test_a_run_of_networks_in_another_order_is_not_resumed(tmp_path, store, monkeypatch):
    """The optimiser's numbers are found by order: in another one they would be taken for other weights' and nobody would see it."""
    config = settings()
    _train_until(stage(config, store), config, tmp_path / "run", 4)
    rest = stage(config, store)
    named = type(rest.trainee).named_parameters
    monkeypatch.setattr(type(rest.trainee), "named_parameters", lambda self, **options: reversed(list(named(self, **options))))
    with pytest.raises(InvalidCheckpoint, match="another order"):
        train(rest, config, tmp_path / "run")


def test_a_leg_ends_in_time_and_the_next_goes_on(tmp_path, store):
    config = settings()
    assert train(stage(config, store), config, tmp_path / "run", minutes=1e-9) == 0
    assert train(stage(config, store), config, tmp_path / "run", minutes=10) == 6


@pytest.mark.parametrize("native", [True, False], ids=["computes in bfloat16", "computes in float32"])
def test_one_process_trains_again_in_another_precision(tmp_path, store, monkeypatch, native):
    monkeypatch.setattr("mimaface.engines.precision._cpu_computes_bfloat16", lambda: native)
    fast_dtype.cache_clear()
    used = [_dtype_of_training(tmp_path / str(i), store, name) for i, name in enumerate(("auto", "bf16", "no", "auto"))]
    fast_dtype.cache_clear()
    auto = torch.bfloat16 if native else torch.float32
    assert used == [{auto}, {torch.bfloat16}, {torch.float32}, {auto}]


def _dtype_of_training(folder, store, precision):
    """Returns the dtypes that the U-Net computes in, in training steps and in the evaluation after them."""
    config = settings(precision=precision, steps=2)
    learner, seen = stage(config, store), set()
    learner.model.unet.conv_in.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    assert train(learner, config, folder) == 2
    return seen


def test_a_run_that_broke_leaves_nothing_behind(tmp_path, store):
    for precision in ("bf16", "no"):
        config = settings(precision=precision)
        _train_until(stage(config, store), config, tmp_path / precision, 4)
        assert train(stage(config, store), config, tmp_path / precision) == 6


def test_two_processes_learn_what_one_does(tmp_path, store):
    script = Path(__file__).parent / "two_processes.py"
    # without coverage's variables, which would change the subprocess
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = {**plain, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), "ACCELERATE_USE_CPU": "true"}
    # on a CPU accelerate launch needs MPI for several processes; torchrun does not
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*launch, str(script), str(tmp_path)], env=environment, timeout=240, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    config = settings(steps=4, save_every=100)
    alone = stage(config, store)
    start = weights(alone.trainee)
    train(alone, config, tmp_path / "alone")
    one, two = weights(alone.trainee), np.load(tmp_path / "two.npy")
    assert np.linalg.norm(one - two) < 1e-3 * np.linalg.norm(one - start), "the same numbers, but for the order of sums"


def _train_until(learner, config, folder, step):
    """Runs as if killed right after the checkpoint of ``step``."""

    class Killed(Exception):
        pass

    original = learner.batch

    def batch(number, places):
        if number == step:
            raise Killed
        return original(number, places)

    learner.batch = batch
    with pytest.raises(Killed):
        train(learner, config, folder)


def test_only_the_stage_s_weights_move(tmp_path, store):
    config = settings(stage="video", frames=6)
    learner, before = stage(config, store), tiny_model()
    train(learner, config, tmp_path / "run")
    moved = {
        name
        for (name, new), (_, old) in zip(learner.model.named_parameters(), before.named_parameters())
        if not torch.equal(new, old)
    }
    assert moved and all("motion_modules" in name or name == "unet.conv_in.weight" for name in moved)
    new, old = learner.model.unet.conv_in.weight, before.unet.conv_in.weight
    assert torch.equal(new[:, :-5], old[:, :-5]), "only W_cond's columns are trained"
    assert not torch.equal(new[:, -5:], old[:, -5:])


def test_a_damaged_checkpoint_is_passed_over(tmp_path, store):
    config = settings()
    train(stage(config, store), config, tmp_path / "run")
    newest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    state = newest / "state.pt"
    state.write_bytes(state.read_bytes()[:-7])
    assert train(stage(config, store), config, tmp_path / "run") == 6  # from step 3 again
    for path in (tmp_path / "run" / "checkpoints").glob("step-*/state.pt"):
        path.write_bytes(b"no")
    with pytest.raises(InvalidCheckpoint, match="every checkpoint is damaged"):
        train(stage(config, store), config, tmp_path / "run")


def test_another_configuration_is_refused(tmp_path, store):
    config = settings()
    train(stage(config, store), config, tmp_path / "run")
    other = settings(learning_rate=2e-3)
    with pytest.raises(InvalidCheckpoint, match="learning_rate"):
        train(stage(other, store), other, tmp_path / "run")


def test_numbers_that_are_none_are_skipped_named_and_stop_the_run_after_three(tmp_path, store, caplog):
    config = settings()
    learner = stage(config, store)
    original, poisoned = learner.batch, {1, 3, 4, 5}

    def batch(step, places):
        made = original(step, places)
        if step in poisoned:
            made.tensors["driven"] = made.tensors["driven"] * float("nan")
        return made

    learner.batch = batch
    with pytest.raises(InternalError, match=r"3 steps in a row.*sample-"):
        train(learner, config, tmp_path / "run")
    assert "step 1: the gradient is not finite, skipped; samples sample-" in caplog.text
    assert np.isfinite(weights(learner.trainee)).all()


def test_the_robust_loss_is_the_norm_of_large_errors_and_the_square_of_small_ones(store):
    batch = stage(settings(), store).batch(0, range(4))
    plain, robust, sharp = (
        float(stage(settings(huber=c, snr_gamma=0.0), store).trainee(batch.tensors)["denoising"]) for c in (0.0, 100.0, 1e-6)
    )
    assert robust == pytest.approx(plain / 200, rel=1e-2)  # √(d² + c²) − c ≈ d² / 2c
    assert 0 < sharp < plain**0.5  # the mean of norms is less than the root of the mean square
    trainee = stage(settings(), store).trainee
    trainee.channel_weight.mul_(0)
    assert float(trainee(batch.tensors)["denoising"]) == 0


def test_the_settings_of_the_shipped_model_can_be_read():
    for name in set(STAGES) - {"distill"}:  # distill: the model samples in one step already
        assert TrainingConfig.load(SHIPPED / "training" / f"{name}.json").stage == name


def test_a_correction_that_costs_more_than_it_can_save_is_not_made(tmp_path, store):
    made = {}
    for price in (0.0, 3.0):  # the robust error falls by at most 1 per unit of correction
        config = settings(steps=20, batch=8, learning_rate=6e-3, huber=0.01, snr_gamma=0.0, correction_weight=price)
        learner = stage(config, store)
        train(learner, config, tmp_path / str(price))
        losses = learner.trainee(learner.batch(1000, range(6)).tensors)
        made[price] = float(losses["correction"])
        expected = losses["denoising"] + price * losses["correction"] + config.identity_weight * losses["identity"]
        assert float(losses["loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert made[3.0] < 0.3 * made[0.0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"stage": "audio"}, "audio"), ({"batch": 0}, "batch"), ({"without": ("sound",)}, "sound")],
)
def test_wrong_settings_are_named(wrong, said):
    with pytest.raises(InvalidInput, match=said):
        settings(**wrong)


def test_a_configuration_survives_its_file(tmp_path):
    config, file = settings(without=("render",), cooldown=4, losses=Losses(bias_price=0.25)), tmp_path / "training.json"
    config.save(file)
    assert TrainingConfig.load(file) == config
    values = json.loads(file.read_text())
    assert values["losses"]["bias_price"] == 0.25, "the file is the whole recipe"
    for wrong in ({**values, "magic": 1}, {**values, "losses": {"magic": 1}}):
        file.write_text(json.dumps(wrong))
        with pytest.raises(InvalidCheckpoint, match="magic"):
            TrainingConfig.load(file)


def test_a_run_goes_on_with_the_losses_it_began_with(tmp_path):
    """Checkpoints of earlier versions do not contain the losses; theirs equalled today's defaults."""
    checkpoints.write(tmp_path, 3, {"number": 7}, settings())
    with pytest.raises(InvalidCheckpoint, match="losses"):
        checkpoints.read_newest(tmp_path, settings(losses=Losses(bias_price=0.25)))
    manifest = tmp_path / "step-00000003" / "manifest.json"
    earlier = json.loads(manifest.read_text())
    del earlier["config"]["losses"]
    manifest.write_text(json.dumps(earlier))
    assert checkpoints.read_newest(tmp_path, settings()) == (3, {"number": 7})


def test_the_learning_rate_rises_holds_and_falls():
    config = settings(steps=10, warmup=2, cooldown=5, learning_rate=1.0)
    assert [config.rate_at(step) for step in range(10)] == [0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]


def test_without_the_render_nothing_shows_the_posed_head(store):
    whole, blank = (stage(settings(without=without), store).batch(0, range(3)).tensors for without in ((), ("render",)))
    for name in ("render", "normals"):
        assert blank[name].abs().max() == 0 and whole[name].abs().max() > 0
    for name in ("source", "source_normals", "driven"):
        assert torch.equal(blank[name], whole[name])
    assert whole["normals"].shape == (3, 4, 2, 8, 8), "samples, channels, frames, then pixels"
    assert torch.equal(whole["source_normals"][:, :, 0], whole["source_normals"][:, :, 1]), (
        "the source is the same in every frame"
    )
