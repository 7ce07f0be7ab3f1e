"""Libraries that only an extra of the package installs."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from mimaface.protocol.errors import NotInstalled


def optional(module: str, why: str, extra: str) -> Any:
    """Returns the module of that name. Raises :class:`NotInstalled` with ``why`` it is needed and the command that installs the ``extra``."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotInstalled(why, f'pip install "mimaface[{extra}]"') from error


@contextlib.contextmanager
def imports(what: str, extra: str) -> Iterator[None]:
    """Context of import statements. Raises :class:`NotInstalled`: ``what`` needs the module that is missing."""
    try:
        yield
    except ImportError as error:
        raise NotInstalled(f"{what} needs {error.name}", f'pip install "mimaface[{extra}]"') from error
