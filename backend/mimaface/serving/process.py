"""Runs the backend as a process: log file, signals, default folders."""

from __future__ import annotations

import logging
import logging.handlers
import os
import signal
import threading
from pathlib import Path

from mimaface import __version__
from mimaface.protocol.connection import default_folder

from .home import LOCK_NAME, LOG_NAME, held
from .server import Server
from .strangers import enough_handles

log = logging.getLogger(__name__)


def serve(
    connection: Path | None = None, root: Path | None = None, parent: int | None = None, host: str = "127.0.0.1",
    allow_remote: bool = False,
) -> None:  # fmt: skip
    """Run a server in this process until a signal, a ``shutdown`` message or the end of its parent stops it.

    Raises :class:`NotWritable` where another backend uses the same folder or connection file, and the errors of :class:`Server`.
    """
    enough_handles()
    os.umask(0o077)
    logging.raiseExceptions = False  # a full disk stops the log, not the work
    folder, file = root or default_folder(), connection or default_folder() / "connection.json"
    with held(folder / LOCK_NAME, file.exists), held(file.with_name(f"{file.name}.lock"), file.exists):
        asked = threading.Event()
        for name in (signal.SIGINT, signal.SIGTERM):  # they may arrive before the server exists, once the connection file is written
            signal.signal(name, lambda *_: asked.set())
        _run(Server(file, folder, host, allow_remote, parent), folder, asked)


def _run(server: Server, folder: Path, asked: threading.Event) -> None:
    """Run the server; ``asked``: set if a signal arrived before."""
    handler = logging.handlers.RotatingFileHandler(folder / LOG_NAME, maxBytes=1_000_000, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: server.stop())
    if asked.is_set():
        server.stop()
    log.info("mimaface %s serves %s at %s", __version__, folder, server.connection.endpoint)
    server.run()
