"""``mimaface serve``: runs the backend, as Blender starts it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mimaface.shortage import START, require

from .terminal import Commands


def add(commands: Commands) -> None:
    """Add ``serve``."""
    serve = commands.add_parser("serve", help="run the backend for Blender")
    serve.add_argument("--connection", type=Path, help="the connection file to write (default: in the user's folder)")
    serve.add_argument("--root", type=Path, help="the folder for jobs and logs (default: in the user's folder)")
    serve.add_argument("--parent-pid", type=int, help="exit when this process has ended and no job is left")
    serve.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    serve.add_argument("--allow-remote", action="store_true", help="accept a --host that other machines can reach")
    serve.set_defaults(command=_serve)


def _serve(parsed: argparse.Namespace) -> int:
    require(START)
    from mimaface.serving.process import serve

    serve(parsed.connection, parsed.root, parsed.parent_pid, parsed.host, parsed.allow_remote)
    return 0
