"""Installed models: where they live, how they get there, whether they are whole. No torch until something is converted."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mimaface.protocol.connection import default_folder
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, NotInstalled, NotReachable, NotWritable

from . import checksums

RELEASED = "released-sd15"
PULLABLE = {"released": RELEASED}
HUB, HUB_VAE = "MIMAFace/MIMAFace", "stabilityai/sd-vae-ft-mse"
VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
DOWNLOADS = ".downloads"
TIMEOUT_S = 10.0
OFFLINE_HINT = "connect and repeat, what has arrived is kept; or download it elsewhere and run mimaface models convert FOLDER"
Report = Callable[[str], None]  # takes one sentence about what is being done



def ignore(sentence: str) -> None:
    """The :data:`Report` of a caller that wants none."""


def models_folder() -> Path:
    """Where models are installed: ``models`` in the user's folder, which MIMAFACE_HOME moves."""
    return default_folder() / "models"


def gaze_file() -> Path:
    """Where the calibration of the released model's gaze is kept (:mod:`mimaface.renderers.gaze_calibration`)."""
    return models_folder() / ".transfer" / "gaze.json"


@dataclass(frozen=True)
class InstalledModel:
    """state: empty for a model whose files are all there, or what is wrong."""

    name: str
    folder: Path
    size: int
    state: str


def installed() -> Iterator[InstalledModel]:
    """All models in the folder, by name; quick: their files are looked for, not read."""
    folder = models_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith(".") or not path.is_dir():
            continue
        size = size_of(path)
        try:
            missing = sorted(set(checksums.read(path)) - set(checksums.contents(path)))
            state = f"{len(missing)} files are missing" if missing else ""
        except InvalidCheckpoint as error:
            state = error.message
        yield InstalledModel(path.name, path, size, state)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder, 0 where there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def unfinished() -> tuple[Path, int]:
    """The folder of downloads that are not installed yet, and its bytes: a pull goes on from there."""
    folder = models_folder() / DOWNLOADS
    return folder, size_of(folder)


def find(name: str) -> InstalledModel:
    """The installed model of that name. Raises :class:`InvalidInput` that lists the others."""
    known = {model.name: model for model in installed()}
    if name not in known:
        hint = f"installed are {', '.join(known)}" if known else "none is; see mimaface models --help"
        raise InvalidInput(f"no model {name!r} is installed", hint)
    return known[name]


def verify(name: str) -> Iterator[tuple[str, str]]:
    """(file, what is wrong with it, or nothing) for every file, read in full and compared with its checksum."""
    return checksums.compare(find(name).folder)


def remove(name: str) -> InstalledModel:
    """Delete an installed model. Raises :class:`InvalidInput` for one that is not there, :class:`NotWritable`."""
    model = find(name)
    try:
        shutil.rmtree(model.folder)
    except OSError as error:
        raise NotWritable(f"cannot delete {model.folder}: {error.strerror}", "close what uses it and repeat") from error
    return model


def convert(
    places: Sequence[Path], autoencoder: Path | None = None, dtype: str = "", overwrite: bool = False, report: Report = ignore
) -> tuple[Path, bool]:
    """Install the released checkpoint from its published files; the VAE from the hub where they lack it.

    Returns the model's folder, and False where these very files were converted before. Raises as
    :func:`convert.convert` and :func:`download`.
    """
    import torch

    from . import convert

    target = models_folder() / RELEASED
    convert.find_sources(places)  # before anything is downloaded
    if autoencoder is None and convert.find_autoencoder(places) is None:
        autoencoder = download(HUB_VAE, lambda names: VAE_FILES, models_folder() / DOWNLOADS / "sd-vae-ft-mse", report)
    stored = getattr(torch, dtype) if dtype else None
    return target, convert.convert(places, target, autoencoder, dtype=stored, overwrite=overwrite, report=report)


def pull(
    name: str, autoencoder: Path | None = None, dtype: str = "", overwrite: bool = False, report: Report = ignore
) -> tuple[Path, bool]:
    """Download a published model and install it; False where it is installed already. Raises as :func:`convert`.

    A download that was interrupted goes on where it stopped. It is deleted once the model is installed.
    """
    if name not in PULLABLE:
        raise InvalidInput(f"{name!r} cannot be pulled", f"known are {', '.join(PULLABLE)}")
    target, downloads = models_folder() / PULLABLE[name], models_folder() / DOWNLOADS
    if target.exists() and not overwrite:
        wrong = [file for file, words in verify(target.name) if words]
        if wrong:
            raise InvalidInput(f"{target} is damaged: {', '.join(wrong[:3])}", "add --overwrite to replace it")
        return target, False
    folder = download(HUB, published_files, downloads / "MIMAFace", report)
    if autoencoder is None:
        autoencoder = download(HUB_VAE, lambda names: VAE_FILES, downloads / "sd-vae-ft-mse", report)
    done = convert([folder], autoencoder, dtype, overwrite, report)
    shutil.rmtree(downloads, ignore_errors=True)
    return done


def published_files(names: Sequence[str]) -> tuple[str, ...]:
    """Of the names in the repository, those that a conversion reads. Raises :class:`InvalidCheckpoint` where one is missing."""
    from . import convert

    paths = [PurePosixPath(name) for name in names]
    found = {role: convert.chosen(paths, patterns) for role, patterns in convert.FILES.items()}
    missing = [convert.FILES[role][-1] for role, path in found.items() if path is None]
    if missing:
        raise InvalidCheckpoint(f"https://huggingface.co/{HUB} has no {', '.join(missing)}", "it has changed since; report this")
    wanted = [path for path in found.values() if path is not None]
    configurations = {path.parent / "config.json" for role, path in found.items() if path and role in convert.CONFIGURED}
    return tuple(str(path) for path in [*wanted, *sorted(configurations & set(paths))])


def download(repository: str, choose: Callable[[Sequence[str]], Sequence[str]], folder: Path, report: Report = ignore) -> Path:
    """Fetch files of a hub repository into a folder, resuming, and compare each with the hub's checksum.

    choose picks the wanted ones from the names in the repository. Raises :class:`NotReachable` without a network,
    :class:`InvalidCheckpoint` for a file that arrived damaged (it is deleted), :class:`NotInstalled`, :class:`NotWritable`.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
        from huggingface_hub.utils import logging
    except ImportError:
        raise NotInstalled("huggingface_hub is not installed", "pip install huggingface_hub") from None
    logging.set_verbosity_error()  # its retries are not for the user
    network: tuple[type[Exception], ...] = (getattr(errors, "HTTPError", OSError), OSError)
    page = f"https://huggingface.co/{repository}"
    try:
        info = huggingface_hub.HfApi().model_info(repository, files_metadata=True, timeout=TIMEOUT_S)
    except (errors.RepositoryNotFoundError, errors.GatedRepoError) as error:
        raise NotReachable(
            f"{page} does not let us in", "open it in a browser and accept its terms, then log in: hf auth login"
        ) from error
    except network as error:
        raise NotReachable(f"the model hub cannot be reached for {page}", OFFLINE_HINT) from error
    siblings = {item.rfilename: item for item in info.siblings or ()}
    wanted = choose(list(siblings))
    report(f"fetching {page}, under its authors' licence")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritable(f"cannot write {folder}: {error.strerror}", "choose another MIMAFACE_HOME") from error
    try:
        huggingface_hub.snapshot_download(repository, revision=info.sha, allow_patterns=list(wanted), local_dir=folder)
    except network as error:
        raise NotReachable(f"the download of {page} was interrupted", OFFLINE_HINT) from error
    damaged = [name for name in wanted if not arrived(folder / name, siblings.get(name))]
    for name in damaged:
        (folder / name).unlink(missing_ok=True)
    if damaged:
        raise InvalidCheckpoint(f"arrived damaged from {page}: {', '.join(damaged)}", "repeat the command to fetch them again")
    return folder


def arrived(path: Path, published: Any) -> bool:
    """Whether a file has the checksum that the hub tells: SHA-256 of large files, git's SHA-1 of a blob for others."""
    if published is None or not path.is_file():
        return False
    large = published.lfs
    if large is not None:
        return bool(checksums.digest(path) == (large["sha256"] if isinstance(large, dict) else large.sha256))
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return published.blob_id is None or bool(blob == published.blob_id)
