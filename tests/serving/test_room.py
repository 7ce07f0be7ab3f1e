"""Without disk space, memory or file handles a job pauses, says so, and goes on by itself when there is some."""

import io
import resource
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from conftest import HOPPER, nod
from mimaface.protocol.errors import DiskFull, OutOfResources
from mimaface.protocol.settings import RenderSettings
from mimaface.serving import room
from mimaface.serving.jobs import Job
from mimaface.serving.room import Room

from .conftest import Backend, collect, fill, fit, receive, submit, wait_for

BY_ITSELF = "it continues by itself when there is room"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="small disks and limits of a running process as Linux has them")


def state(client, job):
    return client.call("job.status", {"job": job}).fields


def is_in(client, job, wanted):
    return state(client, job)["state"] == wanted


@pytest.fixture
def disk(small_disk):
    """A backend on a disk of 16 MB, and a portrait there."""
    running = Backend(small_disk(16))
    client = running.client()
    yield running, client, fit(client)
    running.close()


@pytest.mark.parametrize("left", [0, 65536])
def test_another_program_fills_the_disk_and_the_frames_go_on_to_the_client_that_stays(disk, left):
    running, client, portrait = disk
    larger = io.BytesIO()  # than what is left
    Image.open(HOPPER).save(larger, "PNG")
    job = submit(client, portrait, nod(60), size=128)
    before, _ = receive(client, job, limit=5)
    filler = fill(running.root, left)
    more, end = collect(client, job)
    assert (end.kind, end.fields["code"], end.fields["hint"]) == ("failed", "disk_full", f"free some space: {BY_ITSELF}")
    assert "bytes left" in end.fields["message"] and "frames to come need about" in end.fields["message"]
    assert state(client, job)["state"] == "paused"
    with pytest.raises(DiskFull, match=r"the disk of .* has .* left – free some space, then try again"):
        client.call("portrait.fit", {}, [larger.getvalue()])
    filler.unlink()
    rest, end = collect(client, job)
    assert (end.kind, sorted([*before, *more, *rest])) == ("done", list(range(60))), "each once, and nobody resumed it"
    assert state(client, job)["message"] == state(client, job)["hint"] == ""


def test_its_own_frames_fill_the_disk_and_a_larger_one_is_noticed(small_disk):
    running = Backend(small_disk(3))
    try:
        client = running.client()
        job = submit(client, fit(client), nod(16), size=400)
        frames, end = receive(client, job)
        assert (end.kind, end.fields["code"]) == ("failed", "disk_full")
        told = state(client, job)
        assert (told["state"], told["done"]) == ("paused", len(frames)) and frames
        small_disk(60)
        rest, end = collect(client, job)
        assert (end.kind, sorted([*frames, *rest])) == ("done", list(range(16)))
    finally:
        running.close()


def test_a_job_that_waits_is_cancelled_and_an_orderly_end_does_not_wait(disk):
    running, client, portrait = disk
    jobs = [submit(client, portrait, nod(400), size=128, seed=seed) for seed in (1, 2)]
    receive(client, jobs[0], limit=3)
    filler = fill(running.root, 65536)
    for job in jobs:
        wait_for(partial(is_in, client, job, "paused"), "both pause")
    assert collect(client, jobs[0])[1].fields["code"] == "disk_full"
    assert client.call("job.cancel", {"job": jobs[0]}).fields["state"] == "cancelled"
    assert collect(client, jobs[0])[1].fields["code"] == "cancelled"
    before = state(client, jobs[1])["done"]
    filler.unlink()
    wait_for(lambda: state(client, jobs[1])["done"] > before, "the other one goes on")
    assert state(client, jobs[0])["state"] == "cancelled"
    fill(running.root, 65536)
    wait_for(partial(is_in, client, jobs[1], "paused"), "it pauses again")
    client.call("shutdown")
    assert running.process.wait(20) == 0


def test_a_backend_that_is_started_again_goes_on_with_it_unasked(disk):
    running, client, portrait = disk
    job = submit(client, portrait, nod(60), size=128)
    receive(client, job, limit=3)
    filler = fill(running.root, 65536)
    wait_for(partial(is_in, client, job, "paused"), "it pauses")
    running.kill()
    running.start()
    client = running.client()
    told = state(client, job)
    assert (told["state"], told["hint"]) == ("paused", f"free some space: {BY_ITSELF}")
    filler.unlink()
    wait_for(partial(is_in, client, job, "done"), "it goes on though no client is attached")
    assert len(receive(client, job)[0]) == 60


def test_memory_that_comes_back_lets_the_job_go_on(backend):
    client = backend.client()
    portrait = fit(client)
    used = next(line for line in Path(f"/proc/{backend.process.pid}/status").read_text().splitlines() if line.startswith("VmSize"))
    limit = int(used.split()[1]) * 1024 + (100 << 20)
    resource.prlimit(backend.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    job = submit(client, portrait, nod(6), size=64)
    frames, end = receive(client, job)
    assert (frames, end.kind, end.fields["code"]) == ({}, "failed", "out_of_resources")
    assert "MB of memory" in end.fields["message"] and end.fields["hint"] == f"close other programs: {BY_ITSELF}"
    assert state(client, job)["state"] == "paused"
    assert client.call("capabilities", timeout=10).fields["engines"]
    resource.prlimit(backend.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    frames, end = collect(client, job)
    assert (sorted(frames), end.kind) == (list(range(6)), "done")


def test_file_handles_that_come_back_let_the_job_go_on(backend):
    client = backend.client()
    job = submit(client, fit(client), nod(150), size=64)
    frames, _ = receive(client, job, limit=3)
    resource.prlimit(backend.process.pid, resource.RLIMIT_NOFILE, (12, 4096))
    more, end = collect(client, job)
    assert (end.kind, end.fields["code"]) == ("failed", "out_of_resources")
    assert "too many files open" in end.fields["message"] and end.fields["hint"].endswith(BY_ITSELF)
    resource.prlimit(backend.process.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    rest, end = collect(client, job)
    assert (end.kind, sorted([*frames, *more, *rest])) == ("done", list(range(150)))


# when a look shows no lack


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def paused(code, done=0):
    return Job("a" * 32, "", RenderSettings(), "", 9, "paused", done, code)


def tries(rooms, clock, seconds, done=lambda: 0):
    """When a job is tried within so many seconds whose every try is in vain."""
    found, begun = [], clock[0]
    while clock[0] - begun < seconds:
        clock[0] += 0.05
        for job in rooms.due():
            found.append(clock[0] - begun)
            rooms.begins(job)
            rooms.wait(paused(OutOfResources.code, done()), OutOfResources("no memory on the card"))
    return found


def test_what_a_look_does_not_show_is_tried_more_and_more_rarely(tmp_path, clock):
    rooms = Room(tmp_path)
    rooms.wait(paused(OutOfResources.code), OutOfResources("no memory on the card"))
    found = tries(rooms, clock, 1000)
    pauses = [later - earlier for earlier, later in zip([0.0, *found], found)]
    assert pauses == pytest.approx([4, 8, 16, 32, 64, *[120] * (len(found) - 5)], abs=2.1)
    assert len(found) == 12
    done, getting_on = iter(range(1, 1000)), Room(tmp_path)
    getting_on.wait(paused(OutOfResources.code), OutOfResources("no memory on the card"))
    assert len(tries(getting_on, clock, 100, lambda: next(done))) > 20, "a job that gets on is not held back"


def test_a_lack_that_is_seen_is_looked_at_often_and_the_job_tried_once_it_is_gone(tmp_path, clock, monkeypatch):
    free, looks = [0], []

    class Usage:
        @property
        def free(self):
            looks.append(clock[0])
            return free[0]

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage())
    rooms = Room(tmp_path)
    rooms.wait(paused(DiskFull.code), DiskFull("full", needed=5_000_000))
    assert tries(rooms, clock, 100) == []
    assert len(looks) == pytest.approx(100 / room.LOOK_EVERY, abs=2), "no more often: it costs nothing"
    free[0] = 5_000_000
    assert tries(rooms, clock, 10) == [], "and the database needs some"
    free[0] = 7_000_000
    clock[0] += room.LOOK_EVERY
    assert rooms.due() == ["a" * 32]
    rooms.begins("a" * 32)
    assert rooms.due() == [] and not tries(rooms, clock, 10), "it is tried once"


def test_a_disk_that_is_away_is_waited_for(tmp_path, clock):
    rooms = Room(tmp_path / "absent")
    rooms.wait(paused(DiskFull.code), DiskFull("full"))
    assert tries(rooms, clock, 60) == []
    (tmp_path / "absent").mkdir()
    clock[0] += room.LOOK_EVERY
    assert rooms.due() == ["a" * 32]
