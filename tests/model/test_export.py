"""The exported graph against torch, at sizes that nothing could match by chance."""

import pytest
import torch

from mimaface.model.motion_unet import build_motion_unet
from mimaface_export.onnx_graph import Sizes, compare_with_torch, export_motion_unet

from .conftest import awaken, tiny_unet


@pytest.mark.filterwarnings("ignore")
def test_onnx_agrees_with_torch_for_two_samples_and_odd_frames(tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    unet = build_motion_unet(tiny_unet()).eval()
    awaken(unet)
    sizes = Sizes(batch=2, frames=3, height=16, width=8, tokens=5)
    export_motion_unet(unet, tmp_path / "unet.onnx", sizes=sizes)
    others = (sizes, Sizes(1, 1, 8, 8, 3), Sizes(2, 5, 8, 16, 5))
    assert max(compare_with_torch(unet, tmp_path / "unet.onnx", others)) < 1e-4
