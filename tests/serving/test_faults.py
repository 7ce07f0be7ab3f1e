"""What artists' files, other programs and attackers did to the backend: each ended it, or somebody's work, once."""

import contextlib
import io
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
import zmq

from conftest import COLLINS, nod
from mimaface.protocol.arkit import BLENDSHAPE_NAMES
from mimaface.protocol.client import Client
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.connection import Connection
from mimaface.protocol.errors import (
    Cancelled,
    InvalidInput,
    InvalidMessage,
    InvalidMotion,
    MimaFaceError,
    NotReachable,
    Replaced,
    TooMany,
)
from mimaface.serving.strangers import Strangers

from .conftest import Backend, fit, raw, receive, serve, submit, video, wait_for


def motion_file(path: Path, names=BLENDSHAPE_NAMES, meta="{}") -> Path:
    clip = nod(3)
    arrays = {name: getattr(clip, name) for name in ("time", "blendshapes", "head_quat", "head_pos", "gaze", "valid", "confidence")}
    arrays |= {"blendshape_names": np.array(names), "meta": np.array(meta)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            out = io.BytesIO()
            np.lib.format.write_array(out, np.asarray(value), allow_pickle=False)
            archive.writestr(f"{name}.npy", out.getvalue())
    return path


@pytest.mark.parametrize(
    ("names", "meta"),
    [
        (["x" * 300_000, *BLENDSHAPE_NAMES[1:]], "{}"),
        (["bad\ud800name", *BLENDSHAPE_NAMES[1:]], "{}"),
        (BLENDSHAPE_NAMES, '{"warnings": ["\\ud800"]}'),
        (BLENDSHAPE_NAMES, json.dumps({"warnings": ["ä" * 300_000] * 3})),
        (BLENDSHAPE_NAMES, json.dumps({"warnings": [f"column {index} " + "z" * 90 for index in range(5000)]})),
    ],
    ids=["long name", "half a letter in a name", "half a letter", "long warnings", "many warnings"],
)
def test_a_file_whose_words_do_not_fit_into_a_message(shared, tmp_path, names, meta):
    client = shared.client()
    path = motion_file(tmp_path / "odd.motion.npz", names, meta)
    try:
        reply = client.call("track", {"path": str(path)})
        assert reply.fields["frames"] == 3
        assert len(json.dumps(reply.fields["warnings"])) < 256 * 1024
    except InvalidMotion as error:
        assert len(error.message) <= 1000
        assert error.message.startswith("odd.motion.npz")
    assert client.call("capabilities", timeout=10).fields["engines"]


def test_messages_whose_error_would_be_too_large(shared):
    client = shared.client()
    portrait = fit(client)
    with pytest.raises(InvalidInput, match="size must be int") as found:
        client.call("job.submit", {"portrait": portrait, "settings": {"size": "\x01" * 65_535}}, [nod(2).to_bytes()])
    assert len(found.value.message) <= 1000
    with raw(shared.file) as dealer:
        dealer.send_multipart(Codec.encode(Message("hello", {"versions": ["\x01" * 60_000] * 2, "name": "x"}, (), 2)))
        assert dealer.poll(5000)
        reply = Codec.decode(dealer.recv_multipart())
    assert reply.fields["code"] == "version_mismatch"
    assert client.call("capabilities", timeout=10).fields["engines"]


@pytest.mark.parametrize("text", ["\ud800", "x" * 70_000, "ä" * 40_000])
def test_what_cannot_be_sent_is_refused_before(text):
    with pytest.raises(InvalidMessage):
        Codec.encode(Message("track", {"path": text}, (), 1))
    error = MimaFaceError(text * 3, text)
    sent = Codec.encode(Message("error", {"code": error.code, "message": error.message, "hint": error.hint}))
    assert Codec.decode(sent).fields["message"] == error.message


def test_a_client_that_leaves_while_a_video_is_tracked(shared, tmp_path):
    leaving = shared.client()
    path = video(tmp_path / "long.mkv", 400)
    leaving.request("track", {"path": str(path)})
    wait_for(lambda: any(event.kind == "progress" for event in leaving.events()), "the track begins")
    leaving.close()
    client = shared.client()
    job = submit(client, fit(client), nod(2), size=64, seed=77)
    assert receive(client, job)[1].kind == "done"
    assert shared.process.poll() is None


def test_a_track_shares_with_a_render_and_a_preview_and_can_be_cancelled(shared, tmp_path):
    client = shared.client()
    portrait = fit(client)
    tracking = client.request("track", {"path": str(video(tmp_path / "long.mkv", 1500))})
    wait_for(lambda: any(event.kind == "progress" for event in client.events()), "the track begins")
    job = submit(client, portrait, nod(4), size=64, seed=78)
    preview = {"portrait": portrait, "slot": "v", "generation": 1, "settings": {"size": 64}}
    assert client.call("preview", preview, [nod(1).to_bytes()]).fields["width"] == 64
    assert receive(client, job)[1].kind == "done"
    assert not tracking.done(), "both came while it went on"
    number = tracking.number
    assert tracking.cancel()
    with pytest.raises(CancelledError):
        tracking.result(60)
    time.sleep(0.3)
    client.events()
    assert client.call("request.cancel", {"request": number}).fields["state"] == "unknown", "it has ended there, too"
    assert not [event for event in client.events() if event.kind == "progress"]


def test_a_cancelled_request_is_answered(shared, tmp_path):
    with raw(shared.file) as dealer:
        dealer.send_multipart(Codec.encode(Message("track", {"path": str(video(tmp_path / "v.mkv", 800))}, (), 5)))
        dealer.send_multipart(Codec.encode(Message("request.cancel", {"request": 5}, (), 6)))
        answers = {}
        while len(answers) < 2 and dealer.poll(10_000):
            message = Codec.decode(dealer.recv_multipart())
            if message.number:
                answers[message.number] = message
    assert answers[5].fields["code"] == Cancelled.code
    assert answers[6].fields["state"] == "cancelled"


def test_every_one_of_many_requests_is_answered_in_order(shared):
    count = 3000
    with raw(shared.file, 100_000) as dealer:
        for number in range(10, 10 + count):
            dealer.send_multipart(Codec.encode(Message("job.cancel", {"job": "none"}, (), number)))
        other = shared.client()
        wait_for(lambda: other.call("capabilities").fields, "another client is answered meanwhile")
        numbers = []
        while len(numbers) < count and dealer.poll(10_000):
            numbers.append(Codec.decode(dealer.recv_multipart()).number)
    assert numbers == list(range(10, 10 + count))


def test_replaced_previews_are_told_so_and_too_many_requests_refused(shared):
    client = shared.client()
    portrait, motion = fit(client), nod(1).to_bytes()
    pending = [
        client.request("preview", {"portrait": portrait, "slot": "v", "generation": n, "settings": {"size": 256}}, [motion])
        for n in range(80)
    ]
    assert pending[-1].result(30).fields["generation"] == 79
    ends = [future.exception(30) for future in pending]
    assert all(error is None or isinstance(error, Replaced) for error in ends)
    assert any(isinstance(error, Replaced) for error in ends)
    waiting = [client.request("portrait.fit", {}, [COLLINS.read_bytes()]) for _ in range(300)]
    assert isinstance(waiting[-1].exception(30), TooMany)
    for future in waiting:
        future.cancel()
    assert client.call("capabilities").fields["engines"]


def test_the_list_of_jobs_always_fits(shared):
    client = shared.client()
    portrait = fit(client)
    for index in range(6):
        fields = {"portrait": portrait, "settings": {"engine": "proxy", "size": 64, "seed": index}, "name": "ä" * 30_000}
        last = client.call("job.submit", fields, [nod(1).to_bytes()]).fields["job"]
    jobs = client.call("job.list").fields["jobs"]
    assert last in [job["job"] for job in jobs]
    assert all(len(job["name"]) <= 210 for job in jobs)


def test_silent_connections_cost_the_job_no_handles(tmp_path):
    limit = 256
    backend = Backend(tmp_path / "root", handles=limit)
    held = []
    try:
        client = backend.client()
        portrait = fit(client)
        job = submit(client, portrait, nod(3000), size=64)
        connection = Connection.read(backend.file)
        for _ in range(4):
            for _ in range(limit):
                try:
                    held.append(socket.create_connection((connection.host, connection.port), 1))
                except OSError:
                    break
            assert client.call("job.status", {"job": job}).fields["state"] in ("queued", "running")
        if sys.platform == "linux":
            handles = Path(f"/proc/{backend.process.pid}/fd")
            wait_for(lambda: len(list(handles.iterdir())) < limit * 3 // 4, "most are ended at once")
        assert backend.client("late").call("capabilities").fields["engines"], "our key still opens"
        before = client.call("job.status", {"job": job}).fields["done"]
        wait_for(lambda: client.call("job.status", {"job": job}).fields["done"] > before + 3, "the job goes on")
        client.call("job.cancel", {"job": job})
    finally:
        for stranger in held:
            stranger.close()
        backend.close()


def test_the_watch_of_strangers_ends_with_its_monitor():
    """It was waited for in vain, two seconds whenever a backend ended."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind("tcp://127.0.0.1:*")
    before = set(threading.enumerate())
    strangers = Strangers(router)
    (thread,) = set(threading.enumerate()) - before
    router.disable_monitor()
    strangers.join()
    assert not thread.is_alive()
    router.close(0)
    context.term()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_too_few_handles_are_a_sentence(tmp_path):
    done = subprocess.run(
        serve(tmp_path), capture_output=True, text=True, timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (28, 28))
    )
    assert done.returncode == 2
    assert "files open at once" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "change",
    [{"server_key": "abc"}, {"client_key": "ü" * 40}, {"pid": 0}, {"pid": -1}, {"pid": "1"}, {"pid": 2**70}, {"port": "x"}, {"port": 0},
     {"port": 2**20}, {"host": 5}, {"host": "a b"}, {"pid": True}],
    ids=str,
)  # fmt: skip
def test_odd_connection_files_are_a_sentence_at_once(shared, tmp_path, change):
    values = json.loads(shared.file.read_text())
    (tmp_path / "odd.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(NotReachable, match="damaged"):
        Client(tmp_path / "odd.json")


def test_a_process_of_the_same_number_is_not_taken_for_the_backend(shared, tmp_path):
    values = json.loads(shared.file.read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "old.json").write_text(json.dumps({**values, "port": port, "pid": os.getpid()}))
    client = Client(tmp_path / "old.json")
    with pytest.raises(NotReachable, match="no backend answers"):
        client.call("capabilities")
    client.close()


def stays_silent(connection):
    connection.recv(1)  # until the other end gives up
    while connection.recv(4096):
        pass


def echoes(connection):
    while content := connection.recv(4096):
        connection.sendall(content)


@pytest.mark.parametrize(
    "behave",
    [stays_silent, lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n") or stays_silent(connection), echoes, lambda _: None],
    ids=["silent", "another protocol", "echo", "hangs up"],
)
def test_a_stranger_on_the_backend_s_port_is_known_before_the_greeting_is_given_up(shared, tmp_path, behave):
    def serve_strangely():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    behave(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        strangers = [threading.Thread(target=serve_strangely, daemon=True) for _ in range(4)]
        for stranger in strangers:
            stranger.start()
        values = {**json.loads(shared.file.read_text()), "port": listener.getsockname()[1]}
        (tmp_path / "old.json").write_text(json.dumps(values))
        client = Client(tmp_path / "old.json")
        with pytest.raises(NotReachable, match="no backend answers"):
            client.call("capabilities")
        client.close()
        listener.shutdown(socket.SHUT_RDWR)


def test_it_stays_for_a_second_blender_and_ends_after_it(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    running = Backend(tmp_path / "root", "--parent-pid", str(parent.pid))
    try:
        second = running.client("second")
        parent.kill()
        parent.wait()
        time.sleep(2.0)
        assert second.call("capabilities").fields["engines"]
        second.close()
        wait_for(lambda: running.process.poll() is not None, "the backend ends")
        assert running.process.returncode == 0
    finally:
        parent.kill()
        running.close()
