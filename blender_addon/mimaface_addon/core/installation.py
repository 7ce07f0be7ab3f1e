# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that installs the backend, which the extension brings as source. No bpy here."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .words import n_, rpt_

ENVIRONMENT, MARKER = "environment", "python.txt"  # in the backend's folder: what is installed; the path of the interpreter in use
PROGRAM = Path("Scripts/python.exe") if sys.platform == "win32" else Path("bin/python")  # of a virtual environment
SAID = "install.py: "  # before the sentence with which a failed installation ends
STEPS = (  # as install.py names them; others, such as fetching a Python, are shown without a number
    n_("making a virtual environment"), n_("installing PyTorch"), n_("installing pinned packages"), n_("installing MIMAFace itself"),
    n_("compiling, once"),
)  # fmt: skip


def clean_environment() -> dict[str, str]:
    """The variables of this process without those of Blender's Python, for another Python whose output is UTF-8."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    return kept | {"PYTHONIOENCODING": "utf-8"}


class Installation:
    """``install.py`` of a source, run by ``python``, which makes ``folder / ENVIRONMENT``.

    It ends with all its children when its standard input is closed: by :meth:`end`, or by the end of this process, whatever ended it.
    """

    def __init__(self, python: Path, source: Path, folder: Path) -> None:
        self.python = folder / ENVIRONMENT / PROGRAM  # the backend's interpreter afterwards
        self.began = time.monotonic()
        self._command = [str(python), str(source / "backend" / "install.py"), str(folder / ENVIRONMENT)]
        self._folder, self._log = folder, folder / "install.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises :class:`OSError`."""
        hidden: Any = {"creationflags": 0x08000000} if sys.platform == "win32" else {}
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=clean_environment(), cwd=self._folder, **hidden
            )

    @property
    def started(self) -> bool:
        return self._process is not None

    def ended(self) -> bool:
        if self._process is None or self._process.poll() is None:
            return False
        self.end()  # which closes its input
        return True

    def end(self) -> None:
        """End it and wait until it has ended; what it has made is kept for the next one."""
        if self._process is not None:
            self._process.communicate()

    def step(self) -> str:
        """Returns the step under way, such as "step 2 of 5: installing PyTorch"."""
        begun = [line.removesuffix("…").strip() for line in self._lines() if line.endswith("…")]
        if not begun or begun[-1] not in STEPS:
            return begun[-1] if begun else rpt_("looking at what is there")
        sentence = rpt_("step {number} of {count}: {work}")
        return sentence.format(number=STEPS.index(begun[-1]) + 1, count=len(STEPS), work=rpt_(begun[-1]))

    def problem(self) -> str:
        """Returns why it failed, with the next step; "" if the backend was tried and is in use from now on."""
        lines = self._lines()
        if self._process is not None and self._process.returncode == 0 and (self._folder / MARKER).is_file() and self.python.is_file():
            return ""
        if lines and lines[-1].startswith(SAID):
            return lines[-1].removeprefix(SAID)
        sentence = rpt_("the installation was ended ({message}): press Install Backend to go on")
        return sentence.format(message=lines[-1].strip() if lines else rpt_("no message"))

    def _lines(self) -> list[str]:
        with contextlib.suppress(OSError):
            return [line for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
        return []
