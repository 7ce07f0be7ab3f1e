"""The one name of numpy's arrays in annotations; docstrings say shape and unit, docs/CONVENTIONS.md the letters."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
