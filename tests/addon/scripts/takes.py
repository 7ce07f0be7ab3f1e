"""Takes outlive undo, saving, reopening, scene copies, removing and the add-on itself. Several cases in one Blender, one report."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "blender_addon"))
import drive

PORTRAIT = Path(os.environ["MIMAFACE_PORTRAIT"])
CASES = []


def case(function):
    CASES.append(function)
    return function


def ops():
    import bpy

    return bpy.ops


def scene():
    import bpy

    return bpy.context.scene


def session():
    return drive.part("session").session()


def push(message: str) -> None:
    ops().ed.undo_push(message=message)


def pump() -> None:
    for _ in range(3):
        session().pump()


def takes(owner=None) -> list:
    return [[take.name, take.state, take.done] for take in (owner or scene()).mimaface.takes]


def all_strips(owner=None) -> list:
    editor = (owner or scene()).sequence_editor
    return list(drive.part("scene.compat").all_strips(editor)) if editor else []


def strips(owner=None) -> list[str]:
    return [strip.name for strip in all_strips(owner)]


def rigs() -> int:
    return len([item for item in scene().objects if "mimaface" in item])


def whole(take) -> bool:
    """Every frame is where the take says, and where its strip looks."""
    import bpy

    folder = drive.part("scene.takes").take_folder(take)
    strip = drive.part("scene.strips").find(take.id_data, take.uuid)
    looks = Path(bpy.path.abspath(strip.directory)) if strip is not None else folder
    return looks == folder and len(list(folder.glob("*.png"))) == take.frames


def base() -> Path:
    """A file with a rig that turns its head, made once."""
    import bpy

    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "base.blend"))
    settings = scene().mimaface
    settings.engine, settings.size = "proxy", 64
    scene().frame_start, scene().frame_end = 1, 3
    drive.load_portrait(PORTRAIT)
    drive.key(settings.rig, "jawOpen", {1: 0.0, 3: 0.8})
    bpy.ops.wm.save_mainfile()
    return Path(bpy.data.filepath)


def begin(name: str) -> Path:
    """A copy of that file in a folder of its own."""
    import bpy

    bpy.ops.wm.open_mainfile(filepath=str(drive.WORK / "base.blend"))
    (drive.WORK / name).mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / name / "shot.blend"))
    pump()
    push("begin")
    return drive.WORK / name


def turn(number: int) -> None:
    """Another motion, so that nothing comes from the backend's store."""
    drive.key(scene().mimaface.rig, "jawLeft", {1: 0.01 * number, scene().frame_end: 0.02 * number})


def start_long_take(name: str, number: int):
    """A take of 80 frames that is being made."""
    scene().frame_end = 80
    turn(number)
    ops().mimaface.generate(name=name)
    take = scene().mimaface.takes[len(scene().mimaface.takes) - 1]
    drive.pump(lambda: take.done >= 2, what="the first frames")
    return take


def until_done(number: int = 0) -> None:
    drive.pump(lambda: scene().mimaface.takes[number].state == "done", 90, "done")


@case
def undo() -> dict:
    begin("undo")
    drive.generate(name="one")
    before = scene().mimaface.rig.location.x
    scene().mimaface.rig.location.x += 1
    push("moved")
    ops().ed.undo()
    said = {"later edit": (takes(), strips(), scene().mimaface.rig.location.x - before)}
    ops().ed.undo()
    said["generate itself"] = (takes(), strips())
    ops().ed.redo()
    said["redo"] = (takes(), strips())
    start_long_take("two", 1)
    ops().ed.undo()
    ops().ed.undo()
    said["while it is made"] = ([item[0] for item in takes()], strips())
    until_done(1)
    said["made"] = (takes()[1], whole(scene().mimaface.takes[1]), [take.name for take in scene().mimaface.takes])
    return said


@case
def undo_rig() -> dict:
    begin("undo_rig")
    drive.load_portrait(PORTRAIT)
    said = {"before": rigs()}
    ops().ed.undo()
    said["undo"] = rigs()
    ops().ed.redo()
    said["redo"] = rigs()
    return said


@case
def undo_import() -> dict:
    begin("undo_import")
    said = {"before": curves()}
    drive.import_motion(Path(os.environ["MIMAFACE_TAKE"]))
    said["imported"] = curves()
    ops().ed.undo()
    said["undo"] = curves()
    ops().ed.redo()
    return said | {"redo": curves()}


def curves() -> int:
    """Curves of the rig's mocap layer."""
    action = scene().mimaface.rig.animation_data.action
    if hasattr(action, "layers"):
        found = [curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags for curve in bag.fcurves]
    else:
        found = action.fcurves
    return len([curve for curve in found if "mocap_" in curve.data_path])


@case
def deleted_strip() -> dict:
    import bpy

    begin("deleted_strip")
    drive.generate(name="one")
    drive.part("scene.strips").remove(scene(), all_strips())
    push("deleted")
    push("other")
    push("another")
    ops().ed.undo()
    pump()
    said = {"undo of another edit": (takes(), strips())}
    ops().ed.redo()
    pump()
    said["redo"] = strips()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    pump()
    said["reopened"] = (takes(), strips())
    ops().mimaface.place_take()
    said["asked for"] = strips()
    bpy.ops.scene.new(type="LINK_COPY")
    pump()
    push("copied")
    push("other")
    bpy.ops.ed.undo()
    pump()
    said["linked copy"] = [len(strips(item)) for item in bpy.data.scenes]
    said["uuids"] = len({take.uuid for item in bpy.data.scenes for take in item.mimaface.takes})
    return said


@case
def undo_of_deleting() -> dict:
    begin("undo_of_deleting")
    drive.generate(name="one")
    drive.part("scene.strips").remove(scene(), all_strips())
    push("deleted")
    ops().ed.undo()
    pump()
    return {"strips": strips(), "takes": takes()}


@case
def stop() -> dict:
    begin("stop")
    start_long_take("long", 2)
    ops().mimaface.stop()
    said = {"state": takes()[0][1], "message": scene().mimaface.takes[0].message, "error": session().last_error}
    ops().mimaface.resume()
    until_done()
    said["resumed"] = (takes(), whole(scene().mimaface.takes[0]))
    ops().mimaface.stop()
    ops().mimaface.load_portrait(filepath=str(PORTRAIT))
    said["busy"] = session().busy
    ops().mimaface.stop()
    said["busy after stop"] = session().busy
    return said


@case
def switched_off() -> dict:
    begin("switched_off")
    start_long_take("long", 3)
    pid = session().backend.pid
    drawing = [drive.part(f"ui.{name}")._drawing for name in ("live_view", "live_editors")]
    said = {"drawing": [[len(handlers) for handlers in drawing]]}
    ops().preferences.addon_disable(module=drive.MODULE)
    said["drawing"].append([len(handlers) for handlers in drawing])
    drive.enable()
    drive.part("handlers")._tick()
    said["state"] = takes()[0][1]
    ops().mimaface.resume()
    until_done()
    return said | {"resumed": (takes(), whole(scene().mimaface.takes[0])), "same backend": session().backend.pid == pid}


def until_paused(take) -> list[str]:
    drive.pump(lambda: take.message.startswith("paused: "), what="the pause")
    return [take.state, take.message]


@case
def paused() -> dict:
    """The backend lacks file handles, then the disk of the takes is full; each passes, and nobody resumes."""
    import resource
    import shutil
    import subprocess

    folder = begin("paused")
    scene().mimaface.size = 256  # so that the backend is not done before it lacks something
    take = start_long_take("long", 8)
    pid = session().backend.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (12, limits[1]))
    said = {"handles": until_paused(take)}
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    until_done()
    said["gone on"] = (takes(), take.message, whole(take))
    disk = folder / "mimaface"
    shutil.rmtree(disk)
    disk.mkdir()
    mount, unmount = (shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin") or "" for name in ("mount", "umount"))
    if not unmount or subprocess.run([mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True).returncode:
        return said | {"disk": None}
    try:
        scene().mimaface.takes.clear()
        scene().mimaface.size = 64
        take = start_long_take("full", 9)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        said["disk"] = until_paused(take)
        filler.unlink()
        until_done()
        return said | {"disk gone on": (takes(), take.message, whole(take))}
    finally:
        subprocess.run([unmount, "-l", str(disk)], check=False)


@case
def elsewhere() -> dict:
    import shutil

    import bpy

    begin("elsewhere")
    drive.generate(name="here")
    bpy.ops.wm.save_mainfile()
    session().stop()
    session().backend.stop()
    drive.pump(lambda: not session().backend._ending.is_alive(), what="the end")
    shutil.rmtree(session().backend.folder)
    turn(4)
    before = rigs()
    take = drive.generate(name="there")
    said = {"generated": (take.name, take.state, take.done)}
    start_long_take("long", 5)
    session().stop()
    drive.pump(lambda: not session().backend._ending.is_alive(), what="the end")
    shutil.rmtree(session().backend.folder)
    ops().mimaface.resume()
    until_done(2)
    said["resumed"] = takes()[2]
    said["more rigs"] = rigs() - before
    return said


@case
def marking() -> dict:
    begin("marking")
    turn(11)
    settings, rig = scene().mimaface, scene().mimaface.rig
    said = {"at first": [settings.watermark, rig.mimaface_consent]}
    drive.generate(name="first")
    rig.mimaface_consent, settings.watermark = "given", False
    take = drive.generate(name="second")
    folder = drive.part("scene.takes").take_folder(take)
    manifest = drive.part("core.delivery").read_manifest(folder)
    said["kept"] = [manifest["consent"], manifest["settings"]["watermark"]]
    said["frames"] = [str(drive.part("scene.takes").take_folder(item) / "000001.png") for item in settings.takes]
    return said


@case
def save_as() -> dict:
    import bpy

    folder = begin("save_as")
    drive.generate(name="one")
    (folder / "v2").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "v2" / "shot.blend"))
    said = {"saved as": (takes(), whole(scene().mimaface.takes[0]))}
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "copy.blend"), copy=True)
    said["saved a copy"] = (bpy.data.filepath.endswith("v2/shot.blend"), whole(scene().mimaface.takes[0]))
    for name in ("v2/shot.blend", "copy.blend"):
        bpy.ops.wm.open_mainfile(filepath=str(folder / name))
        pump()
        said[name] = (takes(), whole(scene().mimaface.takes[0]), scene().mimaface.takes[0].folder.replace("\\", "/"))
    (folder / "moved").mkdir()
    for name in ("copy.blend", "mimaface"):
        (folder / name).rename(folder / "moved" / name)
    bpy.ops.wm.open_mainfile(filepath=str(folder / "moved" / "copy.blend"))
    pump()
    said["project moved"] = (takes(), whole(scene().mimaface.takes[0]))
    return said


@case
def unsaved() -> dict:
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True)
    scene().mimaface.engine, scene().mimaface.size = "proxy", 64
    scene().frame_start, scene().frame_end = 1, 3
    drive.load_portrait(PORTRAIT)
    turn(6)
    drive.generate(name="one")
    home = Path(os.environ["MIMAFACE_HOME"])
    lies = drive.part("scene.takes").take_folder(scene().mimaface.takes[0])
    said = {
        "in the user's store": lies.is_relative_to(home),
        "kept by an uninstall": not lies.is_relative_to(drive.WORK / "user"),
    }
    scene().frame_end = 60
    turn(7)
    ops().mimaface.generate(name="two")
    drive.pump(lambda: scene().mimaface.takes[1].done >= 2, what="the first frames")
    (drive.WORK / "saved").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(drive.WORK / "saved" / "named.blend"))
    until_done(1)
    said["saved"] = (takes(), [whole(take) for take in scene().mimaface.takes])
    said["beside"] = sorted(path.name for path in (drive.WORK / "saved" / "mimaface").iterdir())
    said["left behind"] = len(list((home / "unsaved").iterdir()))
    ops().ed.undo()
    pump()
    said["undo"] = (takes(), [whole(take) for take in scene().mimaface.takes])
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    pump()
    said["reopened"] = (takes(), [whole(take) for take in scene().mimaface.takes])
    return said


@case
def found_again() -> dict:
    import bpy

    folder = begin("found_again")
    drive.generate(name="lost")
    start_long_take("half", 8)
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)  # nothing was saved: as after a crash
    pump()
    said = {"crashed": ([item[:2] for item in takes()], strips())}
    scene().mimaface.active_take = 1
    if takes()[1][1] != "done":
        ops().mimaface.resume()
        until_done(1)
    said["resumed"] = (takes(), [whole(take) for take in scene().mimaface.takes])
    bpy.ops.wm.open_mainfile(filepath=str(drive.WORK / "base.blend"))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "other.blend"))
    pump()
    said["another file"] = takes()
    ops().mimaface.find_takes()
    said["find takes"] = (takes(), strips())
    ops().mimaface.find_takes()
    said["again"] = len(takes())
    return said


@case
def removed() -> dict:
    import bpy

    folder = begin("removed")
    drive.generate(name="one")
    turn(9)
    second = drive.generate(name="two")
    said = {"on top": [strip.channel for strip in all_strips()]}
    second.name = "Best"
    said["renamed"] = (takes()[1][0], strips()[1], (folder / "mimaface" / "two" / "take.json").read_text().count('"Best"'))
    second.hidden = True
    said["hidden"] = [strip.mute for strip in all_strips()]
    second.hidden = False
    scene().mimaface.active_take = 0
    ops().mimaface.remove_take()
    said["kept frames"] = (takes(), strips(), len(list((folder / "mimaface" / "one").glob("*.png"))))
    push("other")
    ops().ed.undo()
    ops().ed.undo()
    pump()
    said["undo"] = (takes(), strips())
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    pump()
    said["reopened"] = takes()
    (folder / "mimaface" / "two" / "artist.txt").write_text("mine")
    ops().mimaface.remove_take(delete_files=True)
    said["deleted"] = (takes(), strips(), [path.name for path in (folder / "mimaface" / "two").iterdir()])
    ops().mimaface.find_takes()
    said["found"] = takes()
    return said


@case
def copied_scene() -> dict:
    import bpy

    begin("copied_scene")
    drive.generate(name="one")
    bpy.ops.scene.new(type="FULL_COPY")
    pump()
    pump()
    tags = [[strip.get("mimaface_take") for strip in all_strips(item)] for item in bpy.data.scenes]
    identities = [[take.uuid for take in item.mimaface.takes] for item in bpy.data.scenes]
    return {"own": identities[0] != identities[1], "strips agree": tags == identities, "count": [len(tag) for tag in tags]}


@case
def deleted_scene() -> dict:
    """A scene is deleted while its take is made, which goes on without it; undo brings it back."""
    import bpy

    begin("deleted_scene")
    bpy.data.scenes.new("Spare")
    push("another scene")
    take = start_long_take("long", 12)
    job, owner = take.job, scene()
    push("before")
    bpy.data.scenes.remove(owner)
    push("deleted")
    answers = []

    def ask() -> bool:
        if not answers or answers.pop() != "done":
            session().ask("job.list", {}, [], lambda m: answers.append(next(j["state"] for j in m.fields["jobs"] if j["job"] == job)), print)
            return False
        return True

    drive.pump(ask, what="the end of the job")
    ops().ed.undo()
    pump()
    owner = next(item for item in bpy.data.scenes if len(item.mimaface.takes))
    drive.pump(lambda: owner.mimaface.takes[0].state == "done", 90, "the rest of the frames")
    return {"takes": takes(owner), "whole": whole(owner.mimaface.takes[0])}


@case
def deleted_frames() -> dict:
    """The folder of a take is taken away while it is made."""
    begin("deleted_frames")
    take = start_long_take("long", 13)
    folder = drive.part("scene.takes").take_folder(take)
    folder.rename(folder.with_name("gone"))
    until_done()
    return {"takes": takes(), "whole": whole(scene().mimaface.takes[0])}


@case
def from_elsewhere() -> dict:
    """A scene is appended from, and linked to, a file in another folder, in which a take has the same name."""
    import bpy

    folder = begin("from_elsewhere")
    drive.generate(name="one")
    bpy.ops.wm.save_mainfile()
    source, said = bpy.data.filepath, {}
    for link in (False, True):
        begin(f"to_{link}")
        drive.generate(name="one")
        with bpy.data.libraries.load(source, link=link) as (there, wanted):
            wanted.scenes = list(there.scenes)
        pump()
        bpy.ops.wm.save_mainfile()
        for when in ("at once", "opened again"):
            places = [drive.part("scene.takes").take_folder(take) for item in bpy.data.scenes for take in item.mimaface.takes]
            looks = [drive.part("scene.strips").folder_of(strip) for item in bpy.data.scenes for strip in all_strips(item)]
            said[f"{link} {when}"] = [
                [takes(item) for item in bpy.data.scenes], places == looks, [place.resolve().is_relative_to(folder.resolve()) for place in places]
            ]  # fmt: skip
            bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
            pump()
    return said


@case
def two_files() -> dict:
    """Two files of one folder with the same take: neither deletes the other's frames."""
    import bpy

    folder = begin("two_files")
    drive.generate(name="one")
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "copy.blend"), copy=True)
    said = {}
    with contextlib.suppress(RuntimeError):
        said["the copy has it"] = list(ops().mimaface.remove_take(delete_files=True))
    (folder / "copy.blend").unlink()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "second.blend"))
    try:
        ops().mimaface.remove_take(delete_files=True)
    except RuntimeError as error:
        said["refused"] = str(error)
    ops().mimaface.remove_take()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(folder / "shot.blend"))
    pump()
    said["the other file"] = (takes(), whole(scene().mimaface.takes[0]))
    ops().mimaface.remove_take(delete_files=True)
    return said | {"then": (takes(), (folder / "mimaface" / "one").exists())}


@case
def sequencer_scene() -> dict:
    """The sequencer shows a scene of its own, as workspaces can since 5.0, which ``bpy`` without a window does not have."""
    import bpy

    begin("sequencer_scene")
    edit = bpy.data.scenes.new("Edit")
    edit.render.fps = 30
    compat = drive.part("scene.compat")
    real, compat.sequencer_scene = compat.sequencer_scene, lambda _: edit
    try:
        ops().mimaface.generate(name="one")
        said = {"notice": session().notice}
        drive.pump(lambda: len(edit.mimaface.takes) and edit.mimaface.takes[0].state == "done", what="the take")
        edit.render.fps = scene().render.fps
        ops().mimaface.generate(name="two")
        said["alike"] = session().notice
        drive.pump(lambda: edit.mimaface.takes[1].state == "done", what="the take")
        bpy.ops.wm.save_mainfile()
        bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
        pump()
        return said | {"takes": [[item.name, takes(item), strips(item)] for item in bpy.data.scenes]}
    finally:
        compat.sequencer_scene = real


@case
def removed_at_once() -> dict:
    """A take is removed before the backend has answered that it makes it."""
    begin("removed_at_once")
    scene().frame_end = 80
    turn(14)
    ops().mimaface.generate(name="unwanted")
    ops().mimaface.remove_take(delete_files=True)
    states: list[str] = []

    def ended() -> bool:
        session().ask("job.list", {}, [], lambda m: states.extend(j["state"] for j in m.fields["jobs"] if j["name"] == "unwanted"), states.append)
        return bool(states) and states[-1] in ("cancelled", "done")

    drive.pump(ended, what="the end of the job")
    return {"state": states[-1], "takes": takes()}


@case
def long_name() -> dict:
    begin("long_name")
    take = drive.generate(name="Ä" * 300)
    return {"letters": len(take.name), "bytes": len(drive.part("scene.takes").take_folder(take).name.encode()), "whole": whole(take)}


@case
def just_opened() -> dict:
    import bpy

    begin("just_opened")
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    turn(10)
    ops().mimaface.generate(name="new")
    session().pump()
    first = takes()[0][1]
    until_done()
    return {"first": first, "then": takes()}


@case
def channels() -> dict:
    begin("channels")
    first = drive.generate(name="one")
    all_strips()[0].channel = 5
    editor = drive.part("scene.compat").strips(scene().sequence_editor)
    title = editor.new_effect(name="title", type="COLOR", channel=20, frame_start=1, **end(4))
    later = editor.new_effect(name="later", type="COLOR", channel=30, frame_start=100, **end(110))
    turn(11)
    take = drive.generate(name="two")
    return {"first": first.name, "title": title.channel, "later": later.channel, "new": take.channel}


def end(frame: int) -> dict:
    import bpy

    return {"length": frame - 1} if bpy.app.version >= (5, 0, 0) else {"frame_end": frame}


@case
def scene_switched() -> dict:
    import bpy

    begin("scene_switched")
    first, count = scene(), len(scene().objects)
    other = bpy.data.scenes.new("Other")
    ops().mimaface.load_portrait(filepath=str(PORTRAIT))
    before = first.mimaface.rig
    if bpy.context.window is not None:
        bpy.context.window.scene = other
    drive.pump(lambda: first.mimaface.rig != before, what="the rig")
    rig = first.mimaface.rig
    return {
        "switched": bpy.context.scene.name == "Other", "in the first": first.objects.get(rig.name) is rig, "more": len(first.objects) - count,
        "in the other": len(other.objects),
    }  # fmt: skip


@case
def no_folder() -> dict:
    folder = begin("no_folder")
    (folder / "mimaface").write_text("in the way")
    try:
        ops().mimaface.generate(name="one")
    except RuntimeError as error:
        return {"said": str(error), "takes": takes()}
    return {"said": "", "takes": takes()}


def fitted(rig):
    """The vertices of a rig's head, metres."""
    import numpy as np

    parts = drive.part("scene.portraits").part_of(rig, "head")
    return np.concatenate([np.array([vertex.co for vertex in part.data.vertices]) for part in parts])


@case
def reference_photos() -> dict:
    """Further photos give the portrait another id, which takes and a backend that lost everything are given."""
    import bpy
    import numpy as np

    folder = begin("reference_photos")
    image = bpy.data.images.load(str(PORTRAIT))
    width, height = image.size
    pixels = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(pixels)
    other = bpy.data.images.new("other", width, height)
    other.pixels.foreach_set(np.ascontiguousarray(pixels.reshape(height, width, 4)[:, ::-1]).ravel())
    other.filepath_raw, other.file_format = str(folder / "other.png"), "PNG"
    other.save()
    rig = scene().mimaface.rig
    before = rig["mimaface_portrait"]
    heads = [fitted(rig)]
    ops().mimaface.add_references(directory=str(folder), files=[{"name": "other.png"}])
    drive.pump(lambda: not session().busy, what="references")
    heads.append(fitted(rig))
    said = {"longer": rig["mimaface_portrait"].startswith(f"{before}-"), "notice": session().notice}
    for file in Path(os.environ["MIMAFACE_HOME"]).glob("portraits/*"):
        file.unlink()
    drive.generate(name="known")
    said["take"] = takes()
    ops().mimaface.clear_references()
    drive.pump(lambda: not session().busy, what="the portrait alone")
    heads.append(fitted(rig))
    said["cleared"] = rig["mimaface_portrait"] == before
    said["moved"], said["back"] = (float(np.abs(head - heads[0]).max()) for head in heads[1:])
    try:
        ops().mimaface.add_references(directory=str(folder), files=[{"name": "absent.png"}])
    except RuntimeError as error:
        said["absent"] = str(error)
    return said


class Drawn:
    """A layout that notes what is drawn in it: texts with their icons, and properties."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []
        self.properties: list[str] = []

    def column(self, **_):
        return self

    row = split = column

    def label(self, text: str = "", icon: str = "NONE", **_) -> None:
        self.texts.append([text, icon])

    def prop(self, data, name: str, **_) -> None:
        self.properties.append(name)

    def operator(self, *_, **__) -> None:
        """Buttons are of no interest here."""


@case
def networks_and_quality() -> dict:
    """The panel says what runs an engine's networks, and once what of that failed; the quality travels with a take."""
    import bpy

    begin("networks_and_quality")
    drive.pump(lambda: session().requests.networks, what="what the backend can")
    settings, networks = scene().mimaface, session().requests.networks
    said = {"known": dict(networks)}
    networks["demo"] = "denoise by CUDA; CoreML failed and is used no more (no device)"
    for engine in ("demo", "proxy"):
        settings.engine, drawn = engine, Drawn()
        drive.part("ui.panels").draw_generate(drawn, bpy.context)
        icons = [icon for _, icon in drawn.texts if icon not in ("BLANK1", "NONE")]
        said[engine] = [" ".join(text for text, _ in drawn.texts), icons, drawn.properties]
    networks["demo"] = ""
    settings.quality = "draft"
    take = drive.generate()
    manifest = drive.part("core.delivery").read_manifest(drive.part("scene.takes").take_folder(take))
    return {**said, "asked": manifest["settings"]["quality"], "done": take.state}


def main() -> dict:
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    drive.enable()
    base()
    wanted = os.environ.get("MIMAFACE_CASES", "").split()
    said = {}
    for function in CASES:
        if not wanted or function.__name__ in wanted:
            try:
                said[function.__name__] = function()
            except Exception as error:
                import traceback

                traceback.print_exc()
                said[function.__name__] = {"error": f"{type(error).__name__}: {error}"}
            print(function.__name__, said[function.__name__], flush=True)
    session().backend.stop()
    return {"version": bpy.app.version_string, "said": said}


drive.run(main)
