# SPDX-License-Identifier: GPL-3.0-or-later
"""Install, start and stop the backend, and report what happened."""

# annotations are evaluated: Blender reads the properties from them
import platform

import bpy
from bpy.props import IntProperty

from ...core.words import rpt_
from ...interpreter import SOURCE, own_python
from ...session import session
from .base import Operator, Refused


class MIMAFACE_OT_install(Operator):
    """Install the backend in your user folder: downloads up to 3 GB, needs 6 GB of disk (14 with an NVIDIA GPU on Linux)"""

    bl_idname = "mimaface.install"
    bl_label = "Install Backend"

    def work(self, context: bpy.types.Context) -> None:
        if not getattr(bpy.app, "online_access", True):
            raise Refused(rpt_("Blender may not go online: tick Allow Online Access in Preferences > System, then press Install Backend again"))
        if session().backend.state != "installing":
            session().stop()
            session().backend.install(own_python(), SOURCE)


class MIMAFACE_OT_start(Operator):
    """Start the backend, the program beside Blender that makes the pictures"""

    bl_idname = "mimaface.start"
    bl_label = "Start Backend"

    def work(self, context: bpy.types.Context) -> None:
        session().ensure_backend()
        if session().backend.state == "lost":
            raise Refused(session().backend.problem)


class MIMAFACE_OT_stop(Operator):
    """Stop the backend and release its memory; takes that are being made can be resumed"""

    bl_idname = "mimaface.stop"
    bl_label = "Stop Backend"

    def work(self, context: bpy.types.Context) -> None:
        installed = session().backend.state == "installing"
        session().stop()
        if installed:
            session().notice = rpt_("The installation was cancelled: press Install Backend to go on")


class MIMAFACE_OT_copy_report(Operator):
    """Copy versions, the last error and the end of the backend's log to the clipboard"""

    bl_idname = "mimaface.copy_report"
    bl_label = "Copy Report"

    def work(self, context: bpy.types.Context) -> None:
        runtime = session()
        client = runtime.backend.client
        lines = [
            f"Blender {bpy.app.version_string} on {platform.platform()}", f"Backend {client.build if client else '-'}: {runtime.backend.state}",
            f"Problem: {runtime.backend.problem or '-'}", f"Last error: {runtime.last_error or '-'}",
            *runtime.backend.log_tail(40).split(" / "),
        ]  # fmt: skip
        context.window_manager.clipboard = "\n".join(lines)
        self.report({"INFO"}, rpt_("The report is on the clipboard"))


class MIMAFACE_OT_cancel_request(Operator):
    """Cancel this request; the scene has not changed yet"""

    bl_idname = "mimaface.cancel_request"
    bl_label = "Cancel"
    number: IntProperty(options={"HIDDEN", "SKIP_SAVE"})

    def work(self, context: bpy.types.Context) -> None:
        session().requests.cancel(self.number)


CLASSES = (MIMAFACE_OT_install, MIMAFACE_OT_start, MIMAFACE_OT_stop, MIMAFACE_OT_cancel_request, MIMAFACE_OT_copy_report)
