"""Open lips are smooth closed curves, thin lips meet in a line, and wide mouths and laughs bare lower teeth; a photograph's own mouth stays."""

from dataclasses import replace

import numpy as np
import pytest

from mimaface.face.correction import correct
from mimaface.face.head import Head
from mimaface.face.lip_curves import COLUMNS, LipCurves, depth_of_rims, rims
from mimaface.face.mouth import incisors, teeth_offset
from mimaface.face.open_lips import open_rims
from mimaface.face.pose import FacePose
from mimaface.face.thin_lips import NO_SEAM, seam_of, thinning
from mimaface.geometry.interpolation import pixels_under
from mimaface.protocol.arkit import BLENDSHAPE_INDEX, BLENDSHAPE_NAMES
from mimaface.reprojection.kernels import TRUST
from mimaface.reprojection.photograph import Photograph
from mimaface.reprojection.reprojector import Reprojector

MIDDLE = len(COLUMNS) // 2
POUT = {"mouthPucker": 0.7, "mouthFunnel": 0.5, "jawOpen": 0.15}
LAUGH = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.5}


@pytest.fixture(scope="module")
def renderer(hopper):
    return Reprojector(hopper)


def acting(renderer, **values):
    """The posed mesh, head frame, and its blendshapes."""
    blendshapes = renderer.fit.blendshapes.copy()
    for name, value in values.items():
        blendshapes[BLENDSHAPE_INDEX[name]] = value
    return renderer.pose_vertices(FacePose(blendshapes, np.eye(3), np.zeros(3), renderer.fit.gaze)), blendshapes


def without(renderer, monkeypatch, **values):
    """The same, but for the curves of the lips."""
    with monkeypatch.context() as patch:
        patch.setattr(LipCurves, "offset", lambda self, shape, blendshapes: np.zeros_like(shape))
        return acting(renderer, **values)


def sharpest_turn(heights, found, within=0.75) -> float:
    """Degrees between two neighbouring parts of a rim, ``within`` a share of its half width from its middle."""
    inner = np.abs(COLUMNS) < within
    slopes = np.degrees(np.arctan(np.diff(heights[inner]) / np.diff(found.half * COLUMNS[inner])))
    return float(np.abs(np.diff(slopes)).max())


def test_a_wide_mouth_is_round(renderer, monkeypatch):
    before, after = (rims(each[0]) for each in (without(renderer, monkeypatch, jawOpen=0.95), acting(renderer, jawOpen=0.95)))
    depth = [(each.line - each.lower) / (each.line - each.lower)[MIDDLE] for each in (before, after)]
    share = [np.interp([0.3, 0.55, 0.75], COLUMNS, 0.5 * (each + each[::-1])) for each in depth]
    np.testing.assert_allclose(share[1], [0.95, 0.80, 0.57], atol=0.06)  # those of landmarks of filmed mouths: 0.95, 0.82, 0.60
    assert (share[1] - share[0] > [0.02, 0.05, 0.05]).all(), "the mesh's own lip has straight sides"
    assert sharpest_turn(after.lower, after) < 26


def test_a_pout_is_small_round_and_closed_beside_its_opening(renderer, monkeypatch):
    before, after = (rims(each[0]) for each in (without(renderer, monkeypatch, **POUT), acting(renderer, **POUT)))
    gaps = [each.upper - each.lower for each in (before, after)]
    assert gaps[1][MIDDLE] == pytest.approx(gaps[0][MIDDLE], abs=0.0008)
    near, far = np.abs(COLUMNS) < 0.4, np.abs(COLUMNS) > 0.65
    assert gaps[0][near].min() < 0.53 * gaps[0][MIDDLE] and gaps[1][near].min() > 0.58 * gaps[1][MIDDLE], "a lozenge has become an ellipse"
    assert gaps[1][far].max() < 0 < gaps[0][far].min()
    assert np.diff(gaps[1][MIDDLE : MIDDLE + 6]).max() < 0, "it gets narrower towards its corner"
    assert max(sharpest_turn(each, after) for each in (after.upper, after.lower)) < 40


@pytest.mark.parametrize("values", [{}, POUT, LAUGH, {"jawOpen": 0.9}], ids=["closed", "pout", "laugh", "wide"])
def test_a_photographs_own_mouth_stays(renderer, values):
    shape, blendshapes = acting(renderer, **values)
    assert not LipCurves(blendshapes).offset(shape, blendshapes).any()
    assert not teeth_offset(shape, blendshapes, blendshapes).any()


def test_thin_lips_meet_in_a_line():
    shape = Head.load().shape(np.zeros(80), np.zeros(len(BLENDSHAPE_NAMES))).astype(float)
    assert not thinning(shape).any(), "full lips are as thick as they are"
    lips = Head.load().region("lips")
    down = Head.load().blendshapes[BLENDSHAPE_INDEX["jawOpen"], :, 1]
    pressed = shape.copy()
    pressed[lips & (down > -0.011), 1] -= 0.004
    pressed[lips & (down <= -0.013), 1] += 0.004
    before, after = rims(pressed), rims(pressed + thinning(pressed))
    middle = np.abs(COLUMNS) < 0.5
    assert (before.lower - before.upper)[middle].min() > 0.005
    assert (after.lower - after.upper)[middle].max() < 0.002
    line = [0.5 * (each.upper + each.lower)[middle] for each in (before, after)]
    np.testing.assert_allclose(line[1], line[0], atol=0.0005)


def mesh_of(portrait):
    """The mesh in a photograph's expression, its lips not flattened, head frame, metres."""
    fit = portrait.fit
    return Head.load().posed(fit.identity, fit.blendshapes, fit.gaze) + correct(fit).at(fit.blendshapes)


def test_closed_lips_meet_where_the_photograph_is_dark_between_them(hopper):
    shape, fit, inner = mesh_of(hopper), hopper.fit, np.abs(COLUMNS) < 0.6
    seam = seam_of(shape, fit, fit.camera, hopper.image)
    assert seam.sure > 0.9
    found, everywhere = rims(shape), np.linspace(0, len(COLUMNS) - 1, 800)
    for up in (-0.0015, 0.0015):  # metres; a line that is drawn elsewhere
        line = np.stack([found.middle + found.half * COLUMNS, seam.height + up, depth_of_rims(shape, found)], axis=1)
        drawn = np.stack([np.interp(everywhere, np.arange(len(COLUMNS)), each) for each in line.T], axis=1)
        row, column = pixels_under(fit.camera.project(drawn @ fit.rotation.T + fit.translation), *hopper.image.shape[:2])
        painted = np.maximum(hopper.image, 120)
        for thick in (-1, 0, 1):
            painted[row + thick, column] = 20
        again = seam_of(shape, fit, fit.camera, painted)
        assert again.sure > 0.9
        np.testing.assert_allclose(again.height[inner], seam.height[inner] + up, atol=0.0006)
    met = rims(shape + thinning(shape, seam))
    assert np.abs(0.5 * (met.upper + met.lower) - seam.height)[inner].max() < 0.0015, "metres"


def test_rims_of_open_lips_lie_where_the_picture_has_them(hopper):
    """The network sets an upper one into the lip, which would be taken for a part of the mouth's inside."""
    blendshapes = np.zeros(len(BLENDSHAPE_NAMES))
    blendshapes[BLENDSHAPE_INDEX["jawOpen"]] = 0.5
    fit, inner = replace(hopper.fit, blendshapes=blendshapes), np.abs(COLUMNS) < 0.6
    shape = Head.load().posed(fit.identity, blendshapes, fit.gaze)
    found, everywhere = rims(shape), np.linspace(0, len(COLUMNS) - 1, 800)
    assert (found.upper - found.lower)[inner].min() > 0.006, "metres"
    for lower_lip in (0.0, 0.002):
        picture = np.full_like(hopper.image, (180, 95, 95))
        for share in np.linspace(0, 1, 200):
            height = found.lower + lower_lip + share * (found.upper - 0.002 - found.lower - lower_lip)
            line = np.stack([found.middle + found.half * COLUMNS, height, depth_of_rims(shape, found)], axis=1)
            drawn = np.stack([np.interp(everywhere, np.arange(len(COLUMNS)), each) for each in line.T], axis=1)
            picture[pixels_under(fit.camera.project(drawn @ fit.rotation.T + fit.translation), *picture.shape[:2])] = 35
        after = rims(shape + open_rims(shape, fit, fit.camera, picture))
        np.testing.assert_allclose((after.upper - found.upper)[inner], -0.002, atol=0.0007)
        np.testing.assert_allclose((after.lower - found.lower)[inner], lower_lip, atol=0.0007)
    by_hand = replace(fit, placed=(13,))
    assert not open_rims(shape, by_hand, fit.camera, picture).any(), "who placed points is followed"


def test_a_further_photograph_has_its_teeth_where_the_portraits_frames_have_them(hopper):
    """Lower teeth that a smile bares had been looked up on the lower lip of a smiling reference."""
    smile = hopper.fit.blendshapes.copy()
    for name, value in LAUGH.items():
        smile[BLENDSHAPE_INDEX[name]] += value
    fit = replace(hopper.fit, blendshapes=smile)
    alone, further = (Photograph(hopper.image, fit, fit.camera, None, relaxed) for relaxed in (None, hopper.fit.blendshapes))
    moved = further.still_head - alone.still_head
    assert moved[incisors()[1], 1].min() > 0.003, "metres up"
    np.testing.assert_allclose(moved, teeth_offset(alone.still_head, smile, hopper.fit.blendshapes), atol=1e-4)


def test_the_line_between_closed_lips_goes_as_they_part(renderer, hopper):
    """It had hung under the upper lip, over the teeth."""
    line = renderer.projection.line
    dark = line > 0.5
    assert dark.sum() > 5 and Head.load().region("lips")[dark].mean() > 0.7
    seen = hopper.image[pixels_under(renderer.projection.place[dark], *hopper.image.shape[:2])]
    assert np.median(renderer.projection.fallback[dark].mean(1)) > 1.15 * np.median(seen.mean(1))
    trust = []
    for jaw in (0.0, 0.5):
        blendshapes = renderer.fit.blendshapes.copy()
        blendshapes[BLENDSHAPE_INDEX["jawOpen"]] += jaw
        pose = FacePose(blendshapes, renderer.fit.rotation, renderer.fit.translation, renderer.fit.gaze)
        photograph = renderer._photograph
        trust.append(photograph.look(renderer.pose_vertices(pose), photograph.in_pose(pose), pose, None).factors[dark, TRUST])
    np.testing.assert_allclose(trust[0], renderer.projection.trust[dark], atol=0.15)
    assert trust[1].max() < 0.5


def test_an_open_mouth_has_no_line_between_its_lips(portrait):
    assert seam_of(mesh_of(portrait), portrait.fit, portrait.fit.camera, portrait.image) is NO_SEAM


def test_the_mesh_shows_both_thin_lips_of_a_photograph(renderer):
    found = rims(renderer._photograph.still_head)
    assert np.abs(found.upper - found.lower)[np.abs(COLUMNS) < 0.5].max() < 0.004, "8 mm before they were flattened"


@pytest.mark.parametrize("values, least, most", [({"jawOpen": 0.95}, 0.0025, 0.0045), (LAUGH, 0.003, 0.008)], ids=["wide", "laugh"])
def test_lower_teeth_are_bared(renderer, values, least, most):
    shape = acting(renderer, **values)[0]
    upper, lower = incisors()
    assert least < shape[lower, 1].max() - rims(shape).lower[MIDDLE] < most
    assert shape[lower, 1].max() < shape[upper, 1].min() + 0.0021, "they end where upper teeth begin"


def test_a_smile_with_closed_teeth_shows_teeth_and_no_gums_or_hole(renderer):
    sides = {f"mouth{name}{side}": value for name, value in (("Smile", 0.9), ("UpperUp", 0.5), ("LowerDown", 0.4)) for side in ("Left", "Right")}
    shape = acting(renderer, **sides)[0]
    found, edge = rims(shape), shape[incisors()[0], 1].min()
    window = found.upper[MIDDLE], found.lower[MIDDLE]
    assert window[0] - window[1] > 0.003
    assert -0.0005 < window[1] - edge < 0.0035, "the lip lies at the teeth's edges, 8 mm above them before"
    assert window[0] - edge < 0.0098, "no gum, which begins a crown's length from the edge, in the middle"
