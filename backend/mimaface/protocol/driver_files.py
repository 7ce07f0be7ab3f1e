"""Suffixes of driver files, for file dialogs, messages and readers."""

from __future__ import annotations

from pathlib import PurePath

TAKES, MOTIONS, TIMINGS = (".csv", ".tsv", ".txt"), (".npz",), (".textgrid", ".json")
RECORDINGS = (".json", ".bvh", ".mat", ".pkl")  # of other programs
SCENES = (".fbx",)  # read by Blender's own importer
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".jp2")  # a picture is a pose
FILMS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")  # of people, as data sets hold them
VIDEOS = (*FILMS, ".mpg", ".mpeg", ".gif", ".mts", ".m2ts", ".3gp", ".wmv")
SOUNDS = (".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".wma", ".caf")
_ALL = (*TAKES, *MOTIONS, *RECORDINGS, *SCENES, *VIDEOS, *SOUNDS, ".textgrid", *PICTURES)
PATTERNS = ";".join(f"*{ending}" for ending in _ALL)  # of file dialogs, which ignore case
KINDS = (
    "use .motion.npz, a .csv with the columns of Live Link Face, a recording of another program, a video, a sound, a TextGrid of phones, "
    "or a picture"
)


def ends(name: str, endings: tuple[str, ...]) -> bool:
    """Returns whether a file's name has one of these suffixes, ignoring case."""
    return PurePath(name).suffix.lower() in endings
