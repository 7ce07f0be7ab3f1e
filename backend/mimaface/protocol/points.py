"""The points of a face that a hand may place, as lines that are drawn through them; docs/CONVENTIONS.md says where each is."""

from __future__ import annotations

OUTLINE = ("forehead", "temple.L", "side.L", "jaw.L", "chin.L", "chin", "chin.R", "jaw.R", "side.R", "temple.R")  # once around
EYE = ("eye.outer", "lid.upper.outer", "lid.upper", "lid.upper.inner", "eye.inner", "lid.lower", "eye.outer")
LIPS = ("mouth.R", "lip.upper{}.R", "lip.upper{}", "lip.upper{}.L", "mouth.L", "lip.lower{}.L", "lip.lower{}", "lip.lower{}.R", "mouth.R")
# chains of points; of a chain with the same end as its beginning, the last line closes it
CONTOURS: tuple[tuple[str, ...], ...] = (
    (*OUTLINE, OUTLINE[0]),
    *(tuple(f"brow.{part}.{side}" for part in ("outer", "middle", "inner")) for side in "LR"),
    *(tuple(f"{name}.{side}" for name in EYE) for side in "LR"),
    ("iris.L",), ("iris.R",),
    ("nose.bridge", "nose.tip"), ("nose.L", "nose.tip", "nose.R"),
    *(tuple(name.format(edge) for name in LIPS) for edge in ("", ".inner")),
)  # fmt: skip
NAMES = tuple(dict.fromkeys(name for chain in CONTOURS for name in chain))
