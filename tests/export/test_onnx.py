"""The exported graph against torch, at sizes that nothing could match by chance."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mimaface.model.motion_unet import MotionUNet, build_motion_unet

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from mimaface_export.__main__ import main
from mimaface_export.onnx_graph import Sizes, compare_with_torch, export_motion_unet
from model.conftest import tiny_unet

# of one level: exporting takes time by the number of layers, and two levels are exported in weights/test_convert.py, with the default opset
CONFIG = tiny_unet(
    down_block_types=("CrossAttnDownBlockMotion",), up_block_types=("CrossAttnUpBlockMotion",), block_out_channels=(16,)
)


@pytest.fixture(scope="module")
def unet() -> MotionUNet:
    torch.manual_seed(0)
    built = build_motion_unet(CONFIG).eval()
    with torch.no_grad():
        for part in built.motion_parts():  # an output of zero would hide a motion module that was exported wrongly
            torch.nn.init.normal_(part.proj_out.weight, std=0.2)
    return built


def test_the_graph_equals_torch_at_sizes_it_was_not_traced_with(unet: MotionUNet, tmp_path: Path) -> None:
    """Batch 2 with more than one frame is where repeat_interleave was exported wrongly (spec 6.3)."""
    path = tmp_path / "unet.onnx"
    export_motion_unet(unet, path, opset=23)
    differences = compare_with_torch(unet, path, (Sizes(2, 5, 8, 16, 7), Sizes(1, 1, 8, 8, 3), Sizes(4, 32, 4, 4, 2)))
    assert max(differences) < 1e-4


def test_a_folder_that_is_no_checkpoint_is_one_sentence_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "nowhere"), "-o", str(tmp_path / "u.onnx")]) == 1
    assert "config.json is missing" in capsys.readouterr().err
