# SPDX-License-Identifier: GPL-3.0-or-later
"""A live stream moves a rig's mocap layer: values without keys and undo steps, put back when it ends.

Blender evaluates curves when the frame changes and not when a value is written, so a stream shows on a layer that has keys, too.
"""

from __future__ import annotations

import bpy

from ..protocol.motion import MotionClip
from . import bake, compat
from .rig import IDENTITY

Key = tuple[str, str]  # name of an object, and the file that it is linked from, "" for local ones


def key_of(item: bpy.types.Object) -> Key:
    return item.name, item.library.filepath if item.library is not None else ""


def find(key: Key) -> bpy.types.Object | None:
    """Returns the object of a key; a linked one may have the same name as a local one."""
    return next((item for item in bpy.data.objects if key_of(item) == key), None)


class Driven:
    """The rig that a stream moves, and the earlier values of its mocap layer. Stores no reference to Blender's data."""

    def __init__(self) -> None:
        self.key: Key | None = None  # of the moved rig
        self._identity: str | None = None  # its, whatever its name
        self._before: dict[Key, dict[str, float]] = {}  # earlier values of every rig that was moved since the file was opened

    def drive(self, rig: bpy.types.Object, clip: MotionClip, mouth_only: bool = False) -> None:
        """Set the mocap layer, or only its mouth, to the first frame of a relative motion (neutral "rest")."""
        key = key_of(rig)
        if self.key not in (None, key):
            if rig.get(IDENTITY) == self._identity and key not in self._before and find(self.key) is None:  # renamed
                self._before[key] = self._before[self.key]
            self.release()
        layer = [channel for channel in bake.layer_of(clip) if channel[1] in rig]
        if key not in self._before:
            self._before[key] = {name: rig[name] for _, name, _ in layer}
        values = {name: float(channel[0]) for _, name, channel in (bake.mouth_of(layer) if mouth_only else layer)}
        self.key, self._identity = key, rig.get(IDENTITY)
        for name, value in values.items():
            if rig[name] != value:
                rig[name] = value
        rig.update_tag()

    def release(self) -> None:
        """Restore the layer's values at this frame without the stream."""
        key, self.key = self.key, None
        rig = None if key is None else find(key)
        if key is not None and rig is not None:
            self._put_back(rig, self._before[key])

    def stepped(self) -> None:
        """Remove the stream's values after undo and redo, which restore steps that were made while a rig was moved."""
        for key, before in self._before.items():
            rig = find(key)
            if rig is not None and key != self.key:
                self._put_back(rig, before)

    def forget(self) -> None:
        """Discard everything, after another file was opened."""
        self.key = None
        self._before.clear()

    @staticmethod
    def _put_back(rig: bpy.types.Object, before: dict[str, float]) -> None:
        curves = compat.fcurves_of(rig)
        frame = bpy.context.scene.frame_current_final
        for name, value in before.items():
            curve = curves.get(f'["{name}"]')
            rig[name] = value if curve is None else curve.evaluate(frame)
        rig.update_tag()
