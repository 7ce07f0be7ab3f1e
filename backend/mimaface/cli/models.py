"""``mimaface models``: installs, lists, verifies and removes models, and calibrates the released model's gaze."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``models`` with its actions."""
    group = commands.add_parser("models", help="install, list, verify and remove models")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")

    pull = actions.add_parser("pull", help="download a published model and install it")
    pull.add_argument("name", help="released: the checkpoint of the paper's authors; taesd: a fast decoder for its drafts")
    _add_installing(pull, _pull)

    convert = actions.add_parser("convert", help="install the released model from files on this machine")
    convert.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="the published folder, or its files one by one")
    _add_installing(convert, _convert)

    listing = actions.add_parser("list", help="list the installed models")
    listing.set_defaults(command=_list)

    gaze = actions.add_parser("gaze", help="calibrate the released model's gaze with a video of a person who looks around")
    gaze.add_argument("video", type=Path)
    gaze.set_defaults(command=_gaze)

    verify = actions.add_parser("verify", help="compare every file of a model with its checksum")
    verify.add_argument("name")
    verify.set_defaults(command=_verify)

    remove = actions.add_parser("remove", help="delete an installed model")
    remove.add_argument("name")
    remove.set_defaults(command=_remove)


def _add_installing(action: argparse.ArgumentParser, command: Callable[[argparse.Namespace], int]) -> None:
    action.add_argument("--vae", type=Path, help="the folder or file of sd-vae-ft-mse, or of taesd (default: among the files, or the hub)")
    action.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="",
        help="precision of the stored weights (default: as published)",
    )
    action.add_argument("--overwrite", action="store_true", help="replace the installed model")
    action.set_defaults(command=command)


def _pull(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    return _installed(*library.pull(parsed.name, parsed.vae, parsed.dtype, parsed.overwrite, report=print))


def _convert(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    return _installed(*library.convert(parsed.paths, parsed.vae, parsed.dtype, parsed.overwrite, report=print))


def _installed(folder: Path, new: bool) -> int:
    print(f"{folder.name} is in {folder}" if new else f"{folder.name} is already in {folder}")
    return 0


def _list(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    found = list(library.installed())
    for model in found:
        print(f"{model.name:20} {model.size / 1e9:6.2f} GB  {model.folder}  {model.state or 'ok'}")
    if not found:
        print(f"no model is installed in {library.models_folder()}; try: mimaface models pull released")
    folder, size = library.unfinished()
    if size:
        print(f"an unfinished download takes {size / 1e9:.2f} GB: pull again to continue it, or delete {folder}")
    return 0


def _gaze(parsed: argparse.Namespace) -> int:
    from mimaface.drivers.video import video_frames
    from mimaface.renderers import gaze_calibration
    from mimaface.weights import library
    from mimaface.weights.convert import FaceNetworks

    networks = FaceNetworks.load(library.find(library.RELEASED).folder)
    adapter, frames = gaze_calibration.calibrate(networks, video_frames(parsed.video), parsed.video.name)
    gaze_calibration.save_calibration(adapter, parsed.video.name)
    print(f"the gaze of {library.RELEASED} is fitted to {frames} frames of {parsed.video.name}")
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    total = wrong = 0
    for file, problem in library.verify(parsed.name):
        total, wrong = total + 1, wrong + bool(problem)
        if problem:
            print(f"{file}: {problem}")
    print(f"{parsed.name}: {total - wrong} of {total} files are as they were installed")
    return 1 if wrong else 0


def _remove(parsed: argparse.Namespace) -> int:
    from mimaface.weights import library

    model = library.remove(parsed.name)
    print(f"{model.name} is deleted, which frees {model.size / 1e9:.2f} GB")
    return 0
