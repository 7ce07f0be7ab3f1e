"""Connection file: address and keys of the backend, readable by its owner only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .errors import NotReachable
from .files import writable, write_whole

KEY_LENGTH = 40  # characters of a CURVE key in Z85
LARGEST_FILE = 64 * 1024  # bytes; valid connection files are smaller
START_HINT = "start the backend (mimaface serve, or the Setup panel in Blender)"


@dataclass(frozen=True)
class Connection:
    """host and port of the backend; CURVE keys in Z85 text; pid of the server process."""

    version: int
    host: str
    port: int
    server_key: str
    client_key: str
    client_secret: str
    pid: int

    @property
    def endpoint(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    def write(self, path: Path) -> None:
        """Writes the file atomically with mode 0600. Raises :class:`NotWritable` and :class:`DiskFull`."""
        with writable(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(asdict(self)).encode(), private=True)

    def withdraw(self, path: Path) -> None:
        """Removes the file unless another backend has replaced it."""
        with contextlib.suppress(NotReachable, OSError):
            if Connection.read(path) == self:
                path.unlink()

    @classmethod
    def read(cls, path: Path) -> Connection:
        """Reads a connection file. Raises :class:`NotReachable` if it is unusable or its server has ended."""
        try:
            with path.open("rb") as file:
                values: dict[str, Any] = json.loads(file.read(LARGEST_FILE).decode("utf-8"))
            found = cls(**{item.name: values[item.name] for item in fields(cls)})
            found._check()
        except OSError as error:
            raise NotReachable(f"no backend is running: {path} cannot be read", START_HINT) from error
        except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
            raise NotReachable(f"the connection file {path} is damaged", START_HINT) from error
        if found.host in ("127.0.0.1", "::1") and not process_exists(found.pid):
            raise NotReachable(f"the backend of {path} has ended (process {found.pid})", START_HINT)
        return found

    def _check(self) -> None:
        """Raises :class:`ValueError` for values that no backend writes."""
        from zmq.utils import z85  # 40 ms of a start that connects to nothing

        texts = (self.host, self.server_key, self.client_key, self.client_secret)
        numbers = (self.version, self.port, self.pid)
        if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in numbers):
            raise ValueError("a value has the wrong type")
        if not 0 < self.port < 2**16 or not 0 < self.pid < 2**31 or not re.fullmatch(r"[\w.:%-]+", self.host, re.ASCII):
            raise ValueError("a value is out of range")
        if any(len(key) != KEY_LENGTH or len(z85.decode(key.encode("ascii"))) != 32 for key in texts[1:]):
            raise ValueError("a key is none")


def process_exists(pid: int) -> bool:
    """Returns whether a process with this id runs on this machine."""
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x100000, False, pid)
        if not handle:
            return False
        alive = ctypes.windll.kernel32.WaitForSingleObject(handle, 0) == 0x102
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(alive)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def default_folder() -> Path:
    """Returns the user's folder for the connection file, jobs and logs; MIMAFACE_HOME overrides it."""
    own = os.environ.get("MIMAFACE_HOME", "")
    if own:  # an empty variable is none: the folder in which the program was started would become the user's
        return Path(own).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "mimaface"
