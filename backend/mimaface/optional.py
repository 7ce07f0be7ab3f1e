"""Libraries that only an extra of the package installs."""

from __future__ import annotations

import importlib
from typing import Any

from mimaface.protocol.errors import NotInstalled


def optional(module: str, why: str, extra: str) -> Any:
    """Returns the module of that name. Raises :class:`NotInstalled` with ``why`` it is needed and the command that installs the ``extra``."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotInstalled(why, f'pip install "mimaface[{extra}]"') from error
