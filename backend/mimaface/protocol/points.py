"""Points of a face that users may place, with the contours drawn through them; docs/CONVENTIONS.md defines their positions."""

from __future__ import annotations

# clockwise, once around
OUTLINE = ("forehead", "temple.L", "side.L", "jaw.L", "chin.L", "chin", "chin.R", "jaw.R", "side.R", "temple.R")
EYE = ("eye.outer", "lid.upper.outer", "lid.upper", "lid.upper.inner", "eye.inner", "lid.lower", "eye.outer")
LIPS = ("mouth.R", "lip.upper{}.R", "lip.upper{}", "lip.upper{}.L", "mouth.L", "lip.lower{}.L", "lip.lower{}", "lip.lower{}.R", "mouth.R")
# chains of points; a chain whose ends are equal is closed
CONTOURS: tuple[tuple[str, ...], ...] = (
    (*OUTLINE, OUTLINE[0]),
    *(tuple(f"brow.{part}.{side}" for part in ("outer", "middle", "inner")) for side in "LR"),
    *(tuple(f"{name}.{side}" for name in EYE) for side in "LR"),
    ("iris.L",), ("iris.R",),
    ("nose.bridge", "nose.tip"), ("nose.L", "nose.tip", "nose.R"),
    *(tuple(name.format(edge) for name in LIPS) for edge in ("", ".inner")),
)  # fmt: skip
NAMES = tuple(dict.fromkeys(name for chain in CONTOURS for name in chain))
