"""Live in a real window: a handle is dragged with the mouse, and the photograph moves under it. Screenshots and counts say what was seen."""

import json
import logging
import os
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).parent))
from windows import WORK, Keyboard, enable, end, in_view, part, run, step, view

PACKETS = [bytes.fromhex(text) for text in json.loads((WORK / "packets.json").read_text())]  # jawOpen 0.1 + 0.02 · index
SENDER, PORT = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), int((WORK / "port").read_text())
keyboard, said, DRAG = Keyboard(), {}, 0.025
ROUNDS = 20  # places of the mouse on one way


class Mistakes(logging.Handler):
    """What the add-on logs as a mistake of its own."""

    def emit(self, record):
        said.setdefault("mistakes", []).append(record.getMessage())


def live():
    return part("ui.live").live


def rig():
    return bpy.context.scene.mimaface.rig


def screenshot(name):
    in_view(bpy.ops.screen.screenshot, filepath=str(WORK / f"live_{name}.png"))


def place_of(bone):
    return rig().matrix_world @ rig().pose.bones[bone].head


def settled():
    """A picture of the newest pose is there, and no other is awaited."""
    return live().picture is not None and not live().previews.busy and live().texture is not None


def counted():
    handlers = sum(
        getattr(handler, "__module__", "").startswith("mimaface_addon") for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list) for handler in getattr(bpy.app.handlers, name)
    )  # fmt: skip
    return {"handlers": handlers, "threads": sum("mimaface" in thread.name for thread in threading.enumerate())}


@step(0.5)
def begin():
    enable()
    said["mistakes"] = []
    logging.getLogger("mimaface_addon").addHandler(Mistakes(logging.ERROR))
    bpy.context.scene.mimaface.engine = os.environ.get("MIMAFACE_ENGINE", "proxy")
    keyboard.point()
    in_view(bpy.ops.mimaface.load_portrait, filepath=os.environ["MIMAFACE_PORTRAIT"])


@step(0.2)
def portrait_is_there():
    return rig() is not None and bpy.context.mode == "POSE"


step(0.2)(settled)


@step(0.5)
def before():
    view, shown = part("ui.live_view"), live().picture
    said["badge"] = []
    for engine, *_ in bpy.context.scene.mimaface.bl_rna.properties["engine"].enum_items.items():
        live().picture = replace(shown, engine=engine)
        said["badge"].append(view.badge().rpartition(" · ")[0])
    said["offered"] = [item.name for item in bpy.context.scene.mimaface.bl_rna.properties["engine"].enum_items]
    live().picture = shown
    said["mode"], said["undo"] = bpy.context.mode, bpy.context.window_manager.mimaface_live
    said["photo"] = [list(corner) for corner in part("scene.portraits").corners(part("scene.portraits").part_of(rig(), "photo")[0])]
    said["cursor"] = list(bpy.context.scene.cursor.location)
    screenshot("before")
    keyboard.move(place_of("jaw"))


@step(0.3)
def grab():
    said["handle"] = list(place_of("jaw"))
    said["generation"] = live().previews.rendered
    keyboard.button(True)
    said["began"] = time.monotonic()


def dragging(index):
    def drag():
        place = place_of("root") * 0 + type(place_of("root"))(said["handle"])
        place.z -= DRAG * rig().scale.z * (index + 1) / ROUNDS
        keyboard.move(place)

    return drag


for index in range(ROUNDS):
    step(0.0)(dragging(index))


@step(0.0)
def during():
    said["seconds"] = time.monotonic() - said["began"]
    said["pictures while dragging"] = live().previews.rendered - said["generation"]
    said["editing"] = [operator.bl_idname for operator in getattr(bpy.context.window, "modal_operators", ())]
    said["jaw while dragging"] = rig()["out_jawOpen"]


step(0.2)(settled)


@step(0.5)
def seen_while_dragging():
    said["delay"] = live().picture.delay
    screenshot("during")
    keyboard.button(False)


@step(0.5)
def dropped():
    said["jaw"] = rig()["out_jawOpen"]
    screenshot("after")
    keyboard.point()
    keyboard.press("Control_L", "z")


@step(0.5)
def undone():
    said["jaw undone"] = rig()["out_jawOpen"]


step(0.2)(settled)


def is_drawn():
    window, area, region = view()
    with bpy.context.temp_override(window=window, area=area, region=region, space_data=area.spaces.active):
        return part("ui.live_view")._shown() is not None


@step(0.5)
def off():
    screenshot("undone")
    said["local"] = [is_drawn()]
    for chosen in (rig(), bpy.data.objects["Cube"]):
        for item in (rig(), bpy.data.objects["Cube"]):
            item.select_set(item == chosen)
        in_view(bpy.ops.view3d.localview, frame_selected=False)
        said["local"].append(is_drawn())
        in_view(bpy.ops.view3d.localview, frame_selected=False)
    bpy.data.objects["Cube"].select_set(False)
    rig().select_set(True)
    keyboard.point()
    keyboard.press("Control_L", "Shift_L", "z")


step(0.5)(settled)


def to_frame(frame):
    """Put the pointer onto a frame in the timeline's ruler."""
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "DOPESHEET_EDITOR")
    region = next(region for region in area.regions if region.type == "WINDOW")
    keyboard.to(region, region.view2d.view_to_region(frame, 0, clip=False)[0], region.height - 8)


@step(0.2)
def keyed():
    rig().pose.bones["jaw"].location.y = 0
    for frame, value in ((1, 0.0), (12, 1.0), (60, 0.8)):
        rig()["jawOpen"] = value
        rig().keyframe_insert('["jawOpen"]', frame=frame)
    bpy.context.scene.frame_end = 60
    bpy.context.scene.frame_set(1)
    to_frame(1)


step(0.5)(settled)


@step(0.5)
def scrub():
    screenshot("unscrubbed")
    keyboard.button(True)


for frame in (3, 6, 9, 12):
    step(0.1)(lambda frame=frame: to_frame(frame))
step(0.5)(lambda: bpy.context.scene.frame_current == 12 and settled())


@step(0.5)
def while_scrubbing():
    said["scrubbing"] = [operator.bl_idname for operator in getattr(bpy.context.window_manager.windows[0], "modal_operators", ())]
    screenshot("scrubbing")
    to_frame(1)


step(0.5)(lambda: bpy.context.scene.frame_current == 1 and settled())


@step(0.5)
def scrubbed():
    keyboard.button(False)
    screenshot("scrubbed")


@step(0.2)
def playing():
    said["generation"] = live().previews.rendered
    in_view(bpy.ops.screen.animation_play)


@step(0.1)
def is_open():
    """A frame is played whose jaw is open; a picture that is asked for from now on is of it or of one after it."""
    said["asked"] = live().previews._generation
    return bpy.context.scene.frame_current in range(14, 50)


step(0.1)(lambda: live().picture.generation > said["asked"])


@step(0.1)
def played():
    screenshot("playing")
    in_view(bpy.ops.screen.animation_cancel)
    said["pictures while playing"] = live().previews.rendered - said["generation"]
    said["main thread"] = list(live().main_thread_seconds)
    tick = part("ui.live").tick
    said["idle"] = []
    for _ in range(50):
        started = time.perf_counter()
        tick()
        said["idle"].append(time.perf_counter() - started)
    said["counts on"] = counted()
    rig()["jawOpen"] = 0.7
    rig().update_tag()
    bpy.context.view_layer.update()
    said["awaited"] = live().previews.busy
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)  # in the middle of a preview
    said["opened"] = [live().picture is None, bpy.context.scene.mimaface.rig is not None]


@step(0.5)
def shows_again():
    return settled()


def in_preview(name):
    """Keep a screenshot, and where the sequencer's preview has the frame of the scene: left, upper, right, lower in pixels from below."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "SEQUENCE_EDITOR")
    region = next(region for region in area.regions if region.type == "PREVIEW")
    width, height = bpy.context.scene.render.resolution_x / 2, bpy.context.scene.render.resolution_y / 2
    corners = (region.view2d.view_to_region(*corner, clip=False) for corner in ((-width, height), (width, -height)))
    said[name] = [place + offset for corner in corners for place, offset in zip(corner, (region.x, region.y))]
    with part("session").session().threads_held(), bpy.context.temp_override(window=window, area=area):
        bpy.ops.screen.screenshot(filepath=str(WORK / f"live_{name}.png"))


@step(0.2)
def to_the_preview():
    _, area, _ = view()
    area.type = "SEQUENCE_EDITOR"
    area.spaces.active.view_type = "PREVIEW"
    render = bpy.context.scene.render
    bpy.context.scene.view_settings.view_transform = "Standard"  # of the strip; Live has the photograph's own colours
    render.resolution_x, render.resolution_y = 640, 320  # the photograph, a square, is in its middle
    bpy.context.scene.frame_set(12)  # its jaw is open by keys


step(0.5)(settled)


@step(0.5)
def preview_without_strips():
    in_preview("preview")
    editor = bpy.context.scene.sequence_editor_create()
    editor.sequences.new_image("photograph", os.environ["MIMAFACE_PORTRAIT"], 1, 1, fit_method="FIT").frame_final_duration = 20
    bpy.context.scene.frame_set(11)


@step(0.5)
def answered():
    return not live().previews.busy  # and not drawn


@step(0.5)
def preview_of_a_strip():
    in_preview("preview_strip")
    rig()["jawOpen"] = 0.8  # by hand
    rig().update_tag()


step(0.5)(settled)


@step(0.5)
def preview_while_moving():
    in_preview("preview_moved")
    bpy.context.window_manager.mimaface_wipe = 0.5


@step(0.5)
def preview_wiped():
    in_preview("preview_wiped")
    bpy.context.window_manager.mimaface_wipe = 0.0
    bpy.context.scene.sequence_editor_clear()
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "SEQUENCE_EDITOR")
    area.type = "VIEW_3D"


@step(0.2)
def listen():
    settings = bpy.context.scene.mimaface
    settings.stream_kind, settings.stream_host, settings.stream_port = "livelink", "127.0.0.1", PORT
    bpy.context.scene.frame_set(1)
    bpy.ops.mimaface.listen()


def heard(index, jaw):
    """A step: this packet is sent until Blender's own timer has moved the portrait."""

    def look():
        capture = part("ui.capture").capture
        if capture.on:
            SENDER.sendto(PACKETS[index], ("127.0.0.1", PORT))
        return capture.clip is not None and abs(rig()["out_jawOpen"] - jaw) < 1e-3 and settled()

    return look


step(0.2)(heard(0, 0.0))
step(0.2)(heard(29, 0.58))


@step(0.2)
def hears():
    said["heard"] = [rig()["mocap_jawOpen"], part("ui.capture").capture.light]
    screenshot("heard")
    bpy.context.window_manager.mimaface_wipe = 0.5


@step(0.5)
def wiped():
    screenshot("wiped")
    bpy.context.window_manager.mimaface_wipe = 0.0
    _, area, _ = view()
    area.type = "IMAGE_EDITOR"
    area.spaces.active.image = part("scene.portraits").part_of(rig(), "photo")[0].data


@step(1.0)
def in_the_image_editor():
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "IMAGE_EDITOR")
    view2d = next(region for region in area.regions if region.type == "WINDOW")
    corners = (view2d.view2d.view_to_region(*corner, clip=False) for corner in ((0, 1), (1, 0)))
    said["image"] = [place + offset for corner in corners for place, offset in zip(corner, (view2d.x, view2d.y))]
    with part("session").session().threads_held(), bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
        bpy.ops.screen.screenshot(filepath=str(WORK / "live_image.png"))
    area.type = "VIEW_3D"


@step(0.5)
def undo():
    bpy.ops.ed.undo_push(message="amid a stream")
    bpy.ops.ed.undo_push(message="and another")
    keyboard.point()
    keyboard.press("Control_L", "z")


step(0.5)(heard(20, 0.4))  # goes on after the step


@step(0.2)
def stop_listening():
    bpy.ops.mimaface.stop_listening()
    said["stopped"] = [rig()["mocap_jawOpen"]]
    keyboard.press("Control_L", "Shift_L", "z")


@step(0.5)
def steps_hold_no_stream():
    said["stopped"].append(rig()["mocap_jawOpen"])
    bpy.ops.mimaface.listen()


step(0.2)(heard(0, 0.0))
step(0.2)(heard(10, 0.2))


@step(0.2)
def switch_off():
    rig()["jawOpen"] = 0.5
    rig().update_tag()
    bpy.context.view_layer.update()
    capturing = part("ui.capture")._tick
    said["timers on"] = bpy.app.timers.is_registered(capturing)
    state, timer = live(), part("ui.live")._timer
    drawing = [module._drawing for module in (part("ui.live_view"), part("ui.live_editors"))]
    said["drawing"] = sum(map(len, drawing))
    bpy.ops.preferences.addon_disable(module="mimaface_addon")  # in the middle of a preview
    said["counts off"] = counted() | {"timers": bpy.app.timers.is_registered(timer), "texture": state.texture is not None}
    said["counts off"]["drawing"] = sum(map(len, drawing))
    left = next(item for item in bpy.data.objects if "mocap_jawOpen" in item)
    said["counts off"] |= {"listens": bpy.app.timers.is_registered(capturing), "mocap": left["mocap_jawOpen"]}
    bpy.ops.preferences.addon_enable(module="mimaface_addon")


@step(0.5)
def on_again():
    said["started by itself"] = part("session").session().backend.state
    rig()["jawOpen"] = 0.9
    rig().update_tag()


@step(0.2)
def is_started():
    return settled()


@step(0.5)
def finish():
    said["on again"] = counted()
    (WORK / "said.json").write_text(json.dumps(said))
    end()


run()
