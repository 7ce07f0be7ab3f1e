"""Real backends that meet, are killed, or find their files damaged: one serves a folder, and nothing is lost or different."""

import os
import subprocess
from functools import partial

import pytest

from conftest import HOPPER, nod
from mimaface.protocol.connection import Connection
from mimaface.protocol.errors import UnknownJob

from .conftest import Backend, fit, receive, serve, submit, wait_for


def start(root, file=None):
    """Another ``mimaface serve``, without waiting for it."""
    return subprocess.Popen(serve(root, file=file), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def refused(process):
    """The words with which a start is refused."""
    _, words = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Traceback" not in words
    return words


@pytest.mark.parametrize("other_folder", [False, True])
def test_a_second_backend_says_which_process_is_the_first_and_harms_nothing(tmp_path, backend, other_folder):
    client = backend.client()
    job = submit(client, fit(client), nod(30), size=96)
    second = start(tmp_path / "other", backend.file) if other_folder else start(backend.root)
    words = refused(second)
    assert f"is in use by a backend that runs already, process {backend.process.pid}" in words
    assert "use that one, or end it first" in words
    assert Connection.read(backend.file).pid == backend.process.pid
    frames, end = receive(client, job)
    assert (len(frames), end.kind) == (30, "done")


def test_of_two_starts_at_one_moment_one_wins_and_goes_on_with_the_job(backend):
    client = backend.client()
    job = submit(client, fit(client), nod(60), size=96)
    whole, _ = receive(client, job, limit=3)
    backend.kill()
    backend.file.unlink()
    both = [start(backend.root), start(backend.root)]
    try:
        wait_for(lambda: any(process.poll() is not None for process in both), "one gives up")
        loser, winner = sorted(both, key=lambda process: process.poll() is None)
        assert str(winner.pid) in refused(loser)
        assert Connection.read(backend.file).pid == winner.pid
        frames, end = receive(backend.client(), job)
        assert (sorted(frames), end.kind) == (list(range(60)), "done")
        assert all(frames[index] == content for index, content in whole.items())
    finally:
        for process in both:
            process.kill()
            process.communicate()


def test_a_killed_backend_leaves_no_lock_and_another_s_connection_file_is_left_alone(tmp_path, backend):
    backend.kill()
    backend.start()
    connection = Connection.read(backend.file)
    others = Connection(**{**vars(connection), "server_key": "x" * 40})
    others.write(backend.file)
    backend.process.terminate()
    assert backend.process.wait(20) == 0
    assert backend.file.exists(), "it belongs to another one by now"


def test_a_photograph_damaged_between_kill_and_resume_never_shows(backend):
    """A JPEG can be read with a bit flipped: its frames were silently different."""
    client = backend.client()
    portrait = client.call("portrait.fit", {}, [HOPPER.read_bytes()]).fields["portrait"]
    job = submit(client, portrait, nod(12), size=96)
    whole, _ = receive(client, job)
    backend.kill()
    path = backend.root / "portraits" / portrait.partition("-")[0]
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)
    for index in range(4, 12):
        (backend.root / "jobs" / job / f"{index:06d}.png").unlink()
    backend.start()
    client = backend.client()
    frames, end = receive(client, job)
    assert (end.kind, end.fields["hint"]) == ("failed", "load the portrait again")
    assert frames == {index: whole[index] for index in range(4)}
    with pytest.raises(UnknownJob, match="damaged – load the portrait again"):
        submit(client, portrait, nod(12), size=96)
    assert client.call("portrait.fit", {}, [HOPPER.read_bytes()]).fields["portrait"] == portrait
    assert submit(client, portrait, nod(12), size=96) == job
    frames, end = receive(client, job)
    assert end.kind == "done"
    assert frames == whole


def test_a_job_that_kills_the_backend_twice_waits_and_others_go_on(backend):
    """As the system does to a process that takes too much memory."""
    client = backend.client()
    portrait = fit(client)
    poison = submit(client, portrait, nod(4), size=4096)
    for _ in range(2):
        wait_for(partial(is_running, client, poison), "it is begun")
        backend.kill()
        backend.start()
        client = backend.client()
    told = client.call("job.status", {"job": poison}).fields
    assert (told["state"], told["done"]) == ("paused", 0)
    assert told["message"] == "the backend ended 2 times while it made frame 0 of this"
    assert told["hint"].startswith("resume it to try once more")
    frames, end = receive(client, submit(client, portrait, nod(5), size=64))
    assert (len(frames), end.kind) == (5, "done")
    assert client.call("job.resume", {"job": poison}).fields["state"] in ("queued", "running")
    client.call("job.cancel", {"job": poison})


def is_running(client, job):
    return client.call("job.status", {"job": job}).fields["state"] == "running"


@pytest.mark.skipif(os.name == "nt", reason="a user's folder is private there")
def test_all_that_a_backend_writes_is_its_owner_s_alone(tmp_path):
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    running = Backend(root)
    try:
        client = running.client()
        receive(client, submit(client, fit(client), nod(2), size=64))
        for path in (root, *root.rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path
    finally:
        running.close()
