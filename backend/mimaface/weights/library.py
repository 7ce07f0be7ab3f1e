"""Installed models: location, download, installation, verification. Imports torch only for conversion."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mimaface.protocol.connection import default_folder
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput, NotInstalled, NotReachable, NotWritable
from mimaface.protocol.files import writable

from . import checksums

RELEASED = "released-sd15"
DRAFT_DECODER = "taesd"
PULLABLE = {"released": RELEASED, DRAFT_DECODER: DRAFT_DECODER}
HUB, HUB_VAE, HUB_DRAFT_DECODER = "MIMAFace/MIMAFace", "stabilityai/sd-vae-ft-mse", "madebyollin/taesd"
VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
DOWNLOADS = ".downloads"
TIMEOUT_S = 10.0  # seconds until the hub counts as unreachable
OFFLINE_HINT = "connect and repeat, what has arrived is kept; or download it elsewhere and run mimaface models convert FOLDER"
Report = Callable[[str], None]  # receives one sentence per step of progress


def ignore(sentence: str) -> None:
    """A :data:`Report` that discards its sentences."""


def models_folder() -> Path:
    """Returns the folder of installed models: ``models`` in the user's folder, which MIMAFACE_HOME sets."""
    return default_folder() / "models"


def gaze_file() -> Path:
    """Returns the file of the released model's gaze calibration (:mod:`mimaface.renderers.gaze_calibration`)."""
    return models_folder() / ".transfer" / "gaze.json"


@dataclass(frozen=True)
class InstalledModel:
    """An installed model. state: "" if complete, else the problem."""

    name: str
    folder: Path
    size: int
    state: str


def installed() -> Iterator[InstalledModel]:
    """Yields all models in the folder, by name; checks that files exist without reading them."""
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
    """Returns the bytes of all files below a folder, 0 if it does not exist."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def unfinished() -> tuple[Path, int]:
    """Returns the folder of unfinished downloads, from which a pull resumes, and its bytes."""
    folder = models_folder() / DOWNLOADS
    return folder, size_of(folder)


def find(name: str) -> InstalledModel:
    """Returns the installed model of that name. Raises :class:`InvalidInput` that lists the others."""
    known = {model.name: model for model in installed()}
    if name not in known:
        hint = f"installed are {', '.join(known)}" if known else "none is; see mimaface models --help"
        raise InvalidInput(f"no model {name!r} is installed", hint)
    return known[name]


def verify(name: str) -> Iterator[tuple[str, str]]:
    """Yields (file, problem or "") for each file, read in full and compared with its checksum."""
    return checksums.compare(find(name).folder)


def remove(name: str) -> InstalledModel:
    """Deletes an installed model. Raises :class:`InvalidInput` for a missing one, :class:`NotWritable`."""
    model = find(name)
    try:
        shutil.rmtree(model.folder)
    except OSError as error:
        raise NotWritable(f"cannot delete {model.folder}: {error.strerror}", "close what uses it and repeat") from error
    return model


def convert(
    places: Sequence[Path], autoencoder: Path | None = None, dtype: str = "", overwrite: bool = False, report: Report = ignore
) -> tuple[Path, bool]:
    """Installs the released checkpoint from its published files, with the VAE from the hub if they lack it.

    Returns the model's folder, and False if these files were converted before. Raises as :func:`convert.convert` and
    :func:`download`.
    """
    import torch

    from . import convert

    target = models_folder() / RELEASED
    convert.find_sources(places)  # before any download
    if autoencoder is None and convert.find_autoencoder(places) is None:
        autoencoder = download(HUB_VAE, lambda names: VAE_FILES, models_folder() / DOWNLOADS / "sd-vae-ft-mse", report)
    stored = getattr(torch, dtype) if dtype else None
    return target, convert.convert(places, target, autoencoder, dtype=stored, overwrite=overwrite, report=report)


def pull(
    name: str, autoencoder: Path | None = None, dtype: str = "", overwrite: bool = False, report: Report = ignore
) -> tuple[Path, bool]:
    """Downloads a published model and installs it; returns False if it is installed already. Raises as :func:`convert`.

    An interrupted download resumes. Downloads are deleted after installation. ``autoencoder`` is a folder or file on this machine, in
    place of the autoencoder's download.
    """
    if name not in PULLABLE:
        raise InvalidInput(f"{name!r} cannot be pulled", f"known are {', '.join(PULLABLE)}")
    target, downloads = models_folder() / PULLABLE[name], models_folder() / DOWNLOADS
    if name == DRAFT_DECODER:
        return target, _pull_draft_decoder(target, autoencoder, overwrite, report)
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


def _pull_draft_decoder(target: Path, source: Path | None, overwrite: bool, report: Report) -> bool:
    from . import draft_decoder

    downloaded = models_folder() / DOWNLOADS / DRAFT_DECODER
    if source is None and (overwrite or not target.exists()):
        source = download(HUB_DRAFT_DECODER, lambda names: VAE_FILES, downloaded, report)
    new = draft_decoder.install(source or target, target, overwrite)
    shutil.rmtree(downloaded, ignore_errors=True)
    return new


def draft_decoder_folder() -> Path | None:
    """Returns the folder of the installed TAESD; None if it is not installed whole."""
    return next((model.folder for model in installed() if model.name == DRAFT_DECODER and not model.state), None)


def published_files(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the files among the repository's names that a conversion reads. Raises :class:`InvalidCheckpoint` if one is
    missing.
    """
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
    """Downloads files of a hub repository to a folder, resuming, and compares each with the hub's checksum.

    choose selects from the names in the repository. Raises :class:`NotReachable` without a network, :class:`InvalidCheckpoint`
    for a damaged file, which is deleted, :class:`NotInstalled`, :class:`NotWritable`.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
        from huggingface_hub.utils import logging
    except ImportError:
        raise NotInstalled("huggingface_hub is not installed", "pip install huggingface_hub") from None
    logging.set_verbosity_error()  # hides the library's retries from the user
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
    with writable(folder, "choose another MIMAFACE_HOME"):
        folder.mkdir(parents=True, exist_ok=True)
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
    """Returns whether a file has the hub's checksum: SHA-256 of large files, git's SHA-1 blob hash of others."""
    if published is None or not path.is_file():
        return False
    large = published.lfs
    if large is not None:
        return bool(checksums.digest(path) == (large["sha256"] if isinstance(large, dict) else large.sha256))
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return published.blob_id is None or bool(blob == published.blob_id)
