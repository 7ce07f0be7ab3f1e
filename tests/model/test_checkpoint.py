from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPVisionModel

from mimaface.model.checkpoint import load_weights, read_json, read_weights, without_memory, write_weights
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import PARTS, MimaFaceModel
from mimaface.model.motion_unet import build_motion_unet
from mimaface.model.vision import vision_keys
from mimaface.protocol.errors import InvalidCheckpoint, NotWritable

from .conftest import WITH_REFINER, signals, tiny_configuration


@pytest.fixture
def folder(tiny_model: MimaFaceModel, tmp_path: Path) -> Path:
    tiny_model.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def whole_folder(tmp_path: Path) -> Path:
    """A model with every part."""
    MimaFaceModel(tiny_configuration(**WITH_REFINER)).save_pretrained(tmp_path)
    return tmp_path


def rewrite(path: Path, change: dict[str, torch.Tensor | None]) -> None:
    weights = load_file(path)
    for key, value in change.items():
        if value is None:
            del weights[key]
        else:
            weights[key] = value
    save_file({key: value.clone() for key, value in weights.items()}, path, metadata={"format": "pt"})


def test_a_saved_model_is_loaded_equal_in_weights_and_work(tiny_model: MimaFaceModel, folder: Path) -> None:
    loaded = MimaFaceModel.from_pretrained(folder)
    assert loaded.config == tiny_model.config
    before, after = tiny_model.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        for model in (tiny_model, loaded):
            context = model.context(model.encode_source(images), signals(2, 3))
            latents = model.encode_images(images)[:, :, None].expand(-1, -1, 3, -1, -1)
            sample = torch.cat([latents, latents, latents, latents[:, :1]], dim=1)
            results = model.unet(sample, torch.tensor(500.0), context), model.decode_latents(latents[:, :, 0])
            if model is tiny_model:
                expected = results
    assert all(torch.equal(a, b) for a, b in zip(results, expected))


def test_the_folder_looks_like_a_diffusers_pipeline(whole_folder: Path) -> None:
    folder = whole_folder
    index = json.loads((folder / "model_index.json").read_text())
    assert {key for key in index if not key.startswith("_")} == set(PARTS)
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".safetensors"}


def test_a_checkpoint_of_an_earlier_version_opens(whole_folder: Path, tmp_path: Path) -> None:
    """Earlier versions named the refiner "photo_decoder" and ``residual_of`` "corrects"."""
    earlier = tmp_path / "earlier"
    shutil.copytree(whole_folder, earlier)
    (earlier / "refiner").rename(earlier / "photo_decoder")
    values = json.loads((earlier / "config.json").read_text())
    values["photo_decoder"], values["corrects"] = {"fine_width": 8, "width": 8}, values.pop("residual_of")
    assert values.pop("refiner")["gain"] == 0.4
    (earlier / "config.json").write_text(json.dumps(values))
    found, expected = (MimaFaceModel.from_pretrained(path) for path in (earlier, whole_folder))
    assert found.config == expected.config
    assert all(torch.equal(a, b) for a, b in zip(found.refiner.parameters(), expected.refiner.parameters()))


def test_a_model_without_a_refiner_has_no_folder_for_one(folder: Path) -> None:
    assert not (folder / "refiner").exists()
    assert MimaFaceModel.from_pretrained(folder).refiner is None


def test_transformers_reads_the_vision_part_by_itself(tiny_model: MimaFaceModel, folder: Path) -> None:
    """And computes the same from it, to the bit."""
    vision = CLIPVisionModel.from_pretrained(folder / "vision").eval()
    theirs, ours = vision_keys(vision.state_dict()), tiny_model.vision.state_dict()
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[key], ours[key]) for key in ours)
    pictures = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = vision(pictures), tiny_model.vision(pictures)
    assert torch.equal(found.class_token, expected.pooler_output)
    assert torch.equal(found.tokens, expected.last_hidden_state)


def test_weights_may_be_stored_and_loaded_in_half_precision(tiny_model: MimaFaceModel, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path, torch.float16)
    stored = MimaFaceModel.from_pretrained(tmp_path)
    converted = MimaFaceModel.from_pretrained(tmp_path, torch.bfloat16)
    assert {value.dtype for value in stored.parameters()} == {torch.float16}
    floating = [value for value in (*converted.parameters(), *converted.buffers()) if value.is_floating_point()]
    assert {value.dtype for value in floating} == {torch.bfloat16}, "position tables too"


def test_loading_takes_the_tensors_themselves_not_a_copy() -> None:
    module = without_memory(lambda: nn.Linear(3, 2))
    weights = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    load_weights(module, weights, "here")
    assert module.weight.data_ptr() == weights["weight"].data_ptr()


def test_a_fresh_model_neither_moves_nor_remembers(tiny_config: MimaFaceConfig) -> None:
    unet = MimaFaceModel(tiny_config).unet
    assert not unet.conv_in.weight[:, -5:].any()
    assert not any(module.proj_out.weight.any() for module in unet.motion_parts())
    assert unet.conv_in.weight[:, :8].any()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("damage", ["missing", "unexpected", "shape"])
def test_a_wrong_key_or_shape_is_named_and_refused(whole_folder: Path, part: str, damage: str) -> None:
    folder = whole_folder
    path = folder / part / PARTS[part].file
    key = sorted(load_file(path))[0]
    change = {"missing": {key: None}, "unexpected": {"stray.weight": torch.ones(1)}, "shape": {key: torch.ones(1, 9)}}
    rewrite(path, change[damage])
    with pytest.raises(InvalidCheckpoint) as caught:
        MimaFaceModel.from_pretrained(folder)
    assert ("stray.weight" if damage == "unexpected" else key) in str(caught.value)
    assert str(path) in str(caught.value)


def test_many_missing_keys_are_counted_not_all_listed(folder: Path) -> None:
    path = folder / "unet" / PARTS["unet"].file
    write_weights(path, {})
    with pytest.raises(InvalidCheckpoint, match=r"\d+ missing: .* and \d+ more") as caught:
        MimaFaceModel.from_pretrained(folder)
    assert len(str(caught.value)) < 1000


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "vae" / PARTS["vae"].file
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidCheckpoint, match="damaged"):
        MimaFaceModel.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "unet/config.json", "appearance/diffusion_pytorch_model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InvalidCheckpoint, match=name.replace(".", r"\.")):
        MimaFaceModel.from_pretrained(folder)


def test_broken_json_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    with pytest.raises(InvalidCheckpoint, match=r"config\.json"):
        MimaFaceModel.from_pretrained(folder)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('code of the checkpoint ran')",))


@pytest.mark.parametrize("how", ["torch", "pickle", "text"])
def test_an_archive_with_code_or_of_another_kind_is_refused_and_never_run(tmp_path: Path, how: str) -> None:
    path = tmp_path / "unet.pth"
    if how == "torch":
        torch.save({"weight": Trap()}, path)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(Trap()))
    else:
        path.write_text("not weights")
    with pytest.raises(InvalidCheckpoint, match="damaged or contains more than weights") as error:
        read_weights(path)
    assert "weights_only" not in str(error.value), "nobody is told how to switch the protection off"
    assert error.value.hint == "download it again, or take the .safetensors file of the same model"


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_a_table_of_contents_that_no_model_has_is_refused_unread(tmp_path: Path, dtype: torch.dtype | None) -> None:
    path = tmp_path / "w.safetensors"
    names = {f"weight.{index:06d}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for index in range(20_000)}
    table = json.dumps(names).encode()
    for size in (len(table), 1 << 40):
        path.write_bytes(size.to_bytes(8, "little") + table)
        with pytest.raises(InvalidCheckpoint, match=f"its table of contents would be {size} bytes long"):
            read_weights(path, dtype)


def test_a_configuration_nested_without_end_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"a": ' * 100_000)
    with pytest.raises(InvalidCheckpoint, match=r"config.json cannot be read: it is nested too deeply"):
        read_json(tmp_path / "config.json")


def test_a_plain_archive_is_read_inside_a_state_dict_or_not(tmp_path: Path) -> None:
    weights = {"a": torch.arange(3.0)}
    for content in (weights, {"state_dict": weights, "epoch": 3}):
        torch.save(content, tmp_path / "w.ckpt")
        assert torch.equal(read_weights(tmp_path / "w.ckpt")["a"], weights["a"])


def test_an_unwritable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable):
        write_weights(tmp_path / "file" / "w.safetensors", {"a": torch.ones(1)})


def test_the_table_of_positions_is_made_again(tiny_model: MimaFaceModel, folder: Path) -> None:
    unet = MimaFaceModel.from_pretrained(folder).unet
    assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), tiny_model.unet.parameters()))
    assert torch.equal(
        next(b for n, b in unet.named_buffers() if n.endswith("pe")),
        next(b for n, b in build_motion_unet(tiny_model.config.unet).named_buffers() if n.endswith("pe")),
    )


def test_an_archive_of_old_pytorch_is_read_as_safely(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"a": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(path)["a"], torch.arange(3.0))
    torch.save({"a": Trap()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(InvalidCheckpoint, match="damaged or contains more than weights"):
        read_weights(path)
