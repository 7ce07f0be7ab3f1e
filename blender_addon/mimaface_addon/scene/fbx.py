# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads of .fbx files: Blender's own importer reads them into a scene of their own, of which nothing stays."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..core.words import rpt_
from ..protocol.arkit import BLENDSHAPE_NAMES
from ..protocol.errors import InvalidInput, InvalidMotion
from ..protocol.motion import MotionClip
from ..protocol.motion_files import MAX_FRAMES
from ..protocol.rotation import matrix_to_quaternion
from ..protocol.skeleton import FACING, Bone, axes_of, head_chain
from . import compat
from .bake import alone, frames_per_second


def head_of(path: Path) -> MotionClip:
    """Returns how the head of a file's first skeleton turns against its trunk, at the file's frame rate.

    Raises :class:`InvalidMotion` for files without a moving head, and :class:`InvalidInput` without Blender's importer. The add-on's
    threads are to be held meanwhile: see :mod:`..protocol.pause`.
    """
    reader = compat.fbx_importer()
    if reader is None:
        raise InvalidInput(rpt_("Blender's FBX importer is switched off"), rpt_("enable FBX format in Preferences > Add-ons, then import again"))
    with _imported(reader, path) as (stage, found):
        skeletons = [item for item in found if item.type == "ARMATURE"]
        chains = {item: head_chain(_bones(item)) for item in skeletons}
        rig = next((item for item, chain in chains.items() if chain), None)
        if rig is None:
            problem = rpt_("{name}: it has no skeleton with a bone called neck or head").format(name=path.name)
            raise InvalidMotion(problem, rpt_("rename the bones of head and neck, or export them, too"))
        span = _span(rig)
        if span is None or len(span) > MAX_FRAMES:
            problem = rpt_("{name}: its skeleton {rig} does not move").format(name=path.name, rig=rig.name)
            raise InvalidMotion(problem, rpt_("export it with its animation, as one take of at most {count} frames").format(count=MAX_FRAMES))
        return _motion(stage, rig, chains[rig], span, path.name)


@contextlib.contextmanager
def _imported(reader: Any, path: Path) -> Iterator[tuple[bpy.types.Scene, list[bpy.types.Object]]]:
    """Import a file; yields its scene and objects, and deletes everything that came with it. Importers change the scene's frame rate."""
    before = set(_datablocks())
    stage = bpy.data.scenes.new("MIMAFace FBX")
    try:
        with compat.in_scene(stage):
            reader(filepath=str(path))
        yield stage, list(stage.objects)
    except RuntimeError as error:  # of operators, with the report of the importer
        words = str(error).strip().splitlines()[-1].removeprefix("Error: ")
        problem = rpt_("{name}: Blender cannot read this FBX ({reason})").format(name=path.name, reason=words)
        raise InvalidMotion(problem, rpt_("export it again, as binary FBX 7.4, or as .bvh")) from error
    finally:
        bpy.data.batch_remove([item for item in _datablocks() if item not in before])


def _datablocks() -> Iterator[bpy.types.ID]:
    for item in bpy.data.bl_rna.properties:
        if item.type == "COLLECTION":
            yield from getattr(bpy.data, item.identifier)


def _bones(rig: bpy.types.Object) -> list[Bone]:
    """The bones of an armature at rest, in its own axes."""
    bones = list(rig.data.bones)
    index = {bone.name: number for number, bone in enumerate(bones)}
    return [Bone(bone.name, index[bone.parent.name] if bone.parent else -1, np.array(bone.head_local)) for bone in bones]


def _span(rig: bpy.types.Object) -> range | None:
    """The frames of an armature's action, None without one."""
    data = rig.animation_data
    if data is None or data.action is None:
        return None
    span = data.action.frame_range
    return range(math.floor(span[0]), math.ceil(span[1]) + 1)


def _motion(stage: bpy.types.Scene, rig: bpy.types.Object, chain: list[int], frames: range, name: str) -> MotionClip:
    bones = _bones(rig)
    head, trunk = bones[chain[-1]].name, bones[chain[0]].parent
    names = [head] if trunk < 0 else [bones[trunk].name, head]
    rest = [np.array(rig.data.bones[bone].matrix_local.to_quaternion().to_matrix()) for bone in names]
    turned = np.zeros((len(frames), 3, 3))
    with alone(stage, rig) as scene:
        for place, frame in enumerate(frames):
            scene.frame_set(frame)
            pose = rig.evaluated_get(scene.view_layers[0].depsgraph).pose.bones
            away = [np.array(pose[bone].matrix.to_quaternion().to_matrix()) @ still.T for bone, still in zip(names, rest)]
            turned[place] = away[0].T @ away[1] if len(away) > 1 else away[0]
    axes, known = axes_of(bones, chain[-1])
    warnings = [rpt_("only head and neck of an FBX are read: the face stays as it is")]
    count = len(frames)
    valid = np.tile([True, True, False], (count, 1))
    return MotionClip(
        time=np.arange(count) / frames_per_second(stage), blendshapes=np.zeros((count, len(BLENDSHAPE_NAMES))),
        head_quat=matrix_to_quaternion(axes @ turned @ axes.T), head_pos=np.full((count, 3), np.nan), gaze=np.zeros((count, 2, 2)),
        valid=valid, confidence=valid.astype(float),
        meta={"source": name, "format": "fbx", "neutral": "auto", "warnings": warnings if known else [*warnings, FACING]},
    )  # fmt: skip
