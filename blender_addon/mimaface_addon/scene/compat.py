# SPDX-License-Identifier: GPL-3.0-or-later
"""Every difference between Blender versions, in one place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import bpy
import gpu


def translation() -> Callable[[str], str]:
    """Returns Blender's translation of reports; before 4.0 that of tooltips."""
    translations: Any = bpy.app.translations
    return cast(Callable[[str], str], getattr(translations, "pgettext_rpt", translations.pgettext_tip))


def strips(editor: bpy.types.SequenceEditor) -> Any:
    """Returns the top-level strips: ``strips`` since 4.4, ``sequences`` before. An empty collection is falsy, so ``or`` would be wrong."""
    return editor.strips if hasattr(editor, "strips") else editor.sequences  # type: ignore[attr-defined]


def all_strips(editor: bpy.types.SequenceEditor) -> Any:
    """Returns the strips of all levels, including those in meta strips."""
    return editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all  # type: ignore[attr-defined]


def span_of(strip: Any) -> tuple[int, int]:
    """Returns a strip's first frame and the frame after its last; the names of these properties changed in 5.1."""
    if hasattr(strip, "left_handle"):
        return strip.left_handle, strip.right_handle
    return strip.frame_final_start, strip.frame_final_end


def set_length(strip: Any, frames: int) -> None:
    """Set the length of a strip to ``frames`` frames."""
    if hasattr(strip, "right_handle"):
        strip.right_handle = strip.left_handle + frames
    else:
        strip.frame_final_duration = frames


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene:
    """Returns the scene of the sequencer, which since 5.0 the workspace may set to another than the active one."""
    workspace = getattr(context, "workspace", None)
    return getattr(workspace, "sequencer_scene", None) or context.scene


def ensure_editor(scene: bpy.types.Scene) -> bpy.types.SequenceEditor:
    return scene.sequence_editor or scene.sequence_editor_create()


def ensure_action(owner: bpy.types.Object, name: str) -> bpy.types.Action:
    """Returns an editable action of ``owner``: its own, a local copy of a linked one, or a new one with this name."""
    data = owner.animation_data or owner.animation_data_create()
    action = data.action
    if action is not None and action.library is None:
        return action
    slot = getattr(getattr(data, "action_slot", None), "identifier", None)
    action = bpy.data.actions.new(name) if action is None else action.copy()
    data.action = action
    if hasattr(action, "slots") and hasattr(data, "action_slot"):
        known = {item.identifier: item for item in action.slots}
        data.action_slot = known.get(slot) or action.slots.new(id_type="OBJECT", name=owner.name)
    return action


def empty_fcurve(owner: bpy.types.Object, action: bpy.types.Action, path: str, group: str) -> bpy.types.FCurve:
    """Returns the curve of ``path`` in ``action`` without keys; create it in ``group`` if it is missing.

    Slots and layers exist since 4.4, a function that sets the group since 5.0.
    """
    if hasattr(action, "fcurve_ensure_for_datablock"):
        grouped = "group_name" in cast(Any, action.bl_rna).functions["fcurve_ensure_for_datablock"].parameters
        curve = action.fcurve_ensure_for_datablock(owner, path, **cast(Any, {"group_name": group} if grouped else {}))
        if not grouped:
            (bag,) = _bags(owner.animation_data)
            curve.group = bag.groups.get(group) or bag.groups.new(group)
        curve.keyframe_points.clear()
        return curve
    curves: Any = action.fcurves  # type: ignore[attr-defined]
    found = curves.find(path)
    if found is not None:
        curves.remove(found)
    made: bpy.types.FCurve = curves.new(path, action_group=group)
    return made


def fcurves_of(owner: bpy.types.Object) -> dict[str, bpy.types.FCurve]:
    """Returns the curves of an object's action by path; since 4.4 those of its slot."""
    data = owner.animation_data
    action: Any = data.action if data is not None else None
    if action is None:
        return {}
    if not hasattr(action, "layers") or not hasattr(data, "action_slot"):
        return {curve.data_path: curve for curve in action.fcurves}
    return {curve.data_path: curve for bag in _bags(data) for curve in bag.fcurves}


def _bags(data: Any) -> list[Any]:
    """Returns the bags of curves of an object's slot; its action has one layer with one strip, until Blender allows more."""
    bags = (strip.channelbag(data.action_slot) for layer in data.action.layers for strip in layer.strips)
    return [bag for bag in bags if bag is not None]


def level(layout: bpy.types.UILayout, name: str, share: float) -> None:
    """Draw a bar of a value from 0 to 1 with its name; before 4.0 in characters."""
    if hasattr(layout, "progress"):
        layout.progress(factor=share, text=name)
    else:
        layout.label(text=f"{'|' * round(12 * share)} {name}")


def bone_collection(armature: bpy.types.Armature, name: str, bones: list[str]) -> None:
    """Add bones to a named collection; before 4.0 there are none."""
    if not hasattr(armature, "collections"):
        return
    collection = armature.collections.get(name) or armature.collections.new(name)
    for bone in bones:
        collection.assign(armature.bones[bone])


def hide_bones(rig: bpy.types.Object, names: list[str]) -> None:
    """Hide bones in Pose Mode: since 5.0 by the pose bone's property, before by the armature bone's."""
    for name in names:
        bone = rig.pose.bones[name]
        cast(Any, bone if hasattr(bone, "hide") else rig.data.bones[name]).hide = True


def scene_key(scene: bpy.types.Scene) -> tuple[int, str]:
    """Returns an identifier of a scene that survives undo and renaming while Blender runs; before 4.2 its name."""
    number = getattr(scene, "session_uid", 0)
    return (number, "") if number else (0, scene.name)


def find_scene(key: tuple[int, str]) -> bpy.types.Scene | None:
    return next((scene for scene in bpy.data.scenes if scene_key(scene) == key), None)


def colour_bones(rig: bpy.types.Object, name: str, palette: str, bones: list[str]) -> None:
    """Set the theme colours of bones: since 4.0 of the bones, before of a bone group with this name."""
    if hasattr(rig.pose.bones[0], "color"):
        for bone in bones:
            rig.pose.bones[bone].color.palette = cast(Any, palette)
        return
    group = cast(Any, rig.pose).bone_groups.new(name=name)
    group.color_set = palette
    for bone in bones:
        cast(Any, rig.pose.bones[bone]).bone_group = group


def editing() -> bool:
    """Whether a modal operator runs that becomes an undo step, such as dragging a handle; before 4.2 always False."""
    return any(
        "UNDO" in operator.bl_options
        for window in bpy.context.window_manager.windows
        for operator in getattr(window, "modal_operators", ())
    )


@contextlib.contextmanager
def in_scene(scene: bpy.types.Scene) -> Iterator[None]:
    """Show ``scene`` in the window temporarily, so that operators work on it; overriding the context alone crashes Blender.

    The add-on's threads are to be held meanwhile: see :mod:`..protocol.pause`.
    """
    window = bpy.context.window or next(iter(bpy.context.window_manager.windows), None)
    if window is None:
        yield
        return
    before = window.scene
    with bpy.context.temp_override(window=window):
        if before != scene:
            window.scene = scene
        try:
            yield
        finally:
            if before != scene:
                window.scene = before


def fbx_importer() -> Any:
    """Returns the operator that imports .fbx files, None where it is switched off; the faster one, of all kinds of FBX, exists since 4.5."""
    for group, name in ((bpy.ops.wm, "fbx_import"), (bpy.ops.import_scene, "fbx")):
        if name in dir(group):
            return getattr(group, name)
    return None


def redraw() -> None:
    """Redraw the add-on's panels and preferences and all sequencers, but not the 3D view beside a panel."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("SEQUENCE_EDITOR", "PREFERENCES"):
                area.tag_redraw()
    redraw_panels()


def sequencer_shown() -> bool:
    """Returns whether an editor of any window is a sequencer."""
    return any(area.type == "SEQUENCE_EDITOR" for window in bpy.context.window_manager.windows for area in window.screen.areas)


def redraw_panels() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "SEQUENCE_EDITOR"):
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()


def image_shader() -> Any:
    """Returns Blender's shader for a texture of linear colours in a 3D view; its name has changed twice."""
    for name in ("IMAGE_SCENE_LINEAR_TO_REC709_SRGB", "IMAGE"):
        with contextlib.suppress(ValueError):
            return gpu.shader.from_builtin(name)
    return gpu.shader.from_builtin("3D_IMAGE")


def colour_shader() -> Any:
    """Returns Blender's shader for one colour; its name has changed."""
    for name in ("UNIFORM_COLOR", "3D_UNIFORM_COLOR"):
        with contextlib.suppress(ValueError):
            return gpu.shader.from_builtin(cast(Any, name))
    raise AssertionError("Blender has a shader of one colour under one of these names")
