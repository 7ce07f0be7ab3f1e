"""Reference pictures from what a user names: photographs as they are, of a video the frames that differ most."""

from itertools import combinations

import numpy as np
import pytest

from conftest import CASES, COLLINS
from mimaface.drivers.stills import OF_A_VIDEO, reference_pictures
from mimaface.pictures import load_picture
from mimaface.protocol.errors import InvalidInput


def test_a_video_gives_frames_that_differ(tmp_path):
    found = reference_pictures([COLLINS, CASES / "selfie_mirrored.mp4"])
    assert found[0] == (COLLINS.name, COLLINS.read_bytes())
    assert len(found) == 1 + OF_A_VIDEO
    assert all(name.startswith("selfie_mirrored.mp4, frame ") for name, _ in found[1:])
    frames = [load_picture(content).astype(int) for _, content in found[1:]]
    assert min(np.abs(a - b).mean() for a, b in combinations(frames, 2)) > 0.5


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(InvalidInput, match=r"cannot read .*absent\.jpg: no such file"):
        reference_pictures([tmp_path / "absent.jpg"])
