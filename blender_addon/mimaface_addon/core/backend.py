# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, watches and stops the backend process. No bpy here, so that tests run it without Blender."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ..protocol.client import Client
from ..protocol.connection import Connection, process_exists
from ..protocol.errors import MimaFaceError
from .activity import seconds_since
from .installation import Installation, clean_environment
from .words import n_, rpt_

AGAIN = n_("press Start to try again, or choose another Python in the preferences")
NONE_INSTALLED = n_("no backend is installed: press Install Backend (a download of up to 3 GB), or set its Python in the preferences")
START_TIMEOUT = 60.0  # seconds for a start; the first one compiles. Higher: a failed start shows later
HUNG_AFTER = 20.0  # seconds in one step after which a warning is shown. Higher: later
# seconds without a message while a request is open, after which a warning is shown: progress comes twice a second, fitting a head takes
# up to 8 seconds. Higher: later
SILENT_AFTER = 10.0
GONE_AFTER = 5.0  # seconds for a backend to end before it is killed. Higher: Start waits longer for a hanging one
ANSWER_TIMEOUT = 7.0  # seconds for the reply of a backend that runs already; the client waits 5 for the greeting. Higher: Start waits longer


class Backend:
    """The backend process. ``state``: stopped, installing, starting, ready or lost; ``problem``: a sentence about an error, else ""."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.connection_file = folder / "connection.json"
        self.log_file = folder / "start.log"
        self.client: Client | None = None
        self.state = "stopped"
        self.problem = ""
        self.doubtful = False  # whether another Python may help, for which the panel offers the preferences
        self.began = 0.0  # monotonic seconds of the last start
        self.step_age = 0.0  # seconds since the backend's current step began, from its progress events
        self.installation: Installation | None = None  # while it is installed
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: threading.Thread | None = None
        self._python: Path | None = None
        self._found_running = False  # whether the client belongs to a backend that was running already
        self._deadline = 0.0
        self._log_start = 0  # bytes of backend.log from earlier runs

    def start(self, python: Path | None) -> None:
        """Connect to a running backend of this folder, else start one with ``python``. Returns at once; :meth:`poll` continues."""
        self.stop_client()
        self.problem, self.doubtful, self.step_age, self._python = "", False, 0.0, python
        if self.state != "starting":
            self.began = time.monotonic()
        if self._ending is not None and self._ending.is_alive():
            self.state, self._deadline = "starting", time.monotonic() + START_TIMEOUT  # poll continues when the earlier one has ended
            return
        self._ending = None
        if self._process is not None:
            self._process.poll()  # reaps a child that has ended, which otherwise seems to run
        if self._connect():
            self._found_running, self._deadline = True, time.monotonic() + ANSWER_TIMEOUT
            return
        self._launch()

    def install(self, python: Path, source: Path) -> None:
        """Install the backend of ``source`` with ``python``, then start it. Returns at once; :meth:`poll` continues."""
        if self.state != "installing":
            self.stop(wait=False)
            self.state, self.doubtful, self.installation = "installing", False, Installation(python, source, self.folder)

    def _poll_installation(self, installation: Installation) -> None:
        if self._ending is not None and self._ending.is_alive():  # the backend, whose files may change now, or an earlier installation
            return
        if not installation.started:
            try:
                installation.start()
            except OSError as error:
                self.installation = None
                sentence = rpt_("{path} cannot be used ({reason}): check that it may be read and written, then try again")
                self._fail(sentence.format(path=error.filename or self.folder, reason=error.strerror))
        elif installation.ended():
            self.installation = None
            if problem := installation.problem():
                self._fail(problem)
            else:
                self.start(installation.python)

    def progress(self) -> str:
        """Returns what is installed and for how long, such as "step 2 of 5: installing PyTorch (71 s)"; of a start only how long."""
        if self.installation is not None:
            return f"{self.installation.step()}{seconds_since(self.installation.began)}".strip()
        return seconds_since(self.began) if self.state == "starting" else ""

    def _launch(self) -> None:
        python = self._python
        if python is None:
            self._fail(rpt_(NONE_INSTALLED))
            return
        command = [str(python), "-m", "mimaface.cli", "serve", "--connection", str(self.connection_file)]
        command += ["--root", str(self.folder), "--parent-pid", str(os.getpid())]
        hidden: Any = {"creationflags": 0x08000000} if sys.platform == "win32" else {"start_new_session": True}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.connection_file.unlink(missing_ok=True)
            self._log_start = self._log_size()
            with self.log_file.open("wb") as log:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(), cwd=self.folder, **hidden
                )
        except OSError as error:
            sentence = rpt_("the backend cannot be started with {python} ({reason}): choose another Python in the preferences")
            self._fail(sentence.format(python=python, reason=error.strerror))
            return
        self._found_running = False
        self.state, self._deadline = "starting", time.monotonic() + START_TIMEOUT

    def poll(self, asked: float | None = None) -> None:
        """Update ``state`` without blocking. ``asked``: monotonic seconds of the last open request, None without one."""
        if self.installation is not None:
            self._poll_installation(self.installation)
        elif self.state == "starting":
            self._poll_start()
        elif self.state == "ready" and self.client is not None and self.client.state == "lost":
            sentence = rpt_("{problem}; frames made so far are kept: press Start, then resume the take")
            self._fail(sentence.format(problem=self.client.problem), doubtful=False)
        elif self.state == "ready" and self.client is not None:
            silent = 0.0 if asked is None else time.monotonic() - max(asked, self.client.last_heard)
            if silent > SILENT_AFTER:
                self.problem = rpt_(
                    "the backend has not answered for {seconds:.0f} s, perhaps because of a large file: wait, or stop it and resume the take"
                ).format(seconds=silent)
            elif self.step_age > HUNG_AFTER:
                sentence = rpt_("the backend has worked on one step for {seconds:.0f} s: stop and start it if that continues")
                self.problem = sentence.format(seconds=self.step_age)
            else:
                self.problem = ""

    def _poll_start(self) -> None:
        if self._ending is not None:
            if not self._ending.is_alive():
                self.start(self._python)
            return
        if self.client is None and self.connection_file.exists():
            self._connect()
        late = time.monotonic() > self._deadline
        if self.client is not None and self.client.state == "ready":
            self.state = "ready"
        elif self._found_running and self.client is not None and (late or self.client.state == "lost"):
            self._start_afresh(self.client.problem or rpt_("the backend does not answer"))
        elif self.client is not None and self.client.state == "lost":
            self._fail(f"{self.client.problem}: {rpt_(AGAIN)}")
        elif self._process is not None and self._process.poll() is not None:
            ended = rpt_("the backend ended while starting ({message}): {step}")
            self._fail(ended.format(message=self._said() or rpt_("no message"), step=rpt_(AGAIN)))
        elif late:
            slow = rpt_("the backend did not start within {seconds:.0f} seconds ({message}): {step}")
            self._fail(slow.format(seconds=START_TIMEOUT, message=self._said() or rpt_("no message"), step=rpt_(AGAIN)))

    def _start_afresh(self, problem: str) -> None:
        """Start a backend because the one in the connection file has ended, hangs or refuses the key."""
        self.stop_client()
        if self._python is None:
            self._fail(rpt_("{problem}, and {step}").format(problem=problem, step=rpt_(NONE_INSTALLED)))
        elif self._process is not None and self._process.poll() is None:  # started here, hangs and keeps the folder's lock: end it first
            self._end_in_thread(None)
            self.state, self._deadline = "starting", time.monotonic() + START_TIMEOUT  # poll continues when it has ended
        else:
            self._launch()

    def stop(self, wait: bool = True) -> None:
        """End the backend; with ``wait`` False on a thread, without blocking."""
        client, self.client, self.state, self.problem = self.client, None, "stopped", ""
        if client is None and self._process is None and self.installation is None:
            return
        ending = self._end_in_thread(client)
        if wait:
            ending.join()

    def _end_in_thread(self, client: Client | None) -> threading.Thread:
        process, self._process = self._process, None
        installation, self.installation = self.installation, None
        self._ending = threading.Thread(target=_end, args=(client, process, self.pid, installation), name="mimaface-stop", daemon=True)
        self._ending.start()
        return self._ending

    def release(self) -> None:
        """Disconnect from the backend. One started here ends now if it has no active job, else with this process; so does an installation."""
        if self.installation is not None:
            self._end_in_thread(None)
        client, own = self.client, self._process is not None and self._process.poll() is None
        self.client, self._process, self.state, self.problem = None, None, "stopped", ""
        if client is not None:
            threading.Thread(target=_release, args=(client, own), name="mimaface-release", daemon=True).start()

    def stop_client(self) -> None:
        if self.client is not None:
            self.client.close()
        self.client, self.state = None, "stopped"

    def log_tail(self, lines: int) -> str:
        """Returns the last ``lines`` of the backend's logs, joined to one line."""
        return _last_lines((self.folder / "install.log", 0), (self.folder / "backend.log", 0), (self.log_file, 0), lines=lines)

    def _said(self) -> str:
        """Returns the last log lines since the last start, joined to one line."""
        return _last_lines((self.folder / "backend.log", self._log_start), (self.log_file, 0), lines=2)

    def _log_size(self) -> int:
        try:
            return (self.folder / "backend.log").stat().st_size
        except OSError:
            return 0

    @property
    def pid(self) -> int | None:
        """Process id in the connection file, None without one."""
        try:
            return Connection.read(self.connection_file).pid
        except MimaFaceError:
            return None

    def _connect(self) -> bool:
        try:
            self.client = Client(self.connection_file, "blender")
        except (MimaFaceError, TypeError, ValueError, OverflowError):  # no backend runs, or the file is damaged
            return False
        self.state = "starting"
        return True

    def _fail(self, problem: str, doubtful: bool = True) -> None:
        if self.client is not None:
            self.client.close()
        self.client = None
        self.state, self.problem, self.doubtful = "lost", problem, doubtful


def _end(client: Client | None, process: subprocess.Popen[bytes] | None, pid: int | None, installation: Installation | None) -> None:
    """End a backend or its installation and wait until it has. ``process``: if it was started here; killed after GONE_AFTER seconds."""
    if installation is not None:
        installation.end()
    if client is not None:
        with contextlib.suppress(MimaFaceError, TimeoutError):  # it has ended or hangs, which is handled below
            client.call("shutdown", timeout=2.0)
        client.close()
    if process is not None:
        try:
            process.wait(GONE_AFTER)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    elif pid is not None:  # started by another process, or before the add-on was switched off: wait until it unlocks the folder
        late = time.monotonic() + GONE_AFTER
        while _runs(pid) and time.monotonic() < late:
            time.sleep(0.02)


def _runs(pid: int) -> bool:
    if sys.platform != "win32":
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # reaps a child of this process, which otherwise seems to run
    return process_exists(pid)


def _release(client: Client, own: bool) -> None:
    if own:
        with contextlib.suppress(MimaFaceError, TimeoutError):
            jobs = client.call("job.list", timeout=2.0).fields["jobs"]
            if not any(job["state"] in ("queued", "running") for job in jobs):
                client.call("shutdown", timeout=2.0)
    client.close()


def _last_lines(*logs: tuple[Path, int], lines: int) -> str:
    """Returns the last lines of logs, each (path, first byte); a log shorter than its first byte was rotated and is read whole."""
    found: list[str] = []
    for path, start in logs:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            text = content[start if start <= len(content) else 0 :].decode("utf-8", "replace")
            found += [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(found[-lines:])
