"""The numbers that decide a pixel have one place, and say what they do."""

import re
from pathlib import Path

import pytest

from mimaface.face import tuning as of_faces
from mimaface.reprojection import tuning as of_reprojection

ASSIGNED = re.compile(r"(?:    )?([A-Za-z_]+(?:, [A-Za-z_]+)*)(?:: \w+)? = ")


@pytest.mark.parametrize("module", [of_reprojection, of_faces], ids=["reprojection", "face"])
def test_every_number_is_read_and_has_a_comment(module):
    """Beside it, or above the group that it is in."""
    file = Path(str(module.__file__))
    others = "\n".join(path.read_text(encoding="utf-8") for path in file.parent.parent.rglob("*.py") if path != file)
    lines, silent, unread = file.read_text(encoding="utf-8").splitlines(), [], []
    for number, line in enumerate(lines):
        found = ASSIGNED.match(line)
        if not found or found[1] in ("Array", "KERNELS"):
            continue
        above = number
        while above and ASSIGNED.match(lines[above]) and "#" not in lines[above]:
            above -= 1
        if "#" not in lines[above]:
            silent.append(found[1])
        unread += [name for name in found[1].split(", ") if not re.search(rf"\b(?:tuning\.)?{name}\b", others)]
    assert silent == [] and [name for name in unread if name != "SAMPLE_MARGINS"] == [], "the margins are read through KERNELS"
