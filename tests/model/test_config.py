from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from mimaface.model.checkpoint import without_memory
from mimaface.model.config import PARTS, AppearanceConfig, MimaFaceConfig, Quality, RefinerConfig, SamplerConfig, Signal
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import DEMO, INSTANCES, PAPER_SD15, RELEASED_SD15, named
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput


@pytest.mark.parametrize("config", INSTANCES.values(), ids=INSTANCES.keys())
def test_every_instance_builds_and_survives_json(config: MimaFaceConfig) -> None:
    model = without_memory(lambda: MimaFaceModel(config))
    assert model.unet.conv_in.weight.shape[1] == config.input_channels
    parts = {part: json.loads(json.dumps(dict(getattr(config, part)))) for part in ("unet", "vae", "vision")}
    assert MimaFaceConfig.from_json(json.loads(json.dumps(config.to_json())), parts, "here") == config


def test_the_sd15_instances_have_the_thirteen_channels_of_the_paper() -> None:
    for config in (PAPER_SD15, RELEASED_SD15):
        assert config.input_channels == 4 + 4 + 4 + 1
        assert config.affinity_channels == 5


def test_the_demo_fits_the_package() -> None:
    weights = sum(weight.numel() for weight in without_memory(lambda: MimaFaceModel(DEMO)).parameters())
    assert 2 * weights <= 40e6, "bytes in float16"


def test_released_tokens_are_in_the_order_of_the_checkpoint() -> None:
    expected = ["identity", "gaze", "expression", "albedo", "illumination", "rotation", "translation"]
    assert [signal.name for signal in RELEASED_SD15.appearance.signals] == expected


@pytest.mark.parametrize(
    ("change", "named_part"),
    [
        ({"overlap": 12}, "overlap"),
        ({"residual_of": "render"}, "predicts the clean latents"),
        ({"residual_of": "photo"}, "residual_of"),
        ({"unet": {**PAPER_SD15.unet, "out_channels": 5}}, "out_channels"),
        ({"clip_length": 40}, "clip_length"),
        ({"conditions": (("render", 3),)}, "in_channels"),
        ({"motion_space": "flame"}, "motion_space"),
        ({"refiner": RefinerConfig(width=8)}, "normals, source, source_normals"),
        ({"vae": {**PAPER_SD15.vae, "latent_channels": 8}}, "in_channels"),
        ({"vision": {**PAPER_SD15.vision, "hidden_size": 768}}, "hidden_size"),
        ({"unet": {**PAPER_SD15.unet, "cross_attention_dim": 1024}}, "cross_attention_dim"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, object], named_part: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=named_part):
        PAPER_SD15.but(**change)


def test_a_motion_signal_without_a_token_is_refused() -> None:
    with pytest.raises(InvalidCheckpoint, match="gaze"):
        replace(PAPER_SD15.appearance, signals=(Signal("rotation", 3), Signal("translation", 3), Signal("expression", 52)))


@pytest.mark.parametrize(
    "change", [{"method": "heun"}, {"steps": 0}, {"prediction": "x0"}, {"spacing": "even"}, {"zero_terminal_snr": True}]
)
def test_an_impossible_sampler_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidCheckpoint):
        SamplerConfig(**change)  # type: ignore[arg-type]


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(InvalidCheckpoint, match="adapter_heads"):
        AppearanceConfig("concat", "curricularface", True, RELEASED_SD15.appearance.signals, 1024, 768, 8, 3, 7)


def test_unknown_fields_of_another_version_are_named() -> None:
    with pytest.raises(InvalidCheckpoint, match="novelty"):
        MimaFaceConfig.from_json({**DEMO.to_json(), "novelty": 1}, {}, "here")


@pytest.mark.parametrize("config", INSTANCES.values(), ids=lambda config: config.name)
def test_the_standard_is_the_sampler_itself_and_a_checkpoint_keeps_the_others(config: MimaFaceConfig) -> None:
    assert config.quality("standard") == Quality(config.sampler.steps, config.guidance)
    told = config.but(qualities={"draft": Quality(2, 3.0)})
    parts = {name: getattr(config, name) for name in PARTS}
    values = json.loads(json.dumps(told.to_json()))
    assert MimaFaceConfig.from_json(values, parts, "here") == told
    del values["qualities"]
    assert MimaFaceConfig.from_json(values, parts, "here") == config.but(qualities={}), "earlier versions knew none"


@pytest.mark.parametrize(
    ("qualities", "said"),
    [
        ({"best": {"steps": 1, "guidance": 1.0}}, "a quality is 'best', known are draft, final"),
        ({"standard": {"steps": 1, "guidance": 1.0}}, "known are draft, final"),
        ({"draft": {"steps": -1, "guidance": 1.0}}, "0 to 1000 steps"),
        ({"draft": {"steps": 1, "guidance": 0.5}}, "guidance"),
    ],
)
def test_a_quality_that_cannot_be_is_refused(qualities: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=said):
        DEMO.but(qualities=qualities)


def test_only_a_model_with_a_reprojected_photograph_can_do_without_steps() -> None:
    assert DEMO.but(qualities={"draft": Quality(0)}).quality("draft").steps == 0
    with pytest.raises(InvalidCheckpoint, match="1 to 1000 steps"):
        PAPER_SD15.but(qualities={"draft": Quality(0)})


def test_names() -> None:
    assert named("demo") is DEMO
    with pytest.raises(InvalidInput, match="paper-sd15"):
        named("sdxl")


def test_importing_the_packages_loads_no_torch() -> None:
    code = "import sys, mimaface, mimaface.model, mimaface.model.instances, mimaface.sampling.clips; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
