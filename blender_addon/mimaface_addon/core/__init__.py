# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that does not need Blender: the backend's process, requests to it, frames on disk. No module here imports bpy."""
