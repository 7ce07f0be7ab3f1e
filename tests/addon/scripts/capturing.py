"""Live Capture: the backend listens to a sender on loopback, the rig follows, and takes are recorded and punched in."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import bpy

import drive

PACKETS = [bytes.fromhex(text) for text in json.loads((drive.WORK / "packets.json").read_text())]  # jawOpen 0.1 + 0.02 · index
SENDER = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
PORT = int(os.environ["MIMAFACE_PORT"])
CAPTURES = Path(os.environ["MIMAFACE_HOME"]) / "captures"


def live():
    return drive.part("ui.capture")


def rig():
    return bpy.context.scene.mimaface.rig


def heard(packets: list[bytes]) -> None:
    """Send these, and look as the timer does until the last one is shown."""
    wanted = live().capture.told.get("number", 0) + len(packets)
    for packet in packets:
        SENDER.sendto(packet, ("127.0.0.1", PORT))
    drive.pump(lambda: live().look() or live().capture.told.get("number", 0) >= wanted, what="a sample")


def shown() -> float:
    """The jaw of the evaluated rig."""
    return rig().evaluated_get(bpy.context.evaluated_depsgraph_get())["out_jawOpen"]


def curve(name: str = "mocap_jawOpen") -> list[list[float]]:
    return drive.part("scene.bake").keys_of(drive.part("scene.compat").fcurves_of(rig())[f'["{name}"]']).round(4).tolist()


def listen() -> None:
    settings = bpy.context.scene.mimaface
    settings.stream_kind, settings.stream_host, settings.stream_port = "livelink", "127.0.0.1", PORT
    assert bpy.ops.mimaface.listen() == {"FINISHED"}
    drive.pump(lambda: live().capture.on or live().capture.problem, what="listening")
    drive.pump(lambda: live().look() or live().capture.told, what="a first answer")


def record(packets: list[bytes], punch_in: bool = False) -> str:
    runtime = drive.part("session").session()
    assert bpy.ops.mimaface.record(punch_in=punch_in) == {"FINISHED"}
    drive.pump(lambda: live().capture.take is not None, what="recording")
    heard(packets)
    assert bpy.ops.mimaface.stop_recording() == {"FINISHED"}
    drive.pump(lambda: not runtime.busy, what="the take")
    return runtime.notice or runtime.last_error


def following() -> dict:
    """The rig follows, without keys; it is as it was when the stream ends, is saved, or a frame is generated."""
    said = {"light before": live().capture.light, "listens": [live().capture.name, live().capture.where == f"port {PORT}"]}
    rig()["mocap_jawOpen"] = 0.05
    heard(PACKETS[:1])
    heard(PACKETS[20:21])
    said |= {"light": live().capture.light, "jaw": shown(), "levels": dict(live().capture.levels()), "keys": rig().animation_data.action is not None}
    live().driven.release()
    said["released"] = shown()
    heard(PACKETS[10:11])
    said["again"] = shown()
    bpy.ops.wm.save_mainfile()
    said["saved"] = rig()["mocap_jawOpen"]
    heard(PACKETS[20:21])
    bpy.ops.mimaface.set_neutral()
    drive.pump(lambda: not drive.part("session").session().requests.waiting, what="neutral")
    heard(PACKETS[25:26])
    said["from neutral"] = shown()
    heard(PACKETS[:1])
    bpy.ops.mimaface.set_neutral()
    drive.pump(lambda: not drive.part("session").session().requests.waiting, what="neutral")
    rig()["mocap_jawOpen"] = 0.0
    SENDER.sendto(b"\x01\x00\x05\x00Actor" + b"\0" * 60, ("127.0.0.1", PORT))
    drive.pump(lambda: live().look() or live().capture.told.get("note"), what="the note")
    return said | {"note": live().capture.told["note"]}


def taking() -> dict:
    scene, release = bpy.context.scene, live().driven.release
    scene.frame_set(5)
    said = {"notice": record(PACKETS[:30])}
    said["keys"] = curve()
    release()
    scene.frame_set(8)
    heard(PACKETS[29:30])
    said["over curves"] = shown()
    scene.frame_set(9)
    said["over curves on another frame"] = shown()
    record([PACKETS[0]] * 1 + PACKETS[1:7], punch_in=True)
    said["punched"] = curve()
    said["markers"] = sorted([marker.frame, marker.name] for marker in rig().animation_data.action.pose_markers)
    release()
    said["curve again"] = [shown(), dict(curve())[9.0]]
    bpy.ops.mimaface.reduce_keys(tolerance=0.01)
    said["reduced"] = curve()
    bent = drive.part("scene.compat").fcurves_of(rig())['["mocap_mouthSmileLeft"]']
    bent.keyframe_points.clear()
    for frame, value in ((1, 0.0), (3, 0.4), (11, 0.0), (12, 0.0), (13, 0.0), (14, 0.0)):
        bent.keyframe_points.insert(frame, value).interpolation = "BEZIER"
    before = [bent.evaluate(frame) for frame in range(1, 15)]
    bpy.ops.mimaface.reduce_keys(tolerance=0.02)
    said["bent"] = [max(abs(bent.evaluate(frame) - before[frame - 1]) for frame in range(1, 15)), max(before)]
    return said


def ends() -> dict:
    said = {}
    heard(PACKETS[29:30])
    assert bpy.ops.mimaface.stop_listening() == {"FINISHED"}
    at_rest = dict(curve()).get(bpy.context.scene.frame_current, shown())
    said["off"] = [live().capture.on, live().driven.key, abs(shown() - at_rest) < 1e-5]
    said["polls"] = [bpy.ops.mimaface.record.poll(), bpy.ops.mimaface.set_neutral.poll()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        drive.pump(lambda: free(other), what="the port is free")
        assert bpy.ops.mimaface.listen() == {"FINISHED"}
        drive.pump(lambda: live().capture.on or live().capture.problem, what="a refusal")
        said["taken"] = live().capture.problem
    bpy.context.scene.mimaface.stream_kind, bpy.context.scene.mimaface.stream_host = "webcam", "no-camera"
    assert bpy.ops.mimaface.listen() == {"FINISHED"}
    drive.pump(lambda: live().capture.on or live().capture.problem, what="a camera that is not there")
    said["no camera"] = live().capture.problem
    bpy.context.scene.mimaface.stream_kind, bpy.context.scene.mimaface.stream_host = "microphone", "none such"
    assert bpy.ops.mimaface.listen() == {"FINISHED"}
    drive.pump(lambda: live().capture.on or live().capture.problem, what="a microphone that is not there")
    said["no microphone"] = live().capture.problem
    said["mouth alone"] = mouth_alone()
    bpy.context.scene.mimaface.stream_kind, bpy.context.scene.mimaface.stream_host = "vts", ""
    try:
        bpy.ops.mimaface.listen()
    except RuntimeError as error:
        said["no phone"] = str(error)
    listen()
    bpy.ops.mimaface.set_neutral()
    drive.pump(lambda: live().capture.problem, what="no neutral")
    said["no face"] = live().capture.problem
    bpy.ops.mimaface.record()
    drive.pump(lambda: live().capture.take is not None, what="recording")
    said["tried again"] = live().capture.problem
    heard(PACKETS[:2])
    bpy.ops.mimaface.stop_recording()
    drive.pump(lambda: not drive.part("session").session().busy, what="the take")
    return said | kept_takes()


def several() -> dict:
    """Another sender, which is chosen; and a second rig, deleted amid the stream, restored, deleted again, restored."""
    listen()
    heard(PACKETS[:2])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        def from_both() -> bool:
            SENDER.sendto(PACKETS[2], ("127.0.0.1", PORT))
            other.sendto(PACKETS[20], ("127.0.0.1", PORT))
            live().look()
            return len(live().capture.told.get("senders", ())) == 2

        drive.pump(from_both, what="both senders")
        names = live().capture.told["senders"]
        said = {"mixed": shown()}
        assert bpy.ops.mimaface.choose_sender(sender=names[1]) == {"FINISHED"}
        drive.pump(lambda: from_both() and live().capture.told["senders"] == names[::-1], what="the chosen one")
        drive.pump(lambda: from_both() and abs(shown()) < 1e-3, what="its neutral")
        assert bpy.ops.mimaface.choose_sender(sender="nobody") == {"FINISHED"}
        drive.pump(lambda: live().capture.problem, what="a sentence")
        said["nobody"] = live().capture.problem
        drive.pump(lambda: from_both() and bpy.ops.mimaface.choose_sender(sender=names[0]) == {"FINISHED"}, what="the first one")
        drive.pump(lambda: from_both() and live().capture.told["senders"] == names, what="the first one again")
        def closed() -> bool:  # as the first one's neutral, which is shut
            SENDER.sendto(PACKETS[0], ("127.0.0.1", PORT))
            bpy.ops.mimaface.set_neutral()
            live().look()
            return abs(shown()) < 1e-4 and len(live().capture.told["senders"]) == 1

        drive.pump(closed, what="neutral")
    return said | {"two rigs": two_rigs()}


def two_rigs() -> dict:
    """The jaw of the mocap layer of every rig, by name, after each step; one is deleted amid the stream, and comes back."""
    said = {}

    def rigs() -> list:
        return sorted(filter(drive.part("scene.rig").is_rig, bpy.context.scene.objects), key=lambda item: item.name)

    def note(name: str, index: int) -> None:
        def sent() -> bool:
            SENDER.sendto(PACKETS[index], ("127.0.0.1", PORT))
            live().look()
            return any(abs(item["mocap_jawOpen"] - 0.02 * index) < 1e-3 for item in rigs())

        drive.pump(sent, what=name)
        said[name] = [round(item["mocap_jawOpen"], 2) for item in rigs()]

    live().driven.release()
    rig()["mocap_jawOpen"] = 0.03
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    note("two", 10)  # the new one is current
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.ed.undo_push(message="before")
    for item in (rig(), *rig().children):
        item.hide_select = False
        item.select_set(True)
    bpy.ops.object.delete()
    bpy.ops.ed.undo_push(message="deleted")
    note("deleted", 12)
    bpy.ops.ed.undo()
    note("undone", 14)
    bpy.ops.ed.redo()
    note("redone", 16)
    bpy.ops.ed.undo()
    note("undone again", 18)
    bpy.ops.object.select_all(action="DESELECT")
    rig().select_set(True)
    bpy.context.view_layer.objects.active = rig()
    bpy.ops.object.duplicate()
    note("copied", 20)
    rig().name = "renamed"
    note("renamed", 22)
    assert bpy.ops.mimaface.stop_listening() == {"FINISHED"}
    said["stopped"] = [round(item["mocap_jawOpen"], 2) for item in rigs()]
    rigs()[0]["mocap_jawOpen"] = 0.07  # by hand
    for message in ("by hand", "and more"):
        bpy.ops.ed.undo_push(message=message)
    bpy.ops.ed.undo()
    said["by hand"] = round(rigs()[0]["mocap_jawOpen"], 2)
    said["held"] = [drive.part("scene.driving").BEFORE in item for item in rigs()]
    return said


def begin_take(packets: list[bytes]) -> set[Path]:
    """Record these and do not end; the files that were kept before."""
    listen()
    before = set(CAPTURES.glob("*"))
    heard(PACKETS[:1])
    bpy.ops.mimaface.record()
    drive.pump(lambda: live().capture.take is not None, what="recording")
    for packet in packets:
        heard([packet])
    return before


def new_take(before: set[Path], switched_off: bool = False) -> list[float]:
    """The jaw of the take that was kept since; with the add-on ``switched_off`` nothing of it runs any more."""
    if switched_off:
        deadline = time.monotonic() + 60
        while not set(CAPTURES.glob("*.npz")) - before and time.monotonic() < deadline:
            time.sleep(0.01)
    else:
        drive.pump(lambda: set(CAPTURES.glob("*.npz")) - before, what="a kept take")
    (path,) = set(CAPTURES.glob("*")) - before
    clip = drive.part("protocol.motion").MotionClip.load(path)
    return clip.blendshapes[:, drive.part("protocol.arkit").BLENDSHAPE_INDEX["jawOpen"]].round(4).tolist()


def mouth_alone() -> list[float]:
    """What a microphone's sample moves: the mouth and the head of the layer during it, and the jaw before and after."""
    motion, driven = drive.part("protocol.motion").MotionClip, drive.part("scene.driving").Driven()
    clip, at = motion.at_rest([0.0]), drive.part("protocol.arkit").BLENDSHAPE_INDEX["jawOpen"]
    clip.blendshapes[0, at] = 0.58
    rig()["mocap_jawOpen"], rig()["yaw"] = 0.4, 0.25
    action, rig().animation_data.action = rig().animation_data.action, None
    driven.drive(rig(), clip, mouth_only=True)
    said = [rig()["mocap_jawOpen"], rig()["yaw"]]
    driven.release()
    said += [rig()["mocap_jawOpen"], rig()["yaw"]]
    rig().animation_data.action, rig()["yaw"] = action, 0.0
    return said


def kept_takes() -> dict:
    """A take in progress is kept when another file is opened, the add-on is switched off, the backend is killed; and can be imported."""
    before, said = begin_take(PACKETS[3:6]), {}
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    said["another file"] = [new_take(before), live().capture.problem]
    before = begin_take(PACKETS[4:7])
    bpy.ops.preferences.addon_disable(module=drive.MODULE)
    said["switched off"] = [new_take(before, switched_off=True)]
    drive.enable()
    bpy.ops.mimaface.start()
    drive.pump(lambda: drive.part("session").session().backend.state == "ready", what="the backend")
    before = begin_take(PACKETS[5:8])
    os.kill(drive.part("session").session().backend.pid, signal.SIGKILL)
    drive.pump(lambda: not live().capture.on or live().look(), what="the end")
    said["backend gone"] = live().capture.problem
    said["killed"] = [new_take(before)]
    (path,) = set(CAPTURES.glob("*")) - before
    drive.import_motion(path)
    said["imported"] = curve()
    return said


def free(other: socket.socket) -> bool:
    try:
        other.bind(("127.0.0.1", PORT))
    except OSError:
        return False
    return True


def main() -> dict:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "shot.blend"))
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base, scene.frame_end = 30, 1, 5
    drive.load_portrait(Path(os.environ["MIMAFACE_PORTRAIT"]))
    listen()
    said = {"version": bpy.app.version_string, "following": following(), "taking": taking(), "frame_end": scene.frame_end, "ends": ends()}
    drive.pump(lambda: drive.part("session").session().backend.state == "ready" or bpy.ops.mimaface.start() is None, what="the backend")
    bpy.context.scene.frame_set(1)
    rig().animation_data.action = None
    said["several"] = several()
    drive.part("session").session().backend.stop()
    return said


drive.run(main)
