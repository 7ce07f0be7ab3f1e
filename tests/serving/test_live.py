"""The add-on's previews (``core/previews.py``, which needs no Blender) against a real backend: the newest pose wins, and nothing is waited for."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from conftest import motion_of
from mimaface_addon.core import previews
from mimaface_addon.core.previews import LINEAR, Picture, Pose, Previews
from mimaface_addon.protocol.client import Client
from mimaface_addon.protocol.motion import MotionClip

from .conftest import fit


def pose_of(portrait: str, jaw: float, **changes: object) -> Pose:
    motion = MotionClip.from_bytes(motion_of({"jawOpen": jaw}).to_bytes())
    return replace(Pose(portrait, [motion], 128, "proxy", 128, time.monotonic()), **changes)


def picture(shown: Previews, wanted: Callable[[Picture], bool] = lambda _: True, seconds: float = 120.0) -> Picture:
    """The first picture that is wanted; taken and rested as the add-on's timer does; the networks are loaded for the first generated one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        shown.rest()
        found = shown.take()
        if found is not None and wanted(found):
            return found
        time.sleep(0.002)
    raise AssertionError(f"no picture came: {shown.problem}")


def asked_for(client: Client, pose: Pose, engine: str, size: int) -> np.ndarray:
    fields = {"portrait": pose.portrait, "slot": "direct", "generation": 0, "settings": {"engine": engine, "size": size}}
    reply = client.call("preview", fields, [pose.motions[0].to_bytes()])
    rows = np.frombuffer(reply.parts[0], np.uint8).reshape(reply.fields["height"], reply.fields["width"], 3)
    return LINEAR[rows[::-1]]


def counted(client: Client, monkeypatch) -> list[int]:
    """The number of requests under way whenever one is sent."""
    under_way, seen, request = [], [], client.request

    def counting(*arguments: object, **options: object):
        under_way[:] = [future for future in under_way if not future.done()]
        future = request(*arguments, **options)
        under_way.append(future)
        seen.append(len(under_way))
        return future

    monkeypatch.setattr(client, "request", counting)
    return seen


def test_of_a_thousand_poses_a_second_the_last_is_shown(shared, monkeypatch):
    client, shown = Client(shared.file), Previews()
    portrait = fit(shared.client())
    seen = counted(client, monkeypatch)
    last = pose_of(portrait, 1.0)
    for index in range(1000):
        shown.show(client, last if index == 999 else replace(last, motions=pose_of(portrait, 0.3).motions))
    found = picture(shown, lambda item: item.generation == 1000)
    assert max(seen) <= 2
    assert len(seen) < 500, "most were never asked for"
    assert not found.fine and np.array_equal(found.pixels[..., :3], asked_for(client, last, "proxy", 128))
    assert not shown.busy and shown.take() is None
    client.close()


def test_when_the_hand_rests_the_pose_is_generated_at_the_size_that_is_seen(shared):
    client, shown = Client(shared.file), Previews()
    pose = pose_of(fit(shared.client()), 0.6, engine="demo", fine=192)
    shown.show(client, pose)
    first = picture(shown)
    assert (first.fine, first.engine, first.pixels.shape) == (False, "proxy", (128, 128, 4)) and shown.busy
    second = picture(shown)
    assert (second.fine, second.engine, second.generation) == (True, "demo", first.generation)
    assert np.array_equal(second.pixels[..., :3], asked_for(client, pose, "demo", 192))
    assert not shown.busy, "once"
    client.close()


def test_a_moving_hand_ends_what_is_generated(shared, monkeypatch):
    client, shown = Client(shared.file), Previews()
    pose = pose_of(fit(shared.client()), 0.6, engine="demo")
    monkeypatch.setattr(previews, "REST", 0.0)
    shown.show(client, pose)
    picture(shown)
    shown.rest()
    shown.show(client, pose_of(pose.portrait, 0.2))
    assert (picture(shown).generation, picture_is_last(shown)) == (2, True)
    client.close()


def picture_is_last(shown: Previews) -> bool:
    shown.rest()
    return not shown.busy and not shown.problem


def test_a_backend_that_does_not_know_the_portrait_says_so_and_the_next_pose_is_asked_for(shared):
    client, shown = Client(shared.file), Previews()
    portrait = fit(shared.client())
    shown.show(client, pose_of("0" * 64 + "-0", 0.5))
    deadline = time.monotonic() + 20
    while not shown.code and time.monotonic() < deadline:
        time.sleep(0.002)
    assert shown.code == "unknown_job" and not shown.busy
    shown.show(client, pose_of(portrait, 0.5))
    assert picture(shown).generation == 2 and not shown.problem
    client.close()


def test_a_picture_that_takes_too_long_is_asked_for_again_by_itself(shared, monkeypatch):
    client, shown = Client(shared.file), Previews()
    pose = pose_of(fit(shared.client()), 0.5)
    request, limits = client.request, iter([0.0, 0.0])
    monkeypatch.setattr(client, "request", lambda *arguments, timeout: request(*arguments, timeout=next(limits, timeout)))
    shown.show(client, pose)
    assert picture(shown).generation == 1 and not shown.problem
    assert next(limits, None) is None, "twice without an answer in time"
    client.close()


def test_a_connection_that_ends_keeps_nobody_waiting(shared):
    client, shown = Client(shared.file), Previews()
    pose = pose_of(fit(shared.client()), 0.5)
    shown.show(client, pose)
    client.close()
    shown.show(client, pose)
    assert shown.code == "not_reachable" and not shown.busy
    again = Client(shared.file)
    shown.show(again, pose)
    assert picture(shown).generation == 3 and not shown.problem
    shown.show(again, pose)
    shown.forget()
    assert not shown.busy and shown.take() is None and shown.waited == 0
    again.close()


def test_a_picture_that_is_awaited_when_the_connection_is_closed_is_not_asked_for_again(shared, monkeypatch):
    client, shown = Client(shared.file), Previews()
    portrait = fit(shared.client())
    seen = counted(client, monkeypatch)
    for jaw in (0.2, 0.4):
        shown.show(client, pose_of(portrait, jaw))
    client.close()
    assert client.state == "lost" and len(seen) <= 2 and not shown.busy
