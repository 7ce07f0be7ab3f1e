# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of the add-on's settings in a scene; ``ui/properties.py`` registers them with Blender."""

from __future__ import annotations

from typing import Any, Protocol

import bpy


class Take(Protocol):
    """One generated shot; ``ui/properties.py`` documents the fields."""

    name: str
    uuid: str
    job: str
    folder: str
    frames: int
    done: int
    start: int
    step: int
    channel: int
    state: str
    message: str
    placed: bool
    id_data: bpy.types.Scene


class Settings(Protocol):
    """The settings of the add-on in a scene."""

    portrait: str
    portrait_id: str
    face: int
    rig: bpy.types.Object
    pinned: bool
    takes: Any  # a collection of Take
    active_take: int
    engine: str
    quality: str
    size: int
    framing: str
    transparent: bool
    stream_kind: str
    stream_host: str
    stream_port: int
    watermark: bool
    body_follows: float
    only: set[str]
    absolute: bool


def settings_of(scene: bpy.types.Scene) -> Settings:
    settings: Settings = scene.mimaface  # type: ignore[attr-defined]  # registered by this add-on
    return settings
