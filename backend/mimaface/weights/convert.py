"""Conversion of the released checkpoint's published files to a ``released-sd15`` folder (spec 1.8).

Beside the parts of every model, the folder contains ``reconstruction/`` (face coefficients), ``curricularface/`` (identity) and
``bfm/`` (face model). Only plain tensors are read from published files; their code is never executed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mimaface import __version__
from mimaface.basel.bfm import FIELDS, BaselFace, read_mat
from mimaface.basel.curricularface import CurricularFace, CurricularFaceConfig
from mimaface.basel.reconstruction import ReconstructionConfig, ReconstructionNet
from mimaface.model import checkpoint
from mimaface.model.appearance import from_released, to_released
from mimaface.model.config import MimaFaceConfig
from mimaface.model.family import MimaFaceModel
from mimaface.model.instances import RELEASED_SD15
from mimaface.model.motion_unet import RELEASED_POSITIONS, from_animatediff, is_temporal, to_animatediff
from mimaface.model.vision import vision_keys
from mimaface.protocol.connection import process_exists
from mimaface.protocol.errors import DiskFull, InvalidCheckpoint, InvalidInput, MimaFaceError
from mimaface.protocol.files import put_folder, writable

from . import checksums
from .autoencoder_files import read_autoencoder
from .start_paper import unet_configuration, vision_configuration

REPOSITORY = "https://huggingface.co/MIMAFace/MIMAFace"
NETWORK_FILE, FACE_FILE, ORIGIN = "model.safetensors", "model.safetensors", "origin.json"
VIDEO_KEYS = ("motion_modules.", "conv_in.")  # keys of 3dunet.pth that are used; the rest repeats the image U-Net
RESERVED_BYTES = 200e6  # bytes that remain free after a conversion

# published path of each file, and shorter suffixes that identify a loose copy, in order of preference
FILES: dict[str, tuple[str, ...]] = {
    "unet": ("pretrained_unet/diffusion_pytorch_model.safetensors", "pretrained_unet/unet.pth", "unet.pth"),
    "video": ("checkpoints/video/3dunet.pth", "3dunet.pth"),
    "appearance": ("checkpoints/video/mim.pth", "mim.pth"),
    "vision": ("vision_encoder/model.safetensors", "vision_encoder/pytorch_model.bin"),
    "reconstruction": ("models/D3DFR/netG_epoch_25.pth", "netG_epoch_25.pth"),
    "face model": ("models/D3DFR/BFM09_model_info.mat", "BFM09_model_info.mat"),
    "identity": ("models/ArcFace/CurricularFace_Backbone.pth", "CurricularFace_Backbone.pth"),
}
CONFIGURED = ("unet", "vision")  # parts with a config.json beside their weights
AUTOENCODER = (  # base part that the authors did not publish; optional here, see find_autoencoder
    "sd-vae-ft-mse/config.json",
    "vae/config.json",
    "vae-ft-mse-840000-ema-pruned.safetensors",
    "vae-ft-mse-840000-ema-pruned.ckpt",
)


@dataclass(frozen=True)
class Release:
    """Expected sizes of the published networks."""

    base: MimaFaceConfig = RELEASED_SD15
    reconstruction: ReconstructionConfig = field(default_factory=ReconstructionConfig)
    identity: CurricularFaceConfig = field(default_factory=CurricularFaceConfig)


RELEASE = Release()
Sizes = TypeVar("Sizes")
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class FaceNetworks:
    """Networks of the released model beside :class:`MimaFaceModel`: face coefficients, identity and geometry."""

    reconstruction: ReconstructionNet
    identity: CurricularFace
    face: BaselFace

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> FaceNetworks:
        """Loads a converted folder in the precision of its files. Raises :class:`InvalidCheckpoint`."""
        reconstruction = _load(folder / "reconstruction", ReconstructionConfig, ReconstructionNet)
        identity = _load(folder / "curricularface", CurricularFaceConfig, CurricularFace)
        face = BaselFace.from_safetensors(folder / "bfm" / FACE_FILE)
        return cls(reconstruction.to(device), identity.to(device), face)


def _load(folder: Path, sizes: Callable[..., Sizes], build: Callable[[Sizes], Network]) -> Network:
    """Loads a network from its folder with the sizes in its config.json, for inference."""
    values = checkpoint.read_json(folder / "config.json")
    try:
        config = sizes(**values)
    except TypeError as error:
        raise InvalidCheckpoint(f"{folder / 'config.json'} does not fit: {error}", checksums.REINSTALL_HINT) from error
    network = checkpoint.without_memory(lambda: build(config))
    checkpoint.load_weights(network, checkpoint.read_weights(folder / NETWORK_FILE), str(folder / NETWORK_FILE))
    return network.eval()


def chosen(names: Iterable[PurePath], patterns: Sequence[str]) -> PurePath | None:
    """Returns the file that matches the first matching pattern, or None. Raises :class:`InvalidInput` if two match."""
    candidates = list(names)
    for pattern in patterns:
        parts = PurePath(pattern).parts
        found = [name for name in candidates if name.parts[-len(parts) :] == parts]
        if len(found) > 1:
            raise InvalidInput(f"both {found[0]} and {found[1]} could be {pattern}", "name one of them, not the folder above")
        if found:
            return found[0]
    return None


def find_sources(places: Sequence[Path]) -> dict[str, Path]:
    """Returns the published files among folders and files, by role. Raises :class:`InvalidCheckpoint`."""
    names = _files(places)
    found = {role: chosen(names, patterns) for role, patterns in FILES.items()}
    missing = [patterns[-1] for role, patterns in FILES.items() if found[role] is None]
    if missing:
        where = ", ".join(map(str, places))
        hint = f"download all of {REPOSITORY}, or give the missing files as further arguments"
        raise InvalidCheckpoint(f"{where}: not found: {', '.join(missing)}", hint)
    return {role: Path(name) for role, name in found.items() if name is not None}


def find_autoencoder(places: Sequence[Path]) -> Path | None:
    """Returns the folder or single file of ``sd-vae-ft-mse`` in one of the places, or None."""
    found = chosen(_files(places), AUTOENCODER)
    if found is None:
        return None
    return Path(found).parent if found.name == "config.json" else Path(found)


def _files(places: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for place in places:
        if not place.exists():
            raise InvalidInput(f"{place} does not exist", "give the folder that was downloaded, or its files")
        found += [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    return list(dict.fromkeys(path.absolute() for path in found))


def convert(
    places: Sequence[Path],
    target: Path,
    autoencoder: Path | None = None,
    *,
    release: Release | None = None,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda sentence: None,
) -> bool:
    """Writes the checkpoint folder ``target`` from published files, atomically; returns False if it was made from them already.

      places       the published folder, or any folders and files with the same files
      autoencoder  folder or single file of ``sd-vae-ft-mse``; by default searched in the places
      dtype        of the stored diffusion weights; by default that of the published files
      overwrite    convert in any case, and replace an existing folder

    Raises :class:`InvalidCheckpoint` with all missing and unexpected weights, :class:`InvalidInput` if ``target`` has other
    content without ``overwrite``, and :class:`DiskFull`.
    """
    release = release or RELEASE
    sources = find_sources(places)
    vae = autoencoder or find_autoencoder(places)
    if vae is None:
        raise InvalidCheckpoint("the autoencoder sd-vae-ft-mse is not among the files", "name its folder or file with --vae")
    if not vae.exists():
        raise InvalidInput(f"{vae} does not exist", "give the folder or file of sd-vae-ft-mse")
    report("comparing with what is installed")
    origin = _origin(sources, vae, dtype)
    if target.exists() and not overwrite:
        if _is_from(target, origin):
            return False
        raise InvalidInput(f"{target} holds something else", "add --overwrite to replace it")
    with writable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    clear_abandoned(target)
    _check_space(target.parent, sources, dtype)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        _write(sources, vae, part, release, dtype, report)
        checkpoint.write_json(part / ORIGIN, origin)
        report("checksums")
        checksums.write(part)
        with writable(target):
            put_folder(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def _write(
    sources: Mapping[str, Path], vae: Path, folder: Path, release: Release, dtype: torch.dtype | None, report: Callable[[str], None]
) -> None:
    """Checks all parts and writes them to a new folder."""
    vae_config, vae_weights, vae_file = read_autoencoder(vae, release.base.vae)
    config = release.base.but(vae=vae_config, **_configurations(sources, release.base))
    wanted = next(signal.size for signal in config.appearance.signals if signal.name == "identity")
    if wanted != release.identity.deep_size:
        raise InvalidCheckpoint(f"the identity net gives {release.identity.deep_size} numbers, the appearance takes {wanted}")
    report("reading and checking")
    model = checkpoint.without_memory(lambda: MimaFaceModel(config))
    checkpoint.load_weights(model.unet, _unet_weights(model, sources["unet"], sources["video"]), str(sources["unet"]))
    checkpoint.load_weights(model.vae, vae_weights, str(vae_file))
    path = sources["vision"]
    checkpoint.load_weights(model.vision, vision_keys(plain_weights(path)), str(path))
    path = sources["appearance"]
    weights = plain_weights(path)
    # with the file's key names in messages
    checkpoint.check_weights(to_released(model.appearance.state_dict()), weights, str(path))
    checkpoint.load_weights(model.appearance, from_released(weights), str(path))
    networks: dict[str, tuple[nn.Module, Any]] = {
        "reconstruction": (checkpoint.without_memory(lambda: ReconstructionNet(release.reconstruction)), release.reconstruction),
        "curricularface": (checkpoint.without_memory(lambda: CurricularFace(release.identity)), release.identity),
    }
    for (network, _), role in zip(networks.values(), ("reconstruction", "identity")):
        checkpoint.load_weights(network, plain_weights(sources[role]), str(sources[role]))
    arrays = read_mat(sources["face model"])
    BaselFace.from_arrays(arrays, str(sources["face model"]))
    report("writing")
    model.save_pretrained(folder, dtype)
    index = checkpoint.read_json(folder / "model_index.json")
    for name, (network, sizes) in networks.items():
        checkpoint.write_weights(folder / name / NETWORK_FILE, network.state_dict())
        checkpoint.write_json(folder / name / "config.json", asdict(sizes))
        index[name] = [type(network).__module__, type(network).__name__]
    checkpoint.write_weights(folder / "bfm" / FACE_FILE, {key: _tensor(arrays[key]) for key in FIELDS})
    checkpoint.write_json(folder / "model_index.json", index)


def _configurations(sources: Mapping[str, Path], base: MimaFaceConfig) -> dict[str, Any]:
    """Returns the configurations of U-Net and vision encoder from their config.json; loose files without one get the default
    sizes.
    """
    folders = {role: sources[role].parent for role in CONFIGURED if (sources[role].parent / "config.json").is_file()}
    found: dict[str, Any] = {}
    if "unet" in folders:
        found["unet"] = unet_configuration(folders["unet"], None, base.input_channels)
    if "vision" in folders:
        found["vision"] = vision_configuration(folders["vision"])
    return found


def plain_weights(path: Path) -> dict[str, Tensor]:
    """Returns the weights of a published file without the ``module.`` prefix of parallel training. Raises
    :class:`InvalidCheckpoint`.
    """
    plain: dict[str, Tensor] = {}
    for key, value in checkpoint.read_weights(path).items():
        new = key.removeprefix("module.")
        if new in plain:
            raise InvalidCheckpoint(f"{path}: two weights both mean {new}", "the file is of another model")
        plain[new] = value
    return plain


def _unet_weights(model: MimaFaceModel, image: Path, video: Path) -> dict[str, Tensor]:
    """Returns the image U-Net's weights with the video U-Net's motion modules and input layer; each file is checked
    separately."""
    expected = model.unet.state_dict()
    spatial = plain_weights(image)
    checkpoint.check_weights({key: value for key, value in expected.items() if not is_temporal(key)}, spatial, str(image))
    taken = {key: value for key, value in plain_weights(video).items() if any(part in key for part in VIDEO_KEYS)}
    released = to_animatediff({key: value for key, value in expected.items() if any(part in key for part in VIDEO_KEYS)})
    tables = RELEASED_POSITIONS  # position tables follow from the sizes: compared below, and not stored
    checkpoint.check_weights(
        {key: value for key, value in released.items() if not key.endswith(tables)},
        {key: value for key, value in taken.items() if not key.endswith(tables)},
        str(video),
    )
    return {**spatial, **from_animatediff(taken)}


def _tensor(values: Any) -> Tensor:
    """Converts an array of the .mat file to a tensor in native byte order and C layout; integers become int32."""
    array = np.asarray(values)
    kind = np.int32 if array.dtype.kind in "ui" else array.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(array, kind, order="C"))


def _origin(sources: Mapping[str, Path], vae: Path, dtype: torch.dtype | None) -> dict[str, Any]:
    """Returns the inputs of a conversion, by which a repetition is recognised."""
    files = dict(sources)
    files |= {f"{role} config": path.parent / "config.json" for role, path in sources.items() if role in CONFIGURED}
    files |= {f"vae {path.name}": path for path in ([vae] if vae.is_file() else sorted(vae.iterdir()))}
    listed = {role: {"name": p.name, "sha256": checksums.digest(p)} for role, p in sorted(files.items()) if p.is_file()}
    return {"repository": REPOSITORY, "converter": __version__, "dtype": str(dtype or "as published"), "files": listed}


def _is_from(target: Path, origin: Mapping[str, Any]) -> bool:
    """Returns whether a folder was converted from these files and is complete by name."""
    try:
        known = json.loads((target / ORIGIN).read_text(encoding="utf-8"))
        return bool(known == origin) and set(checksums.read(target)) == set(checksums.contents(target))
    except (OSError, ValueError, MimaFaceError):
        return False


def clear_abandoned(target: Path) -> None:
    """Removes partial folders of killed processes."""
    for path in target.parent.glob(f".{target.name}.*.part"):
        number = path.name.split(".")[-2]
        if not number.isdecimal() or int(number) == os.getpid() or not process_exists(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _check_space(folder: Path, sources: Mapping[str, Path], dtype: torch.dtype | None) -> None:
    """Raises :class:`DiskFull` if the result will not fit: about the size of the files minus half of the video U-Net, halved in
    half precision.
    """
    size = sum(path.stat().st_size for role, path in sources.items() if role != "video") + sources["video"].stat().st_size / 2
    needed = size * (0.6 if dtype in (torch.float16, torch.bfloat16) else 1.0) + RESERVED_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed", "free some or move MIMAFACE_HOME"
        )
