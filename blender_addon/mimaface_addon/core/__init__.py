# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no Blender: the backend's process, requests to it, frames on disk. Nothing here imports bpy."""
