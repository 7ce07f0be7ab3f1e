"""Promises of the backend, with real processes, sockets and files."""

import hashlib
import io
import socket
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import zmq
from PIL import Image

from conftest import COLLINS, motion_of, nod
from mimaface.animation import animate
from mimaface.marking.report import inspect
from mimaface.marking.watermark import Watermark
from mimaface.pictures import encode_png
from mimaface.protocol import client as client_module
from mimaface.protocol.arkit import BLENDSHAPE_INDEX
from mimaface.protocol.client import Client
from mimaface.protocol.codec import Codec, Message
from mimaface.protocol.connection import Connection
from mimaface.protocol.errors import (
    InvalidImage,
    InvalidInput,
    InvalidMessage,
    InvalidMotion,
    NoFaceFound,
    NotReachable,
    Replaced,
    UnknownJob,
    VersionMismatch,
)
from mimaface.protocol.motion import MotionClip
from mimaface.protocol.settings import RenderSettings
from mimaface.protocol.visemes import text_grid
from mimaface.reprojection.crops import face_box
from mimaface.serving.home import last_of_log

from .conftest import Backend, collect, fit, receive, serve, submit, video, wait_for

GRID = text_grid([("sil", 0.0, 1.0), ("aa", 0.25, 1.0), ("sil", 0.6, 1.0)], 1.0)


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_a_job_from_picture_to_frames(shared):
    client = shared.client()
    engines = client.call("capabilities").fields["engines"]
    assert [engine["name"] for engine in engines if engine["works"]] == ["demo", "proxy"]
    portrait = fit(client)
    job = submit(client, portrait, nod(6))
    frames, end = receive(client, job)
    assert sorted(frames) == list(range(6))
    assert end.kind == "done"
    assert picture(frames[0]).shape == (192, 192, 3)
    assert all(frames[index] != frames[index + 1] for index in range(5))
    database = sqlite3.connect(shared.root / "jobs.sqlite")
    stored = database.execute("SELECT number, sha256 FROM frames WHERE job=? ORDER BY number", (job,)).fetchall()
    assert stored == [(index, hashlib.sha256(frames[index]).hexdigest()) for index in range(6)]
    again = client.call(
        "job.submit", {"portrait": portrait, "settings": {"engine": "proxy", "size": 192}, "name": "x"}, [nod(6).to_bytes()]
    ).fields
    assert (again["job"], again["state"], again["done"]) == (job, "done", 6), "the same request is the same job"
    assert [listed["job"] for listed in client.call("job.list").fields["jobs"]].count(job) == 1


def test_consent_is_kept_with_the_portrait_and_told_by_its_frames(shared, tmp_path):
    client = shared.client()
    fields = {"portrait": fit(client), "settings": {"engine": "proxy", "size": 64}, "name": "asked"}
    with pytest.raises(InvalidInput, match="maybe"):
        client.call("job.submit", fields | {"consent": "maybe"}, [nod(1).to_bytes()])
    for given in ({"consent": "given"}, {}):  # the second leaves what was said
        job = client.call("job.submit", fields | given, [nod(1).to_bytes()]).fields["job"]
        path = tmp_path / "frame.png"
        plain, sent = receive(client, job)[0][0], []
        for _ in range(2):
            client.call("job.attach", {"job": job, "from_frame": 0, "credit": 8, "credentials": True})
            sent.append(collect(client, job)[0][0])
        assert len({plain, *sent}) == 3, "only who asks for them gets credentials, which differ"
        assert len({Image.open(io.BytesIO(content)).tobytes() for content in (plain, *sent)}) == 1, "of one picture"
        path.write_bytes(sent[0])
        assert {finding.what: finding.words for finding in inspect(path)}["consent"] == "the person in the photograph agreed"


def test_the_end_of_the_log_is_sent(shared, tmp_path):
    found = shared.client().call("log.tail", {"lines": 1}).fields["text"]
    assert len(found.splitlines()) == 1 and found in (shared.root / "backend.log").read_text()
    assert last_of_log(tmp_path, 2) == "", "no log yet"
    (tmp_path / "backend.log").write_text("first\n" + "x" * 20_000)
    assert last_of_log(tmp_path, 2) == "x" * 15_000


def jobs(client: Client) -> set[str]:
    return {job["job"] for job in client.call("job.list").fields["jobs"]}


def test_errors_come_back_as_themselves(shared):
    client = shared.client()
    portrait = fit(client)
    before = jobs(client)
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)).save(noise, "PNG")
    for kind, fields, parts, error in (
        ("portrait.fit", {}, [b"text"], InvalidImage),
        ("portrait.fit", {}, [noise.getvalue()], NoFaceFound),
        ("portrait.fit", {"face": 4}, [COLLINS.read_bytes()], NoFaceFound),
        ("job.status", {"job": "nonsense"}, [], UnknownJob),
        ("job.cancel", {"job": "nonsense"}, [], UnknownJob),
        ("job.attach", {"job": "../../etc", "from_frame": 0, "credit": 1}, [], UnknownJob),
        ("job.submit", {"portrait": "../x-0", "settings": {}}, [nod(2).to_bytes()], UnknownJob),
        ("job.submit", {"portrait": portrait, "settings": {"engine": "magic"}}, [nod(2).to_bytes()], InvalidInput),
        ("job.submit", {"portrait": portrait, "settings": {"size": "large"}}, [nod(2).to_bytes()], InvalidInput),
        ("job.submit", {"portrait": portrait, "settings": {"quality": "best"}}, [nod(2).to_bytes()], InvalidInput),
        ("job.submit", {"portrait": portrait, "settings": {}}, [b"not motion"], InvalidInput),
        ("track", {"path": "/absent.csv"}, [], InvalidInput),
        ("track", {"path": __file__}, [], InvalidInput),
        ("track", {"path": str(COLLINS), "options": {"smoothing": 7}}, [], InvalidInput),
        ("track", {"path": str(COLLINS), "options": {"absolute": True}}, [], InvalidInput),
        ("track", {"path": str(COLLINS), "portrait": "0-0"}, [], UnknownJob),
        ("preview", {"portrait": portrait, "slot": "a", "generation": 1}, [b"x"], InvalidInput),
        ("speech", {}, [b"\xff"], InvalidMotion),
        ("speech", {}, [b"not phones"], InvalidMotion),
        ("speech", {"options": {"delay": 99.0}}, [GRID.encode()], InvalidInput),
    ):
        with pytest.raises(error):
            client.call(kind, fields, parts)
    assert jobs(client) == before, "nothing was accepted"
    with pytest.raises(InvalidMessage):
        client.call("job.status", {})
    assert client.call("capabilities").fields, "and it still answers"


def test_visemes_become_a_motion(shared):
    reply = shared.client().call("speech", {"options": {"rate": 50, "delay": 0.1}}, [GRID.encode()])
    clip = MotionClip.from_bytes(reply.parts[0], "reply")
    assert reply.fields["frames"] == len(clip) == 50 and clip.time[1] == 0.02
    opened = clip.time[clip.blendshapes[:, BLENDSHAPE_INDEX["jawOpen"]] > 0.2]
    assert 0.3 < opened.min() < 0.4 < 0.65 < opened.max() < 0.8, "from 0.25 to 0.6 s, and a tenth later"


def test_progress_says_what_the_backend_is_at(shared, tmp_path):
    client, path = shared.client(), video(tmp_path / "told.mkv", 6)
    client.call("track", {"path": str(path)})
    told = [event.fields for event in client.events() if event.kind == "progress"]
    assert {fields["subject"] for fields in told} == {str(path)}
    assert [fields["done"] for fields in told if (fields["stage"], fields["total"]) == ("reading", 6)] == [1, 2, 3, 4, 5, 6]
    assert [fields["done"] for fields in told if (fields["stage"], fields["total"]) == ("following", 6)] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("engine", "count", "limit"), [("proxy", 40, 7), ("demo", 16, 13)])  # in the second clip
def test_kill_and_restart_continues_to_the_same_bytes(backend, portrait, engine, count, limit):
    motion, stages = nod(count), []
    client = backend.client()
    job = submit(client, fit(client), motion, engine=engine)
    before, _ = receive(client, job, limit=limit, stages=stages)
    if engine == "demo":
        assert "loading" in stages, "seconds without a frame are explained"
        assert stages.index("loading") < len(stages) - 1 - stages[::-1].index("rendering"), "then it renders"
    backend.kill()
    wait_for(lambda: client.state == "lost", "the client notices")
    with pytest.raises(NotReachable):
        client.call("capabilities")
    backend.start()
    after, end = receive(backend.client(), job, from_frame=max(before) + 1)
    assert end.kind == "done"
    assert sorted(before | after) == list(range(count))
    assert not before.keys() & after.keys()
    mark = Watermark.of(portrait.sha256, face_box(portrait, 192, "photo")).mark
    frames = animate(portrait, motion, RenderSettings(engine=engine, size=192))
    whole = {frame.index: encode_png(frame.image if frame.still else mark(frame.image)) for frame in frames}
    assert before | after == whole, "as in one process without a backend"


def test_a_job_goes_on_without_its_client(shared):
    client = shared.client()
    job = submit(client, fit(client), nod(30), size=96, seed=10)
    client.close()
    other = shared.client()
    wait_for(lambda: other.call("job.status", {"job": job}).fields["state"] == "done", "the job is done")
    frames, end = receive(other, job, from_frame=25)
    assert (sorted(frames), end.kind) == ([25, 26, 27, 28, 29], "done")


def test_a_reader_that_stops_gets_everything_later(shared):
    client = shared.client()
    job = submit(client, fit(client), nod(25), size=96, seed=11)
    client.call("job.attach", {"job": job, "from_frame": 0, "credit": 8})
    wait_for(lambda: client.call("job.status", {"job": job}).fields["state"] == "done", "the job is done")
    assert frames_until_quiet(client, 8) == list(range(8)), "no more than the credit"
    client.grant(job, 3)
    assert frames_until_quiet(client, 3) == [8, 9, 10]


def frames_until_quiet(client: Client, count: int) -> list[int]:
    """Numbers of the frames that come: at least ``count``, and all that come while the backend goes on answering."""
    numbers: list[int] = []

    def more() -> int:
        numbers.extend(event.fields["index"] for event in client.events() if event.kind == "frame")
        return len(numbers)

    wait_for(lambda: more() >= count, "frames come")
    for _ in range(20):
        client.call("job.list")
        more()
    return numbers


def test_cancel_is_idempotent_and_resume_continues(shared):
    client = shared.client()
    portrait = fit(client)
    job = submit(client, portrait, nod(300), size=96, seed=12)
    receive(client, job, limit=3)
    for _ in range(300):
        assert client.call("job.cancel", {"job": job}).fields["state"] == "cancelled"
    done = client.call("job.status", {"job": job}).fields["done"]
    receive(client, submit(client, portrait, nod(10), size=96, seed=13))
    assert client.call("job.status", {"job": job}).fields["done"] - done <= 1, "it stopped, while another one went on"
    assert 0 < done < 300
    assert client.call("job.resume", {"job": job}).fields["state"] in ("queued", "running")
    wait_for(lambda: client.call("job.status", {"job": job}).fields["done"] > done + 3, "it goes on")
    client.call("job.cancel", {"job": job})


def test_a_damaged_frame_is_made_again(shared):
    client = shared.client()
    job = submit(client, fit(client), nod(6), size=96, seed=14)
    whole, _ = receive(client, job)
    path = shared.root / "jobs" / job / "000002.png"
    path.write_bytes(path.read_bytes()[:-9] + b"corrupted")
    (shared.root / "jobs" / job / "000004.png").unlink()
    again, end = receive(client, job)
    assert end.kind == "done"
    assert again == whole


def test_previews_the_latest_wins_and_renders_are_not_starved(shared):
    client = shared.client()
    portrait = fit(client)
    job = submit(client, portrait, nod(200), size=128, seed=15)
    client.call("job.attach", {"job": job, "from_frame": 0, "credit": 0})
    pending = []
    for generation in range(60):
        fields = {"portrait": portrait, "slot": "view", "generation": generation, "settings": {"size": 256}}
        pending.append(client.request("preview", fields, [motion_of({"jawOpen": generation / 60}).to_bytes()], timeout=60))
    last = pending[-1].result(60)
    assert last.fields["generation"] == 59
    assert len(last.parts[0]) == last.fields["width"] * last.fields["height"] * 3
    failures = [future.exception(60) for future in pending]
    assert any(isinstance(failure, Replaced) for failure in failures), "poses that nobody waits for cost no render"
    assert all(failure is None or isinstance(failure, Replaced) for failure in failures), failures

    def rendered() -> bool:
        client.call("preview", {"portrait": portrait, "slot": "view", "generation": 60, "settings": {"size": 256}}, [nod(1).to_bytes()])
        return client.call("job.status", {"job": job}).fields["done"] > 0

    wait_for(rendered, "the render gets its share while one preview follows the other")
    client.call("job.cancel", {"job": job})


def test_a_preview_is_what_a_take_would_show(shared):
    client = shared.client()
    portrait, smile = fit(client), motion_of({"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0})
    for engine in ("proxy", "demo"):
        settings = {"engine": engine, "size": 128}
        frames, _ = receive(client, submit(client, portrait, smile, seed=0, watermark=False, **settings))
        asked = {"portrait": portrait, "slot": "view", "generation": 7, "settings": settings}
        shown = client.call("preview", asked, [smile.to_bytes()])
        assert shown.fields == {"generation": 7, "width": 128, "height": 128}
        assert shown.parts[0] == picture(frames[0]).tobytes(), engine


def test_a_flood_of_previews_ends_with_the_last(shared):
    client = shared.client()
    asked = {"portrait": fit(client), "slot": "flood", "settings": {"size": 64}}
    motions = [motion_of({"jawOpen": value}).to_bytes() for value in (0.0, 1.0)]
    pending = [client.request("preview", asked | {"generation": n}, [motions[n == 199]], timeout=20) for n in range(200)]
    last = pending[-1].result(20)
    alone = client.call("preview", asked | {"generation": 0}, [motions[1]])
    assert (last.fields["generation"], last.parts[0]) == (199, alone.parts[0])


def test_two_clients_share(shared):
    a, b = shared.client("a"), shared.client("b")
    portrait = fit(a)
    first = submit(a, portrait, nod(120), seed=16)
    second = submit(b, portrait, nod(20), seed=17)
    frames, end = receive(b, second)
    assert end.kind == "done"
    assert len(frames) == 20
    assert a.call("job.status", {"job": first}).fields["state"] == "running", "the short job did not wait for the long one"
    a.call("job.cancel", {"job": first})


def test_strangers_are_not_parsed(shared):
    connection = Connection.read(shared.file)
    assert (shared.file.stat().st_mode & 0o777) == 0o600
    with socket.create_connection((connection.host, connection.port), 5) as raw:
        raw.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nevil")
        raw.settimeout(1)
        try:
            reply = raw.recv(4096)
        except (TimeoutError, ConnectionResetError):
            reply = b""
        assert b"hello" not in reply
    context = zmq.Context()
    for secure in (False, True):
        stranger = context.socket(zmq.DEALER)
        stranger.setsockopt(zmq.LINGER, 0)
        if secure:
            stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
            stranger.curve_serverkey = connection.server_key.encode()
        stranger.connect(connection.endpoint)
        stranger.send_multipart(Codec.encode(Message("hello", {"versions": [1], "name": "stranger"})))
        assert stranger.poll(700) == 0, "no answer without the right key"
        stranger.close()
    context.term()
    assert shared.client().call("capabilities").fields


def test_a_wrong_key_is_a_sentence(shared, tmp_path):
    connection = Connection.read(shared.file)
    public, secret = zmq.curve_keypair()
    wrong = Connection(**{**vars(connection), "client_key": public.decode(), "client_secret": secret.decode()})
    wrong.write(tmp_path / "wrong.json")
    client = Client(tmp_path / "wrong.json")
    wait_for(lambda: client.state == "lost", "it is refused")
    assert "refused" in client.problem or "does not answer" in client.problem
    client.close()


def test_versions_that_do_not_meet_are_a_sentence(shared, monkeypatch):
    monkeypatch.setattr(client_module, "OLDEST_VERSION", 98)
    monkeypatch.setattr(client_module, "VERSION", 99)
    client = Client(shared.file)
    future = client.request("capabilities")
    with pytest.raises((VersionMismatch, NotReachable), match="protocol"):  # not the sentence of a backend that stays silent
        future.result(20)
    client.close()


def test_no_backend_is_said_at_once(tmp_path, backend):
    with pytest.raises(NotReachable, match="no backend is running"):
        Client(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(NotReachable, match="damaged"):
        Client(tmp_path / "broken.json")
    backend.kill()
    with pytest.raises(NotReachable, match="has ended"):  # by its process, not because nothing answers
        Client(backend.file)


def test_it_ends_with_its_parent_but_finishes_its_jobs(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    running = Backend(tmp_path / "root", "--parent-pid", str(parent.pid))
    try:
        client = running.client()
        job = submit(client, fit(client), nod(60))
        parent.kill()
        parent.wait()
        client.close()
        wait_for(lambda: running.process.poll() is not None, "the backend ends")
        assert running.process.returncode == 0
        row = sqlite3.connect(running.root / "jobs.sqlite").execute("SELECT state FROM jobs WHERE id=?", (job,)).fetchone()
        assert row == ("done",)
        assert len(list((running.root / "jobs" / job).glob("*.png"))) == 60
        assert not running.file.exists()
    finally:
        parent.kill()
        running.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--host", "0.0.0.0"), "reached from other machines"), (("--root", "{blocked}/root"), "cannot be used")],
)
def test_it_does_not_start_where_it_should_not(tmp_path, arguments, words):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file")
    command = serve(tmp_path / "root", file=tmp_path / "c.json")
    done = subprocess.run(
        [*command, *(item.format(blocked=blocked) for item in arguments)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
