# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, watch and stop the backend process. No bpy here: this runs the same in a test without Blender."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from .protocol.client import Client
from .protocol.connection import Connection
from .protocol.errors import MimaFaceError

START_TIMEOUT = 60.0  # seconds: the first start compiles
HUNG_AFTER = 20.0  # seconds in one step


class Backend:
    """``state``: stopped, starting, ready or lost; ``problem`` is a sentence when something is wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection_file = folder / "connection.json"
        self.log_file = folder / "start.log"
        self.client: Client | None = None
        self.state = "stopped"
        self.problem = ""
        self.step_age = 0.0  # seconds that the backend has been in its present step, as it says
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    def start(self, python: Path | None) -> None:
        """Use a running backend of this folder, else start one with ``python``. Returns at once; call :meth:`poll`."""
        self.stop_client()
        self.problem, self.step_age = "", 0.0
        if self._process is not None:
            self._process.poll()  # a child that has ended must not look alive
        if self._connect():
            return
        if python is None:
            self._fail("no backend is installed: run “python3 run.py install” in MIMAFace's folder, or set it in the preferences")
            return
        self.connection_file.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
        command = [str(python), "-m", "mimaface.cli", "serve", "--connection", str(self.connection_file)]
        command += ["--root", str(self.folder), "--parent-pid", str(os.getpid())]
        hidden = {"creationflags": 0x08000000} if sys.platform == "win32" else {"start_new_session": True}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.log_file.open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.folder, **hidden
                )
        except OSError as error:
            self._fail(f"the backend cannot be started with {python}: {error.strerror}")
            return
        self.state, self._deadline = "starting", time.monotonic() + START_TIMEOUT

    def poll(self) -> None:
        """Bring ``state`` up to date; never waits."""
        if self.state == "starting":
            if self.client is None and self.connection_file.exists():
                self._connect()
            if self.client is not None and self.client.state == "ready":
                self.state = "ready"
            elif self.client is not None and self.client.state == "lost":
                self.connection_file.unlink(missing_ok=True)  # of a backend that is gone or not ours: start afresh next time
                self._fail(self.client.problem)
            elif self._process is not None and self._process.poll() is not None:
                self._fail(f"the backend ended while starting: {self.log_tail(2) or 'no message'}")
            elif time.monotonic() > self._deadline:
                self._fail(f"the backend did not start within {START_TIMEOUT:.0f} seconds: {self.log_tail(2)}")
        elif self.state == "ready" and self.client is not None and self.client.state == "lost":
            self._fail(f"{self.client.problem}; frames made so far are kept")
        elif self.state == "ready":
            hung = self.step_age > HUNG_AFTER
            self.problem = (
                f"the backend has worked on one step for {self.step_age:.0f} s: stop and start it if that goes on" if hung else ""
            )

    def stop(self, wait: bool = True) -> None:
        """Ask the backend to end, and forget it; with ``wait`` False a thread sees to it."""
        client, process = self.client, self._process
        self.client, self._process, self.state, self.problem = None, None, "stopped", ""
        ending = threading.Thread(target=_end, args=(client, process), name="mimaface-stop", daemon=True)
        ending.start()
        if wait:
            ending.join()

    def stop_client(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client, self.state = None, "stopped"

    def log_tail(self, lines: int) -> str:
        """The last lines that the backend wrote, on one line."""
        found: list[str] = []
        for path in (self.folder / "backend.log", self.log_file):
            if path.exists():
                found += path.read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(line.strip() for line in found[-lines:])

    @property
    def pid(self) -> int | None:
        """Process id of the backend in use."""
        try:
            return Connection.read(self.connection_file).pid
        except MimaFaceError:
            return None

    def _connect(self) -> bool:
        try:
            self.client = Client(self.connection_file, "blender")
        except MimaFaceError:
            return False
        self.state = "starting"
        self._deadline = time.monotonic() + START_TIMEOUT
        return True

    def _fail(self, problem: str) -> None:
        if self.client is not None:
            self.client.close()
        self.client = None
        self.state, self.problem = "lost", problem


def _end(client: Client | None, process: subprocess.Popen[bytes] | None) -> None:
    if client is not None:
        with contextlib.suppress(MimaFaceError, TimeoutError):  # it is gone or hangs already: then it is ended below
            client.call("shutdown", timeout=2.0)
        client.close()
    if process is not None:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
