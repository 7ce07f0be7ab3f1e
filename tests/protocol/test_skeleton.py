"""Heads of skeletons by the names and axes of programs that people use."""

import numpy as np
import pytest

from mimaface.protocol.skeleton import Bone, axes_of, head_chain

PLACES = {"hips": (0, 1, 0), "chest": (0, 1.4, -0.02), "neck": (0, 1.5, 0), "head": (0, 1.6, 0.02), "top": (0, 1.85, 0.02),
          "left": (0.2, 1.45, 0), "right": (-0.2, 1.45, 0)}  # fmt: skip
PARENTS = {"hips": "", "chest": "hips", "neck": "chest", "head": "neck", "top": "head", "left": "chest", "right": "chest"}


def skeleton(turn=np.eye(3), **names):
    """A figure that looks along z, as turned, with bones of these names."""
    parts = list(PLACES)
    return [Bone(names.get(part, part), parts.index(PARENTS[part]) if PARENTS[part] else -1, turn @ np.array(PLACES[part])) for part in parts]


@pytest.mark.parametrize(
    "neck, head, top",
    [
        ("Neck", "Head", "HeadTop_End"), ("mixamorig:Neck", "mixamorig:Head", "mixamorig:HeadTop_End"), ("neck_01", "head", "head_end"),
        ("Bip01 Neck", "Bip01 Head", "Bip01 HeadNub"), ("CC_Base_NeckTwist01", "CC_Base_Head", "CC_Base_FacialBone"), ("mNeck", "mHead", "mSkull"),
        ("J_Bip_C_Neck", "J_Bip_C_Head", "HairEnd"), ("c_neck.x", "c_head.x", "head_target"), ("NECK", "HEAD", "HEAD_END"),
        ("rig:neck1", "rig:head_bend", "Site"), ("DEF-neck", "DEF-head", "HeadIK"),
    ],
)  # fmt: skip
def test_names(neck, head, top):
    assert head_chain(skeleton(neck=neck, head=head, top=top)) == [2, 3]
    assert head_chain(skeleton(neck="spine.005", head=head, top=top)) == [3]
    assert head_chain(skeleton(neck=neck, head="skull", top="crown")) == [2]
    assert head_chain(skeleton(neck="spine.005", head="skull", top="forehead")) == []


@pytest.mark.parametrize(
    "left, right",
    [
        ("LeftArm", "RightArm"), ("arm_l", "arm_r"), ("upper.L", "upper.R"), ("Bip01 L Arm", "Bip01 R Arm"), ("lShldr", "rShldr"),
        ("ARM_LEFT", "ARM_RIGHT"),
    ],
)  # fmt: skip
def test_the_axes_are_those_of_the_figure(left, right):
    for turn in (np.eye(3), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])):
        for scale in (0.01, 100):
            axes, known = axes_of(skeleton(scale * turn, left=left, right=right), 3)
            assert known
            np.testing.assert_allclose(axes, turn.T, atol=1e-12)
    cosine, sine = np.cos(np.radians(40)), np.sin(np.radians(40))
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    np.testing.assert_allclose(axes_of(skeleton(turn, left=left, right=right), 3)[0], turn.T, atol=1e-12)


def test_without_sides_the_front_is_what_programs_have():
    for turn, front in ((np.eye(3), (0, 0, 1)), (np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), (0, -1, 0))):
        axes, known = axes_of(skeleton(turn, left="thumb", right="finger"), 3)
        assert not known and axes[2].tolist() == list(front) and np.linalg.det(axes) == pytest.approx(1)
    assert axes_of([Bone("Head", -1, np.zeros(3))], 0)[0].tolist() == np.eye(3).tolist(), "a head alone"
