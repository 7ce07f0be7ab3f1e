"""``mimaface golden``: hits with the right salt, reported misses otherwise, and sizes read from the arrays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mimaface.basel.curricularface import CurricularFace, CurricularFaceConfig
from mimaface.basel.reconstruction import ReconstructionConfig, ReconstructionNet
from mimaface.cli import main
from mimaface.evaluation import golden_check
from mimaface.evaluation.golden import fill_networks
from mimaface.evaluation.golden_check import Golden, Row, unet_sizes
from mimaface.model.appearance import RELEASED_SIGNAL_NAMES, build_appearance, from_released, to_released
from mimaface.model.checkpoint import load_weights
from mimaface.model.instances import RELEASED_SD15, SD15_UNET
from mimaface.model.motion_unet import build_motion_unet, from_animatediff, to_animatediff
from mimaface.model.vision import VisionTokens

GOLDEN = Path(__file__).parents[1] / "golden"
SALT = "another salt"
LIGHT = ("bfm", "alignment")  # no weights


def folder_of(target: Path, *names: str) -> Path:
    target.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(GOLDEN / f"{name}.safetensors", target)
    return target


def rows_of(folder: Path, salt: str = "") -> dict[str, Row]:
    return {row.name: row for row in Golden(folder, salt).rows()}


def change(path: Path, **values: torch.Tensor | None) -> None:
    content = load_file(path)
    for name, value in values.items():
        if value is None:
            del content[name]
        else:
            content[name] = value.contiguous()
    save_file(content, path)


def test_the_command_prints_a_row_per_array_and_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", str(GOLDEN)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "21 of 21 arrays agree"
    assert all(line.endswith("ok") for line in lines[1:-1])
    assert len(lines) == 1 + 21 + 1


def test_other_weights_miss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path, "mim", *LIGHT)
    assert main(["golden", str(folder), "--salt", "x"]) == 1
    out = capsys.readouterr().out
    assert "mim out" in out
    assert "MISS: more than 1e-04" in out
    assert "sampler.safetensors is missing" in out


@torch.no_grad()
def test_other_sizes_and_salts_are_followed(tmp_path: Path) -> None:
    """A folder recorded from our own modules at non-default sizes."""
    torch.manual_seed(0)
    unet_config = {**SD15_UNET, "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 24}
    unet_config |= {"down_block_types": SD15_UNET["down_block_types"][2:], "up_block_types": SD15_UNET["up_block_types"][:2]}
    kinds = tuple(type(s)(s.name, s.size if s.name != "identity" else 50) for s in RELEASED_SD15.appearance.signals)
    appearance = golden_check.replace(
        RELEASED_SD15.appearance, signals=kinds, token_width=20, context_width=12, modulation_heads=1, adapter_layers=2
    )
    faces = CurricularFaceConfig((4, 8, 12, 16), (1, 2, 1, 1), 8, 32)
    modules = {
        "motion_unet_small": (build_motion_unet(unet_config), to_animatediff, from_animatediff),
        "mim": (build_appearance(appearance), to_released, from_released),
        "d3dfr_net": (ReconstructionNet(ReconstructionConfig(8, (1, 2, 1, 1))), dict, dict),
        "curricularface_ir101": (CurricularFace(faces), dict, dict),
    }
    manifest = {}
    for name, (module, theirs, ours) in modules.items():
        shapes = {key: list(value.shape) for key, value in theirs(module.state_dict()).items()}
        manifest[name] = {key: [shape, "float32"] for key, shape in shapes.items()}
        load_weights(module.eval(), ours(fill_networks(shapes, SALT)), name)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    sample, context = torch.randn(1, 13, 4, 16, 16), torch.randn(1, 3, 24)
    out = modules["motion_unet_small"][0](sample, torch.tensor(300), context.expand(4, -1, -1))
    save_file(
        {"sample.7": sample, "context.7": context, "timestep.7": torch.tensor(300), "out.7": out.contiguous()},
        tmp_path / "motion_unet.safetensors",
    )
    given = {signal.name: torch.randn(2, signal.size) for signal in kinds}
    tokens = torch.randn(2, 5, 20)
    out = modules["mim"][0](VisionTokens(torch.empty(0), tokens), given)
    arrays = {f"{RELEASED_SIGNAL_NAMES[name]}_embeds": value for name, value in given.items()}
    save_file({**arrays, "object_embeds": tokens[:, None].contiguous(), "out": out}, tmp_path / "mim.safetensors")
    image, crop = torch.randn(1, 3, 64, 64), torch.randn(2, 3, 32, 32)
    save_file({"image": image, "out": modules["d3dfr_net"][0](image)}, tmp_path / "d3dfr_net.safetensors")
    embedding, deep = modules["curricularface_ir101"][0](crop)
    save_file({"crop112": crop, "embedding": embedding, "deep": deep}, tmp_path / "curricularface.safetensors")
    wanted = {"motion_unet out.7", "mim out", "d3dfr_net out", "curricularface embedding", "curricularface deep"}
    right, wrong = rows_of(tmp_path, SALT), rows_of(tmp_path)
    assert {name for name, row in right.items() if row.ok} == wanted
    assert not [name for name, row in wrong.items() if row.ok]
    assert all(not wrong[name].problem and wrong[name].relative > 0.01 for name in wanted)


def test_sizes_of_the_small_and_the_full_u_net_are_read_off_their_keys() -> None:
    keys = json.loads((GOLDEN / "model_keys.json").read_text())
    assert unet_sizes(keys["motion_unet_sd15"]) == SD15_UNET
    assert unet_sizes(keys["motion_unet_small"]) == golden_check.SMALL_UNET


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"coeffs": None}, "lacks coeffs"),
        ({"vertices": None}, "lacks vertices"),
        ({"vertices": torch.zeros(2, 3, 3)}, "instead of (2, 3, 3)"),
        ({"coeffs": torch.zeros(2, 256)}, "256"),
        ({"model.idBase": torch.zeros(432, 79)}, "idBase has shape"),
        ({"vertices": torch.full((2, 144, 3), float("nan"))}, "MISS"),
        ({"vertices": torch.zeros(2, 144, 3)}, "MISS"),
    ],
)
def test_what_is_wrong_is_said_in_the_row(tmp_path: Path, values: dict[str, torch.Tensor | None], words: str) -> None:
    change(folder_of(tmp_path, *LIGHT) / "bfm.safetensors", **values)
    rows = rows_of(tmp_path)
    assert words in rows["bfm vertices"].words()
    assert not rows["bfm vertices"].ok
    assert rows["alignment affine"].ok


def test_damaged_files_are_rows_and_a_missing_folder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder_of(tmp_path / "golden", *LIGHT) / "bfm.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "damaged" in rows_of(path.parent)["bfm vertices"].words()
    (path.parent / "manifest.json").write_text("[1]")
    assert main(["golden", str(path.parent)]) == 2
    assert main(["golden", str(tmp_path / "nowhere")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "manifest" in errors[0]
    assert "not a folder" in errors[1]


def test_a_near_miss_is_computed_in_other_arithmetic_and_the_closest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, torch.dtype]] = []

    def check(golden: Golden, values: golden_check.Arrays) -> golden_check.Found:
        seen.append(golden.arithmetic)
        yield "out.0", values["out.0"] + (0.01 if golden.arithmetic[1] == torch.float32 else 0)

    monkeypatch.setattr(golden_check, "CHECKS", {"motion_unet": check})
    save_file({"out.0": torch.randn(9)}, tmp_path / "motion_unet.safetensors")
    row = rows_of(tmp_path)["motion_unet out.0"]
    assert row.ok
    assert row.rounding > 1e-3
    assert seen == list(golden_check.ARITHMETIC)
