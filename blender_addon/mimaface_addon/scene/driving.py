# SPDX-License-Identifier: GPL-3.0-or-later
"""A live stream moves a rig's mocap layer: values without keys and undo steps, put back when it ends.

Blender evaluates curves when the frame changes and not when a value is written, so a stream shows on a layer that has keys, too.
"""

from __future__ import annotations

import bpy

from ..protocol.motion import MotionClip
from . import bake, compat

BEFORE = "mimaface_before"  # custom property of a rig that a stream moves: the earlier values of its mocap layer

Key = tuple[str, str]  # name of an object, and the file that it is linked from, "" for local ones


def key_of(item: bpy.types.Object) -> Key:
    return item.name, item.library.filepath if item.library is not None else ""


def find(key: Key) -> bpy.types.Object | None:
    """Returns the object of a key; a linked one may have the same name as a local one."""
    return next((item for item in bpy.data.objects if key_of(item) == key), None)


class Driven:
    """The rig that a stream moves. It holds the earlier values of its mocap layer itself, as do copies of it and steps of undo that are made
    meanwhile. Stores no reference to Blender's data."""

    def __init__(self) -> None:
        self.key: Key | None = None  # of the moved rig

    def drive(self, rig: bpy.types.Object, clip: MotionClip, mouth_only: bool = False) -> None:
        """Set the mocap layer, or only its mouth, to the first frame of a relative motion (neutral "rest")."""
        key = key_of(rig)
        if key != self.key:
            self.release()
        layer = [channel for channel in bake.layer_of(clip) if channel[1] in rig]
        if BEFORE not in rig:
            rig[BEFORE] = {name: rig[name] for _, name, _ in layer}
        self.key = key
        for _, name, channel in bake.mouth_of(layer) if mouth_only else layer:
            if rig[name] != float(channel[0]):
                rig[name] = float(channel[0])
        rig.update_tag()

    def release(self) -> None:
        """Restore the layer's values at this frame without the stream."""
        if self.key is not None:
            self.key = None
            self.stepped()

    def stepped(self) -> None:
        """Restore the layer of every rig that has the stream's values and is not moved now: after undo, redo and opening an automatically
        saved file, which restore what was there while a rig was moved; and of copies."""
        for item in bpy.data.objects:
            if BEFORE in item and key_of(item) != self.key:
                self._put_back(item)

    @staticmethod
    def _put_back(rig: bpy.types.Object) -> None:
        curves = compat.fcurves_of(rig)
        frame = bpy.context.scene.frame_current_final
        for name, value in rig[BEFORE].items():
            curve = curves.get(f'["{name}"]')
            rig[name] = value if curve is None else curve.evaluate(frame)
        del rig[BEFORE]
        rig.update_tag()
