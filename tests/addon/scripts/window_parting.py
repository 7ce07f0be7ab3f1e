"""Portraits that go in the middle of a preview or of a stream: two rigs, deleted, renamed, undone, redone, another file."""

import json
import logging
import os
import socket
import sys
import threading
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from windows import WORK, Keyboard, enable, end, in_view, part, run, step

PACKETS = [bytes.fromhex(text) for text in json.loads((WORK / "packets.json").read_text())]  # jawOpen 0.1 + 0.02 · index
SENDER, PORT = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), int((WORK / "port").read_text())
keyboard, said = Keyboard(), {"mistakes": [], "shown": {}, "rigs": []}
UNDO, REDO = ("Control_L", "z"), ("Control_L", "Shift_L", "z")


class Mistakes(logging.Handler):
    """What the add-on logs as a mistake of its own."""

    def emit(self, record):
        said["mistakes"].append(record.getMessage())


def live():
    return part("ui.live").live


def capture():
    return part("ui.capture")


def rigs():
    return sorted((item for item in bpy.context.scene.objects if part("scene.rig").is_rig(item)), key=lambda item: item.name)


def current():
    return part("scene.portraits").current(bpy.context)


def settled():
    """The picture of the current portrait's newest pose is shown, and no other is awaited."""
    rig, picture = current(), live().picture
    return None not in (rig, picture) and not live().previews.busy and picture.portrait == rig["mimaface_portrait"]


def counted():
    threads = sum("mimaface" in thread.name for thread in threading.enumerate())
    handlers = sum(
        getattr(handler, "__module__", "").startswith("mimaface_addon") for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list) for handler in getattr(bpy.app.handlers, name)
    )  # fmt: skip
    return {"threads": threads, "handlers": handlers}


def move(jaw):
    """Move the current portrait; its picture is awaited then."""
    current()["jawOpen"] = jaw
    current().update_tag()
    bpy.context.view_layer.update()
    return live().previews.busy


def object_mode():
    if bpy.context.mode != "OBJECT":
        in_view(bpy.ops.object.mode_set, mode="OBJECT")


def select(rig):
    object_mode()
    for item in bpy.context.selected_objects:
        item.select_set(False)
    rig.select_set(True)
    bpy.context.view_layer.objects.active = rig


def delete():
    """Delete the current rig with what belongs to it, as an artist does."""
    select(current())
    for item in current().children:
        item.hide_select = False
        item.select_set(True)
    in_view(bpy.ops.object.delete, "EXEC_DEFAULT", True)


def pressing(*presses):
    """A step for each of these: if Blender is busy it takes a later z for one without Control, and opens a menu, which takes all further keys."""
    for keys in presses:
        step(0.1)(lambda keys=keys: keyboard.press(*keys))
        step(0.1)(lambda: said["rigs"].append(len(rigs())))


@step(0.5)
def begin():
    enable()
    logging.getLogger("mimaface_addon").addHandler(Mistakes(logging.ERROR))
    bpy.context.scene.mimaface.engine = "proxy"
    keyboard.point()
    in_view(bpy.ops.mimaface.load_portrait, "EXEC_DEFAULT", True, filepath=os.environ["MIMAFACE_PORTRAIT"])


step(0.2)(lambda: len(rigs()) == 1 and settled())


@step(0.2)
def second():
    said["one"] = counted()
    in_view(bpy.ops.mimaface.load_portrait, "EXEC_DEFAULT", True, filepath=os.environ["MIMAFACE_OTHER"])


step(0.2)(lambda: len(rigs()) == 2 and settled())


@step(0.2)
def first_again():
    said["shown"]["second"] = live().picture.portrait == rigs()[0]["mimaface_portrait"]  # by name
    said["awaited"] = [move(0.5)]
    select(rigs()[1])  # while the picture of the other one is awaited


step(0.2)(settled)


@step(0.2)
def delete_amid():
    said["shown"]["first"] = live().picture.portrait == rigs()[1]["mimaface_portrait"]
    said["awaited"].append(move(0.5))
    in_view(bpy.ops.ed.undo_push, message="moved")
    delete()
    select(rigs()[0])


step(0.2)(settled)


@step(0.2)
def delete_the_last():
    said["shown"]["other"] = live().picture.portrait == rigs()[0]["mimaface_portrait"]
    said["awaited"].append(move(0.6))
    delete()


@step(0.8)
def nobody_is_there():
    said["nobody"] = [len(rigs()), current() is None, live().texture is None, live().previews.busy]


pressing(UNDO, UNDO, REDO, UNDO)
step(0.5)(lambda: len(rigs()) == 2 and settled())

pressing(UNDO, UNDO, UNDO, REDO, REDO, UNDO, REDO, REDO, REDO, REDO, UNDO, UNDO, UNDO)
step(0.5)(lambda: len(rigs()) == 2 and settled())


@step(0.2)
def listen():
    select(rigs()[0])
    settings = bpy.context.scene.mimaface
    settings.stream_kind, settings.stream_host, settings.stream_port = "livelink", "127.0.0.1", PORT
    bpy.ops.mimaface.listen()


def heard(index):
    """A step: this packet is sent until the current portrait is moved by it."""

    def look():
        if capture().capture.on:
            SENDER.sendto(PACKETS[index], ("127.0.0.1", PORT))
        there = capture().capture.clip is not None and current() is not None
        return there and abs(current()["mocap_jawOpen"] - 0.02 * index) < 1e-3 and settled()

    return look


step(0.2)(heard(0))
step(0.2)(heard(20))


@step(0.2)
def select_whole_portrait():
    said["amid"] = [len(rigs())]
    for item in current().children:
        item.hide_select = False
        item.select_set(True)
    in_view(bpy.ops.ed.undo_push, message="selected")
    keyboard.point()
    keyboard.press("x")


def amid(index, left, *keys):
    """Steps: so many rigs are left, the stream moves the current one, and keys are pressed."""
    step(0.3)(lambda: len(rigs()) == left)
    step(0.2)(heard(index))
    step(0.2)(lambda: said["amid"].append(len(rigs())) or keyboard.press(*keys))


step(0.3)(lambda: keyboard.press("Return"))
amid(22, 1, *UNDO)
amid(23, 2, *REDO)
amid(24, 1, *UNDO)
step(0.3)(lambda: len(rigs()) == 2)


@step(0.2)
def rename():
    current().name = "renamed"


step(0.2)(heard(25))


@step(0.2)
def stop():
    bpy.ops.mimaface.stop_listening()
    said["renamed"] = bpy.data.objects["renamed"]["mocap_jawOpen"]
    bpy.ops.mimaface.listen()


step(0.2)(heard(0))
step(0.2)(heard(15))


@step(0.2)
def delete_amid_a_stream():
    delete()
    for item in rigs():
        bpy.data.objects.remove(item)
    SENDER.sendto(PACKETS[16], ("127.0.0.1", PORT))


@step(0.5)
def still_listens():
    said["without a rig"] = [len(rigs()), capture().capture.on, capture().driven.key]
    bpy.ops.wm.read_homefile()


@step(0.8)
def empty():
    said["empty"] = counted() | {"listens": capture().capture.on, "picture": live().picture is None}
    bpy.ops.wm.open_mainfile(filepath=str(WORK / "window.blend"))
    bpy.ops.preferences.addon_disable(module="mimaface_addon")


@step(1.0)
def off():
    said["off"] = counted()
    bpy.ops.preferences.addon_enable(module="mimaface_addon")
    (WORK / "said.json").write_text(json.dumps(said))
    end()


run()
