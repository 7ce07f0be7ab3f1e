"""Markdown tables from the JSON of ``mimaface evaluate``, and their insertion into the README."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mimaface.protocol.errors import InvalidInput
from mimaface.protocol.files import write_whole

METRICS = {
    "psnr@face": ("PSNR face ↑", 2), "ssim@face": ("SSIM face ↑", 3), "landmarks": ("Landmarks ↓", 3), "r-lips": ("r lips ↑", 3),
    "r-lids": ("r lids ↑", 3), "r-gaze-aside": ("r gaze aside ↑", 3), "r-gaze-up": ("r gaze up ↑", 3),
    "psnr@mouth-open": ("PSNR open mouth ↑", 2), "ssim@mouth-open": ("SSIM ↑", 3), "sharpness@mouth-open": ("sharpness → 1", 2),
    "psnr@eye-shut": ("PSNR shut eye ↑", 2), "ssim@eye-shut": ("SSIM ↑", 3), "sharpness@eye-shut": ("sharpness → 1", 2),
    "psnr@head": ("PSNR head ↑", 2), "ssim@head": ("SSIM head ↑", 4), "psnr": ("PSNR ↑", 2),
    "exp@anny-fit": ("Exp ↓", 3), "pose@anny-fit": ("Pose ↓", 4), "gaze@anny-fit": ("Gaze ↓", 4), "csim@dlib": ("CSIM (dlib) ↑", 4),
    "icj": ("ICJ → 1", 3), "icj-placebo": ("ICJ elsewhere", 3),
}  # fmt: skip
BEGIN, END = "<!-- {name} -->", "<!-- /{name} -->"


def read_results(path: Path) -> dict[str, Any]:
    """Reads results. Raises :class:`InvalidInput` for a file that ``mimaface evaluate`` did not write."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if not isinstance(content["results"], dict):
            raise ValueError("no results in it")
        return content
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path}: not results of mimaface evaluate ({error})", "write them with --out") from error


def table(rows: dict[str, dict[str, dict[str, float]]]) -> str:
    """Formats rows name → metric → {"mean", …} as a Markdown table; missing metrics become a dash."""
    names = [name for name in METRICS if any(name in row for row in rows.values())]
    lines = ["| | " + " | ".join(METRICS[name][0] for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for row, values in rows.items():
        cells = [f"{values[name]['mean']:.{METRICS[name][1]}f}" if name in values else "–" for name in names]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def replace_between(path: Path, name: str, text: str) -> None:
    """Replaces the text between the markers ``name`` of a Markdown file. Raises :class:`InvalidInput` if they are missing."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    content = path.read_text()
    if content.count(begin) != 1 or content.count(end) != 1:
        raise InvalidInput(f"{path} lacks the markers of the table", f"add a line {begin} and a line {end}")
    before, rest = content.split(begin)
    after = rest.split(end)[1]
    write_whole(path, f"{before}{begin}\n{text}\n{end}{after}".encode())
