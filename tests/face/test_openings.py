"""Lips open as far as the landmarks of a pose say, and closing lids stop where they meet; a photograph's own pose stays as it is."""

import numpy as np
import pytest

from mimaface.face import lids as eyelids
from mimaface.face import lip_rims
from mimaface.face.head import Head
from mimaface.face.lids import ClosingLids, LidRims
from mimaface.face.lip_rims import LipRims, visible_rims
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES

REST = np.zeros(len(BLENDSHAPE_NAMES))
SMILE = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3, "jawOpen": 0.25}


def acting(**values):
    blendshapes = REST.copy()
    for name, value in values.items():
        blendshapes[BLENDSHAPE_INDEX[name]] = value
    return Head.load().shape(np.zeros(80), blendshapes).astype(float), blendshapes


@pytest.mark.parametrize("values", [SMILE, {"jawOpen": 0.7}, SMILE | {"jawOpen": 0.0}], ids=["laugh", "aa", "smile"])
def test_lips_lie_where_their_landmarks_do(values):
    still, moved = acting(), acting(**values)
    rims = LipRims.of(still[0], REST, np.zeros_like(still[0]))
    offset = rims.offset(*moved)
    wanted = rims.at_rest + moved[1] @ lip_rims._landmark_motion()
    upper, lower = slice(0, 7), slice(7, 14)
    for lip in (upper, lower) if (wanted[upper] - wanted[lower]).min() > 0.003 else ():
        missed = np.abs(visible_rims(moved[0]) - wanted)[lip].max(), np.abs(visible_rims(moved[0] + offset) - wanted)[lip].max()
        assert missed[1] < max(0.0012, 0.5 * missed[0])
    assert np.abs(offset).max() < lip_rims.LARGEST
    away = np.linalg.norm(still[0] - still[0][Head.load().region("lips")].mean(0), axis=1) > lip_rims.REACH[1]
    assert not offset[away].any()


@pytest.mark.parametrize("values", [{}, SMILE, {"jawOpen": 0.5}], ids=["closed", "laugh", "open"])
def test_a_photograph_keeps_its_lips(values):
    shape, blendshapes = acting(**values)
    np.testing.assert_allclose(LipRims.of(shape, blendshapes, 0.001 * shape).offset(shape, blendshapes), 0, atol=1e-9)


def test_lids_stop_where_they_meet():
    head, (still, _), (shut, _) = Head.load(), acting(), acting(eyeBlinkLeft=1, eyeBlinkRight=1)
    lids = ClosingLids.of(still, head.eye_centres)
    assert not lids.offset(still).any()
    stopped = shut + lids.offset(shut)
    for side in range(2):
        before, after = (eyelids._past((eyelids.lid_rows(side) @ shape)[:, 1]) for shape in (shut, stopped))
        assert before.max() > 0.003 and after.max() < 0.001
        near = np.intersect1d(eyelids.lid_answers(side)[0], np.flatnonzero(head.region("lids")))
        before, after = (np.linalg.norm(shape[near] - head.eye_centres[side], axis=1) - head.eye_radius for shape in (shut, stopped))
        assert (after > np.minimum(before, eyelids.LID_THICK) - 1e-6).all(), "the eyeball stays behind its lid"


def test_one_eye_closes_alone():
    head, (still, _), (shut, _) = Head.load(), acting(), acting(eyeBlinkLeft=1)
    offset = ClosingLids.of(still, head.eye_centres).offset(shut)
    assert offset[still[:, 0] > 0].any() and np.abs(offset[still[:, 0] < -0.01]).max() < 1e-4


def test_a_photograph_with_closed_eyes_stays():
    shape, _ = acting(eyeBlinkLeft=0.8, eyeBlinkRight=1)
    assert not ClosingLids.of(shape, Head.load().eye_centres).offset(shape).any()


@pytest.mark.parametrize("blink", [0.3, 0.5, 0.7])
def test_a_half_closed_eye_is_half_open(portrait, blink):
    """The mesh alone would have it nearly shut: its blink goes on where the lids have met."""
    fit, head = portrait.fit, Head.load()
    lids = [BLENDSHAPE_INDEX[name] for name in eyelids.BLINKS]
    still = head.shape(fit.identity, fit.blendshapes).astype(float)
    rims, blendshapes = LidRims.of(still, fit), fit.blendshapes.copy()
    assert not rims.offset(still, fit.blendshapes).any(), "at rest"
    blendshapes[lids[0]] += blink * (1 - blendshapes[lids[0]])
    moved = head.shape(fit.identity, blendshapes).astype(float)
    offset = rims.offset(moved, blendshapes)
    open_share = (eyelids._openings(moved + offset) / eyelids._openings(still)).mean(1)
    wanted = (1 - blink - eyelids.SHUT) / (1 - eyelids.SHUT)
    alone = (eyelids._openings(moved) / eyelids._openings(still)).mean(1)
    assert open_share[0] == pytest.approx(wanted, abs=0.12) and abs(alone[0] - wanted) > abs(open_share[0] - wanted)
    assert not offset[head.vertices[:, 0] < -0.01].any(), "the other eye stays"
