"""A real window of Blender that is worked in step by step; keys and pointer are the X server's own (XTest), as an artist's are."""

import contextlib
import ctypes
import os
import sys
import traceback
from pathlib import Path

import bpy
from bpy_extras.view3d_utils import location_3d_to_region_2d

WORK = Path(os.environ["MIMAFACE_WORK"])
AGAIN = 0.2  # seconds until a step that is not ready is tried again
ROUNDS, ROUND = 3, 0.05  # of Blender's loop between two steps, seconds: a key is handled a round after it came, however slow that is
_steps, _round = [], 0
bpy.context.preferences.view.show_splash = False
bpy.context.preferences.system.viewport_aa = "OFF"  # with it a view is drawn eight times over


def step(wait):
    """A step of the script, so many seconds after the one before; it is tried again while it returns False."""

    def keep(function):
        _steps.append((wait, function))
        return function

    return keep


def enable():
    bpy.ops.preferences.addon_enable(module="mimaface_addon")
    bpy.ops.wm.save_as_mainfile(filepath=str(WORK / "window.blend"))


def part(name):
    """A module of the add-on."""
    return sys.modules[f"mimaface_addon.{name}"]


def view():
    """Window, area and region of the 3D view."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "WINDOW")


def in_view(operator, *arguments, **options):
    """Run an operator as if it were called in the 3D view, with the add-on's threads held: else this Blender may crash."""
    window, area, region = view()
    runtime = part("session").running() if "mimaface_addon.session" in sys.modules else None
    with (
        runtime.threads_held() if runtime is not None else contextlib.nullcontext(),
        bpy.context.temp_override(window=window, area=area, region=region),
    ):
        return operator(*arguments, **options)


class Keyboard:
    """The keyboard and pointer of the X server in which the window is."""

    def __init__(self):
        self._x, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        self._x.XOpenDisplay.restype = ctypes.c_void_p
        self._x.XStringToKeysym.restype = ctypes.c_ulong
        self._x.XKeysymToKeycode.argtypes = [ctypes.c_void_p, ctypes.c_ulong]
        self._x.XFlush.argtypes = [ctypes.c_void_p]
        self._test.XTestFakeKeyEvent.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_ulong]
        self._test.XTestFakeButtonEvent.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_ulong]
        self._test.XTestFakeMotionEvent.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_ulong]
        self._display = self._x.XOpenDisplay(None)

    def point(self):
        """Put the pointer into the middle of the 3D view: keys go to what is under it."""
        window, _, region = view()
        x, y = region.x + region.width // 2, window.height - region.y - region.height // 2
        self._test.XTestFakeMotionEvent(self._display, -1, window.x + x, y, 0)
        self._x.XFlush(self._display)

    def move(self, place):
        """Put the pointer onto a place in the world, as the 3D view shows it."""
        _, area, region = view()
        self.to(region, *location_3d_to_region_2d(region, area.spaces.active.region_3d, place))

    def to(self, region, x, y):
        """Put the pointer onto pixels of a region, from its lower left."""
        window = bpy.context.window_manager.windows[0]
        self._test.XTestFakeMotionEvent(self._display, -1, round(window.x + region.x + x), round(window.height - region.y - y), 0)
        self._x.XFlush(self._display)

    def button(self, down):
        """Press the left button of the mouse, or let it go."""
        self._test.XTestFakeButtonEvent(self._display, 1, int(down), 0)
        self._x.XFlush(self._display)

    def press(self, *keys):
        """Press keys together, such as Control_L, z."""
        codes = [self._x.XKeysymToKeycode(self._display, self._x.XStringToKeysym(key.encode())) & 255 for key in keys]
        for code in codes:
            self._test.XTestFakeKeyEvent(self._display, code, 1, 0)
        for code in reversed(codes):
            self._test.XTestFakeKeyEvent(self._display, code, 0, 0)
        self._x.XFlush(self._display)


def end():
    """The script has come to its end."""
    if "mimaface_addon.session" in sys.modules:
        part("session").session().backend.stop()
    sys.stdout.flush()
    os._exit(0)


def _run():
    global _round
    _round += 1
    if _round < ROUNDS:
        return ROUND
    try:
        if _steps[0][1]() is False:
            return AGAIN
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    _steps.pop(0)
    _round = 0
    return _steps[0][0] if _steps else end()


def run():
    bpy.app.timers.register(_run, first_interval=1.0, persistent=True)
