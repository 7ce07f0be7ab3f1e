"""Hair behind the outline: that before it, folded over."""

import numpy as np
import pytest

from conftest import HOPPER
from mimaface.face.portrait import Portrait
from mimaface.geometry.interpolation import pixels_under
from mimaface.geometry.mesh import edges
from mimaface.reprojection.folded import like_hair, usual_colours
from mimaface.reprojection.reprojector import Reprojector


@pytest.fixture(scope="module")
def projection(each_portrait):
    return Reprojector(each_portrait, 256, "face").projection


def folded(projection):
    """(V,) bool: vertices of the scalp that are neither seen nor mirrored."""
    mirrored, own = ((projection.mirror_place == place).all(1) for place in (projection.place[projection.head.mirror], projection.place))
    return (projection.mirror_trust == 1) & ~mirrored & ~own


def test_behind_the_crown_is_the_hair_or_the_hat_before_it(projection):
    scalp, behind = projection.head.region("scalp"), folded(projection)
    used = np.isin(np.arange(len(scalp)), projection.head.skin_triangles())
    crown = scalp & used & (projection.trust < 0.1) & (projection.head.vertices[:, 1] > 0.06) & (projection.head.vertices[:, 2] > 0)
    assert (behind & crown).sum() >= 0.5 * crown.sum()
    assert not (behind & ~scalp).any()
    shown = projection.matte[pixels_under(projection.mirror_place[behind], *projection.matte.shape)]
    assert np.mean(shown > 0.9) > 0.98


def test_strands_go_on_over_the_outline_at_their_own_size(projection):
    """From a vertex to the next, the way in the photograph is about the way on the head: nothing is smeared from one pixel, nothing jumps."""
    behind = folded(projection)
    first, second = edges(projection.head.skin_triangles())
    metre = projection.camera.focal / -projection.still[behind, 2].mean()
    place = np.where(behind[:, None], projection.mirror_place, projection.place)[:, :2]
    photographed = np.linalg.norm(place[first] - place[second], axis=1)
    ratio = photographed / (metre * np.linalg.norm(projection.still[first] - projection.still[second], axis=1))
    among = behind[first] & behind[second]
    assert np.median(ratio[among]) > 0.1 and ratio[among].max() < 2.1
    own = (projection.mirror_place == projection.place).all(1) & (projection.head.mirror != np.arange(len(behind)))
    outline = behind[first] & own[second]  # what is seen goes on from its own place, not from the other side's
    assert outline.sum() > 20 and ratio[outline].max() < 2.1


def test_the_shadow_of_an_ear_is_no_hair():
    """Hopper's hat is black and her hair grey: no hidden part of her scalp has the red of the skin between ear and head."""
    projection = Reprojector(Portrait.open(HOPPER), 256, "face").projection
    hidden = projection.head.region("scalp") & (projection.trust == 0) & (projection.mirror_trust == 0)
    assert np.ptp(projection.fallback[hidden], axis=1).max() < 20


def test_what_looks_like_skin_is_no_hair():
    colours = np.array([[40, 30, 20], [45, 30, 25], [38, 30, 20], [210, 150, 130], [205, 150, 130], [200, 140, 120]], float)
    hair, skin = np.array([1, 1, 1, 0, 0, 1], bool), np.array([0, 0, 0, 1, 1, 0], bool)
    assert like_hair(colours, usual_colours(colours, hair, skin)).tolist() == [True, True, True, False, False, False]
    for only in ((hair, ~skin & ~hair), (hair & skin, skin), (hair & skin, hair & skin)):
        assert like_hair(colours, usual_colours(colours, *only)).all()  # nothing tells them apart
