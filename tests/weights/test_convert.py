"""Conversion of the released checkpoint: a complete fake release is converted, loaded and run; damaged ones are rejected
unread."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from mimaface.basel.align import FIVE_POINTS_256
from mimaface.basel.bfm import shade, split_coefficients
from mimaface.basel.curricularface import identity_crop
from mimaface.engines.torch_engine import TorchEngine
from mimaface.evaluation.golden import fill_networks
from mimaface.geometry.rasterise import rasterise
from mimaface.model.family import MimaFaceModel
from mimaface.model.motion_unet import is_temporal, to_animatediff
from mimaface.protocol.errors import DiskFull, InvalidCheckpoint, InvalidInput
from mimaface.sampling.clips import Clip, ClipPlan
from mimaface.sampling.sampler import ClipInputs, generate_clips
from mimaface.weights.convert import RELEASE, FaceNetworks, convert, find_sources
from release import SMALL, TINY, save, write_release

IMAGE, VIDEO = Path("checkpoints/image/pretrained_unet"), Path("checkpoints/video")
MANIFEST = Path(__file__).parents[1] / "golden" / "model_keys.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def folder(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("models") / "released-sd15"
    assert convert([published], target, release=TINY)
    return target


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "published"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rewrite(path: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    weights = torch.load(path, weights_only=True)
    change(weights)
    torch.save(weights, path)


def test_every_weight_of_the_manifest_arrives_and_only_motion_and_input_layer_come_from_the_video_u_net(tmp_path: Path) -> None:
    published, folder, keys = write_release(tmp_path / "published", SMALL), tmp_path / "m", json.loads(MANIFEST.read_text())
    video = torch.load(published / VIDEO / "3dunet.pth", weights_only=True)
    assert {key: list(value.shape) for key, value in video.items()} == keys["motion_unet_small"]
    assert set(torch.load(published / VIDEO / "mim.pth", weights_only=True)) == set(keys["mim"])
    found = torch.load(published / "models/D3DFR/netG_epoch_25.pth", weights_only=True)
    assert {key.removeprefix("module.") for key in found} <= set(keys["d3dfr_net"]), "fewer blocks, under the same names"

    convert([published], folder, release=SMALL)
    model, networks = MimaFaceModel.from_pretrained(folder), FaceNetworks.load(folder)
    released_keys = to_animatediff(model.unet.state_dict())
    expected = fill_networks({key: tuple(value.shape) for key, value in released_keys.items()})
    expected["conv_in.weight"] *= 2
    for key, value in expected.items():
        assert torch.equal(released_keys[key], value), key
    assert sum(is_temporal(key) for key in expected) > 400
    reconstruction = networks.reconstruction.state_dict()
    for key, value in fill_networks({key: tuple(v.shape) for key, v in reconstruction.items()}).items():
        assert torch.equal(reconstruction[key], value), key
    assert model.config.but(vae=SMALL.base.vae) == SMALL.base
    assert SMALL.base.vae.items() <= dict(model.config.vae).items()
    assert not any(
        value.is_meta for net in (model, networks.reconstruction, networks.identity) for value in net.state_dict().values()
    )


def released_inputs(engine: TorchEngine, networks: FaceNetworks, portrait: np.ndarray) -> Callable[[Clip], ClipInputs]:
    """Returns inputs with identity from the portrait, motion from synthetic driving frames through the reconstruction network,
    and renders of the face model.
    """
    side, crop = engine.config.image_size, networks.reconstruction.config.side
    with torch.no_grad():
        identity = networks.identity(identity_crop(portrait, FIVE_POINTS_256, networks.identity.config.side)).deep[0]

    def inputs(clip: Clip) -> ClipInputs:
        frames = [torch.rand(3, crop, crop, generator=torch.Generator().manual_seed(frame)) * 2 - 1 for frame in clip.frames]
        with torch.no_grad():
            found = networks.reconstruction.reconstruct(torch.stack(frames))
        signals = {"identity": identity, **found.signals()}
        renders = []
        for coefficients in found.coefficients:
            parts, face = split_coefficients(coefficients.numpy() * 0.1), networks.face
            posed = face.posed(face.geometry(parts["identity"], parts["expression"]), parts["rotation"], parts["translation"])
            points = np.column_stack([face.project(posed) * [1, -1] + [0, 256], 10 - posed[:, 2]])  # v down, depth
            raster = rasterise(points, face.triangles, 256, 256)
            colour = shade(face.albedo(parts["albedo"]), face.normals(posed), parts["light"]) / 255
            image = np.where(raster.covered[..., None], raster.interpolate(face.triangles, colour), 0)
            renders.append(torch.from_numpy(np.clip(image, 0, 1) * 2 - 1).permute(2, 0, 1).float())
        small = functional.interpolate(torch.stack(renders), (side, side), mode="area")
        return ClipInputs({"render": engine.encode_images(small)}, signals)

    return inputs


def test_it_runs_for_two_clips_from_photo_to_pictures(folder: Path) -> None:
    engine, networks = TorchEngine.open(folder, dtype=torch.float32), FaceNetworks.load(folder)
    photo = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    picture = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 127.5 - 1
    source = engine.encode_source(functional.interpolate(picture, (32, 32)))
    plan, inputs = ClipPlan(7, 4, 1), released_inputs(engine, networks, photo)
    clips = [clip for clip in generate_clips(engine, plan, source, inputs, seed=1) if clip is not None]
    assert [frame for clip in clips for frame in clip.clip.new] == list(range(7))
    pictures = torch.cat([engine.decode_latents(clip.new) for clip in clips])
    assert pictures.shape == (7, 3, 32, 32)
    assert pictures.isfinite().all()
    context = engine.context(source, inputs(plan[0]).signals)
    assert context.shape == (4, 7 + 17, 48), "a token per signal, then those of the vision encoder"
    assert torch.equal(context[0], context[3]), "averaged over the clip"


def test_again_nothing_is_done_and_something_else_is_not_overwritten_unasked(published: Path, copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "m"
    assert convert([published], target, release=TINY)
    before = snapshot(target)
    assert not convert([copy], target, release=TINY), "the same files from another place"
    rewrite(copy / VIDEO / "mim.pth", lambda weights: weights["layer_norm.bias"].add_(1))
    with pytest.raises(InvalidInput, match="--overwrite"):
        convert([copy], target, release=TINY)
    assert snapshot(target) == before
    assert convert([copy], target, release=TINY, overwrite=True)
    after = snapshot(target)
    different = {name for name in before if before[name] != after[name]}
    assert different == {"appearance/diffusion_pytorch_model.safetensors", "origin.json", "SHA256SUMS"}
    assert {path.name for path in target.parent.iterdir()} == {"m"}


def test_a_target_that_lost_a_file_is_made_again(published: Path, tmp_path: Path) -> None:
    target = tmp_path / "m"
    convert([published], target, release=TINY)
    (target / "unet" / "config.json").unlink()
    assert convert([published], target, release=TINY, overwrite=True)
    MimaFaceModel.from_pretrained(target)


def test_a_conversion_that_fails_leaves_what_was_there(published: Path, copy: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "m"
    convert([published], target, release=TINY)
    before = snapshot(target)
    rewrite(copy / "models/ArcFace/CurricularFace_Backbone.pth", lambda weights: weights.pop("module.input_layer.0.weight"))
    (target.parent / ".m.999999999.part").mkdir()
    with pytest.raises(InvalidCheckpoint, match=r"input_layer\.0\.weight"):
        convert([copy], target, release=TINY, overwrite=True)
    assert snapshot(target) == before
    assert {path.name for path in target.parent.iterdir()} == {"m"}, "leftovers, its own and those of a killed one, are gone"


def test_loose_files_and_other_forms_give_the_same(published: Path, folder: Path, tmp_path: Path) -> None:
    """All .pth files in one folder without the U-Net's config.json, which defaults to the known sizes; the U-Net as
    safetensors."""
    loose = tmp_path / "loose"
    loose.mkdir()
    for path in published.rglob("*"):
        if path.suffix in (".pth", ".mat"):
            shutil.copy(path, loose)
    shutil.copytree(published / VIDEO / "vision_encoder", tmp_path / "vision_encoder")
    places = [*sorted(loose.iterdir()), tmp_path / "vision_encoder"]
    convert(places, tmp_path / "m", published / "sd-vae-ft-mse", release=TINY)
    assert {name: value for name, value in snapshot(tmp_path / "m").items() if name.endswith("safetensors")} == {
        name: value for name, value in snapshot(folder).items() if name.endswith("safetensors")
    }
    (published_again := tmp_path / "again").mkdir()
    shutil.copytree(published, published_again, dirs_exist_ok=True)
    unet = torch.load(published / IMAGE / "unet.pth", weights_only=True)
    (published_again / IMAGE / "unet.pth").unlink()
    save(unet, published_again / IMAGE / "diffusion_pytorch_model.safetensors")
    assert find_sources([published_again])["unet"].suffix == ".safetensors"
    convert([published_again], tmp_path / "n", release=TINY)
    assert (
        snapshot(tmp_path / "n")["unet/diffusion_pytorch_model.safetensors"]
        == snapshot(folder)["unet/diffusion_pytorch_model.safetensors"]
    )


def test_half_precision_is_of_the_diffusion_model_only(published: Path, tmp_path: Path) -> None:
    convert([published], tmp_path / "m", release=TINY, dtype=torch.float16)
    kinds = {path.parent.name: {v.dtype for v in load_file(path).values()} for path in (tmp_path / "m").rglob("*.safetensors")}
    assert all(kinds[part] == {torch.float16} for part in ("unet", "vae", "vision", "appearance"))
    assert torch.float16 not in kinds["reconstruction"] | kinds["curricularface"] | kinds["bfm"]


FILES = [
    IMAGE / "unet.pth", VIDEO / "3dunet.pth", VIDEO / "mim.pth", Path("models/D3DFR/netG_epoch_25.pth"),
    Path("models/ArcFace/CurricularFace_Backbone.pth"),
]  # fmt: skip
OTHERS = [VIDEO / "vision_encoder" / "model.safetensors", Path("models/D3DFR/BFM09_model_info.mat")]
KEYS = [
    "mid_block.resnets.0.conv1.bias",
    "conv_in.bias",
    "layer_norm.bias",
    "module.fianl_layers.7.bias",
    "module.output_layer.3.bias",
]


def refused(copy: Path, *words: str) -> None:
    target = copy.parent / "models" / "m"
    with pytest.raises(InvalidCheckpoint) as caught:
        convert([copy], target, release=TINY)
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert len(text) < 1000
    assert not target.parent.exists() or not list(target.parent.iterdir())


@pytest.mark.parametrize("path", [*FILES, *OTHERS], ids=lambda path: path.name)
def test_a_truncated_file_is_refused(copy: Path, path: Path) -> None:
    content = (copy / path).read_bytes()
    (copy / path).write_bytes(content[: len(content) // 2])
    refused(copy, path.name)


@pytest.mark.parametrize("path", [*FILES, *OTHERS], ids=lambda path: path.name)
def test_a_missing_file_is_named(copy: Path, path: Path) -> None:
    (copy / path).unlink()
    refused(copy, "not found", "pytorch_model.bin" if "vision" in str(path) else path.name)


@pytest.mark.parametrize(("path", "key"), list(zip(FILES, KEYS)), ids=[path.name for path in FILES])
@pytest.mark.parametrize("damage", ["renamed", "missing", "extra", "shape"])
def test_a_wrong_key_or_shape_is_named(copy: Path, path: Path, key: str, damage: str) -> None:
    def change(weights: dict[str, Tensor]) -> None:
        value = weights[key] if damage == "extra" else weights.pop(key)
        if damage in ("renamed", "extra"):
            weights[key.replace("bias", "bais")] = value
        if damage == "shape":
            weights[key] = value[1:]

    rewrite(copy / path, change)
    plain = key.removeprefix("module.")
    missing, extra = f"1 missing: {plain}", f"1 unexpected: {plain.replace('bias', 'bais')}"
    words = {"renamed": [missing, extra], "missing": [missing], "extra": [extra], "shape": ["1 of another shape", plain]}
    refused(copy, path.name, *words[damage])


def test_a_renamed_motion_weight_is_named_as_in_the_file(copy: Path) -> None:
    key = "up_blocks.1.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.to_q.weight"
    rewrite(copy / VIDEO / "3dunet.pth", lambda weights: weights.update({key.replace("to_q", "to_p"): weights.pop(key)}))
    refused(copy, key, key.replace("to_q", "to_p"))


def test_a_config_of_other_sizes_is_refused(copy: Path) -> None:
    path = copy / IMAGE / "config.json"
    path.write_text(path.read_text().replace("[32, 64]", "[32, 96]"))
    refused(copy, "of another shape")


class Trap:
    """An object that creates a file when an unpickler executes its code."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.made)!r}, 'w').close()",))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_never_runs(copy: Path, path: Path, zipped: bool) -> None:
    made = copy.parent / "code ran"
    content = {**torch.load(copy / path, weights_only=True), "extra": Trap(made)}
    torch.save(content, copy / path, _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(copy / path) == zipped
    torch.load(copy / path, weights_only=False)
    assert made.exists(), "the trap works"
    made.unlink()
    refused(copy, path.name, "contains more than weights")
    assert not made.exists()


def test_archives_of_old_pytorch_are_read_too(copy: Path, folder: Path) -> None:
    for path in FILES:
        torch.save(torch.load(copy / path, weights_only=True), copy / path, _use_new_zipfile_serialization=False)
    convert([copy], copy.parent / "m", release=TINY)
    found = snapshot(copy.parent / "m")
    assert all(found[name] == value for name, value in snapshot(folder).items() if name.endswith("safetensors"))


def test_two_candidates_are_both_named(copy: Path) -> None:
    shutil.copytree(copy / VIDEO, copy / "backup" / "checkpoints" / "video")
    with pytest.raises(InvalidInput, match=r"both .*3dunet\.pth and .*3dunet\.pth"):
        convert([copy], copy.parent / "m", release=TINY)


def test_what_is_missing_around_it_is_said(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        convert([copy / "nowhere"], copy.parent / "m", release=TINY)
    monkeypatch.setattr("mimaface.weights.convert.RESERVED_BYTES", 1e18)
    with pytest.raises(DiskFull, match="needed"):
        convert([copy], copy.parent / "m", release=TINY)
    shutil.rmtree(copy / "sd-vae-ft-mse")
    with pytest.raises(InvalidCheckpoint, match="--vae"):
        convert([copy], copy.parent / "m", release=TINY)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@torch.no_grad()
def test_full_size(tmp_path: Path) -> None:
    """Every file at its published size in half precision: 6 GB of files become 4 GB, loaded and run once."""
    published = write_release(tmp_path / "published", RELEASE, torch.float16)
    keys = json.loads(MANIFEST.read_text())
    for path, name in (
        (VIDEO / "3dunet.pth", "motion_unet_sd15"),
        (VIDEO / "mim.pth", "mim"),
        (Path("models/D3DFR/netG_epoch_25.pth"), "d3dfr_net"),
        (Path("models/ArcFace/CurricularFace_Backbone.pth"), "curricularface_ir101"),
    ):
        found = torch.load(published / path, weights_only=True, mmap=True)
        assert {key.removeprefix("module."): list(value.shape) for key, value in found.items()} == keys[name]
    target = tmp_path / "models" / "released-sd15"
    assert convert([published], target)
    shutil.rmtree(published)
    model, networks = MimaFaceModel.from_pretrained(target, torch.bfloat16), FaceNetworks.load(target)
    assert sum(value.numel() for value in to_animatediff(model.unet.state_dict()).values()) == pytest.approx(1.278e9, rel=1e-3)
    assert model.config.but(vae=RELEASE.base.vae) == RELEASE.base
    assert RELEASE.base.vae.items() <= dict(model.config.vae).items()
    crop = identity_crop(np.zeros((512, 512, 3), np.uint8), FIVE_POINTS_256)
    signals = networks.reconstruction.reconstruct(torch.zeros(1, 3, 256, 256)).signals()
    signals |= {"identity": networks.identity(crop).deep}
    source = model.encode_source(torch.zeros(1, 3, 224, 224, dtype=torch.bfloat16))
    context = model.context(source, {name: value[:, None].bfloat16() for name, value in signals.items()})
    assert context.shape == (1, 264, 768)
    sample = torch.randn(1, 13, 1, 8, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert model.unet(sample, torch.tensor(500), context).isfinite().all()
