"""A student samples in four steps without guidance what its teacher samples in 25 with guidance."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mimaface.cli import main
from mimaface.model.config import Quality, SamplerConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import RELEASED_SD15
from mimaface.protocol.errors import InvalidInput
from mimaface.training.denoising import DenoisingStage, sample_latents
from mimaface.training.distilling import DistillingStage, student_of
from mimaface.training.latents import LatentStore
from mimaface.training.loop import train
from mimaface.training.stages import make_stage, open_model
from training_fixtures import models, settings, tiny_model, write_latents

FEW = 4


def write_exaggerated(path, samples, seed):
    """Writes latents whose driven frames are their renders, brighter where the head turns, an effect that guidance
    exaggerates."""
    write_latents(path, samples, seed=seed)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    turned = tensors["rotation"][:, :, :1, None, None].clamp(-1.5, 1.5)
    save_file({**tensors, "driven": (0.6 * tensors["render"].float() + 0.3 * turned).half()}, path, metadata=metadata)
    return LatentStore([path])


def fresh(**changes):
    torch.manual_seed(3)
    sampler = SamplerConfig(method="ddim", steps=25, prediction="sample")
    unet = models.tiny_unet(in_channels=25, **models.ONE_LEVEL)
    return MimaFaceModel(
        models.tiny_configuration(**{**models.FOUR_CONDITIONS, "unet": unet, "sampler": sampler, "residual_of": "render", "guidance": 2.0, **changes})
    )


def decibels(found, truth):
    return -10 * math.log10(float((found - truth).square().mean()))


def test_the_student_of_a_trained_model_is_as_good_in_four_steps(tmp_path):
    data, held_out = write_exaggerated(tmp_path / "data", 24, 0), write_exaggerated(tmp_path / "held-out", 4, 1)
    common = {"batch": 16, "frames": 1, "ema_decay": 0.9, "save_every": 1000, "steps": 40, "cooldown": 20}
    first = settings(learning_rate=1e-2, identity_weight=0.0, dropout=0.2, **common)
    train(DenoisingStage(fresh(), first, data, held_out), first, tmp_path / "teacher")
    then = settings(stage="distill", learning_rate=2e-3, **common)
    stage = DistillingStage(MimaFaceModel.from_pretrained(tmp_path / "teacher" / "model", torch.float32), then, data, held_out)
    train(stage, then, tmp_path / "student")
    student = MimaFaceModel.from_pretrained(tmp_path / "student" / "model", torch.float32)
    row, teacher, told_apart = stage._held_out_row(), stage.trainee.teacher, stage.trainee.teacher_config
    assert (told_apart.sampler.steps, told_apart.guidance) == (25, 2.0)
    assert (student.config.sampler.steps, student.config.guidance) == (FEW, 1.0)
    wanted = sample_latents(stage.trainee, teacher, told_apart, row)
    hurried = sample_latents(stage.trainee, teacher, student_of(told_apart, FEW), row)
    found = sample_latents(stage.trainee, student.unet, student.config, row)
    assert decibels(found, row["driven"]) > decibels(wanted, row["driven"]) - 0.5
    assert decibels(found, wanted) > decibels(hurried, wanted) + 2, "the teacher itself, hurried, is far from what it means"


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_a_teacher_that_needs_no_more_steps_and_no_guidance_is_its_own_student(store, prediction):
    lossless = {"sampler": SamplerConfig(method="ddim", steps=FEW, prediction=prediction), "residual_of": "", "guidance": 1.0}
    for changes, equal in (({}, True), ({"guidance": 3.0}, False)):
        model = fresh(**{**lossless, **changes})
        models.awaken(model)
        stage = DistillingStage(model, settings(stage="distill"), store, store)
        loss = float(stage.trainee(stage.batch(0, range(4)).tensors)["loss"].detach())
        assert (loss < 1e-9) == equal, (changes, loss)


def test_places_of_the_way_are_drawn_from_all_and_the_first_as_often_as_asked(store):
    for share in (0.0, 1.0):
        stage = DistillingStage(fresh(), settings(stage="distill", first_step_share=share), store, store)
        assert (stage.trainee.length, stage.trainee.each) == (28, 7)
        places = torch.cat([stage.batch(step, range(8)).tensors["timesteps"] for step in range(12)])
        found = set(places.tolist())
        assert found == {0} if share else len(found) > 20 and found <= set(range(28))
    assert stage.trainee.timestep[[0, 7, 14, 21]].tolist() == [999, 749, 499, 249]
    assert stage.trainee.noise[-1] == 0 and stage.trainee.signal[-1] == 1


def test_only_the_student_s_network_moves_and_a_run_goes_on_to_the_bit(tmp_path, store):
    config = settings(stage="distill", steps=4, save_every=2)
    whole = DistillingStage(tiny_model(), config, store, store)
    train(whole, config, tmp_path / "whole")
    before = dict(tiny_model().named_parameters())
    moved = {name.split(".")[0] for name, value in whole.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {"unet"}
    assert all(torch.equal(value, before[f"unet.{name}"]) for name, value in whole.trainee.teacher.named_parameters())
    half = replace(config, steps=2)
    train(DistillingStage(tiny_model(), half, store, store), half, tmp_path / "legs")
    rest = DistillingStage(tiny_model(), config, store, store)
    assert train(rest, config, tmp_path / "legs") == 4
    assert all(torch.equal(one, other) for one, other in zip(rest.model.unet.parameters(), whole.model.unet.parameters()))


def test_what_a_student_knows_of_qualities_is_its_own():
    teacher = models.tiny_configuration(qualities={"final": Quality(50, 5.0)})
    assert student_of(teacher, FEW).quality("final") == Quality(FEW, 1.0)


def test_a_model_that_cannot_be_distilled_is_named(tmp_path, capsys):
    with pytest.raises(InvalidInput, match="a model that is trained"):
        open_model("demo", stage="distill")
    folders = ["--data", str(tmp_path), "--held-out", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main(["train", "distill", "--steps", "1", *folders]) == 2
    assert "name the folder of one with --model" in capsys.readouterr().err
    quick = fresh(guidance=1.0, sampler=SamplerConfig(method="ddim", steps=FEW, prediction="sample"))
    with pytest.raises(InvalidInput, match="samples in 4 steps without guidance: a student could not be faster"):
        make_stage(quick, settings(stage="distill"), tmp_path, tmp_path)
    released = fresh()
    released.config = RELEASED_SD15
    with pytest.raises(InvalidInput, match="albedo, identity, illumination, which shards do not hold"):
        make_stage(released, settings(stage="distill"), tmp_path, tmp_path)
