"""The store, whatever happens to its files: damaged, deleted, of an older version, on a full disk, from a process that was killed."""

import hashlib
import json
import os
import random
import shutil
import sqlite3
import sys

import numpy as np
import pytest
import torch

from conftest import COLLINS, nod
from mimaface.pictures import encode_png
from mimaface.protocol.errors import DiskFull, InvalidCheckpoint, InvalidInput, OutOfResources, UnknownJob
from mimaface.protocol.settings import RenderSettings
from mimaface.renderers import registry
from mimaface.serving.store import Store
from mimaface.serving.work import Work
from mimaface.shortage import shortage

PROXY = RenderSettings(engine="proxy", size=64)
MOTION = nod(4).to_bytes()
PICTURES = [encode_png(np.full((8, 8, 3), 40 * index, np.uint8)) for index in range(4)]


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store")
    yield opened
    opened.close()


def filled(store, frames=4):
    """A job with some of its frames."""
    job = store.submit(store.put_portrait(COLLINS.read_bytes()) + "-0", PROXY, "nod", MOTION, 4)
    for number in range(frames):
        store.put_frame(job.id, number, PICTURES[number])
    return store.finish(job.id)


def again(store):
    store.close()
    return Store(store.root)


def flip(path, seed=0):
    """One bit of a file becomes another one."""
    content = bytearray(path.read_bytes())
    content[random.Random(seed).randrange(len(content) // 2, len(content))] ^= 16
    path.write_bytes(content)


def test_a_damaged_portrait_is_refused_until_it_is_sent_again(store):
    name = store.put_portrait(COLLINS.read_bytes())
    flip(store.root / "portraits" / name)
    with pytest.raises(UnknownJob, match=r"damaged – load the portrait again"):
        store.portrait(name)
    assert store.put_portrait(COLLINS.read_bytes()) == name
    assert store.portrait(name) == COLLINS.read_bytes()


@pytest.mark.parametrize("harm", [flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_motion_is_a_sentence_until_the_job_is_submitted_again(store, harm):
    job = filled(store, 2)
    harm(store.root / "jobs" / job.id / "motion.npz")
    with pytest.raises(InvalidInput, match="press Generate"):
        next(Work(store).render(store.job(job.id)))
    assert filled(store, 0).id == job.id
    assert store.motion(job.id) == MOTION


def test_frames_count_from_the_start_without_a_gap(store):
    job = filled(store, 0)
    for number, done in ((0, 1), (2, 1), (3, 1), (1, 4)):
        store.put_frame(job.id, number, PICTURES[number])
        assert store.job(job.id).done == done
    flip(store.root / "jobs" / job.id / "000002.png")
    assert store.frame(job.id, 2) is None
    assert (store.job(job.id).done, store.finish(job.id).state) == (2, "queued")


@pytest.mark.parametrize("harm", [flip, lambda path: path.unlink()])
def test_a_run_mends_frames_of_earlier_runs(store, harm):
    job = store.submit(store.put_portrait(COLLINS.read_bytes()) + "-0", PROXY, "nod", MOTION, 4)
    whole = [step for step in Work(store).render(job) if step is not None]
    assert [index for index, _ in whole] == [0, 1, 2, 3]
    harm(store.root / "jobs" / job.id / "000001.png")
    store.frame(job.id, 1)  # found damaged, as when a client asks for it
    harm(store.root / "jobs" / job.id / "000000.png")
    made = [step for step in Work(store).render(job) if step is not None]
    assert sorted(made) == whole[:2], "only what is damaged, to the byte, found by the run itself or not"
    assert store.finish(job.id).state == "done"


def test_nothing_is_readable_by_others_nor_in_stores_of_older_versions(tmp_path):
    if os.name == "nt":
        pytest.skip("rights are inherited there")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "backend.log").touch()
    store = Store(tmp_path / "store")
    job = filled(store)
    store.memory(job.id)["clip"] = b"latents"
    for _ in range(2):
        for path in (store.root, *store.root.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
            path.chmod(0o755 if path.is_dir() else 0o644)  # as they were
        store = again(store)
    store.close()


def test_a_folder_that_is_deleted_under_a_running_backend_is_made_again(tmp_path):
    """Every photograph was refused from then on: “choose a folder you can write to”."""
    store = Store(tmp_path / "home" / "store")
    filled(store)
    shutil.rmtree(tmp_path / "home")
    job = filled(store)
    assert (job.state, job.done) == ("done", 4)
    assert store.portrait(job.portrait.split("-")[0]) == COLLINS.read_bytes()
    if os.name != "nt":
        assert {path.stat().st_mode & 0o777 for path in store.root.rglob("*") if path.is_dir()} == {0o700}
    store.close()
    later = Store(store.root)
    assert [(found.id, found.done) for found in later.jobs()] == [(job.id, 4)], "restored from its folder"
    later.close()


# the database


def harm_row(column, value):
    def harm(root):
        database = sqlite3.connect(root / "jobs.sqlite")
        database.execute(f"UPDATE jobs SET {column}=?", (value,))
        database.commit()
        database.close()

    return harm


def write_over(content):
    def harm(root):
        (root / "jobs.sqlite").write_bytes(content)

    return harm


def cut(root):
    path = root / "jobs.sqlite"
    path.write_bytes(path.read_bytes()[:5000])


OTHER = json.dumps(RenderSettings(engine="proxy", size=65).to_wire(), sort_keys=True)
DAMAGES = {
    "settings cut": harm_row("settings", '{"size": 64, "engine": "pro'),
    "other settings": harm_row("settings", OTHER),
    "settings no text": harm_row("settings", b"\xff\xfe\x00"),
    "frames": harm_row("frames", 5),
    "frames no number": harm_row("frames", "many"),
    "state": harm_row("state", "rvnning"),
    "done": harm_row("done", 3),
    "created": harm_row("created", "yesterday"),
    "name": harm_row("id", "nobody"),
    "portrait": harm_row("portrait", "x"),
    "no database": write_over(b"not a database, but long enough to be looked at" * 50),
    "empty": write_over(b""),
    "cut": cut,
    "deleted": lambda root: (root / "jobs.sqlite").unlink(),
}


@pytest.mark.parametrize("harm", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_database_is_made_again_from_the_job_folders(store, harm, caplog):
    job = filled(store)
    store.close()
    harm(store.root)
    store.__init__(store.root)
    found = store.job(job.id)
    assert (found.state, found.done, found.frames, found.settings, found.name) == ("done", 4, 4, PROXY, "nod")
    assert [store.frame(job.id, number)[0] for number in range(4)] == PICTURES
    assert [each.id for each in store.jobs()] == [job.id]
    assert filled(store, 0).state == "done", "the same request is the same job"


def test_an_unfinished_job_with_a_damaged_row_waits_for_the_user(store):
    job = filled(store, 2)
    store.close()
    harm_row("settings", "{")(store.root)
    store.__init__(store.root)
    found = store.job(job.id)
    assert (found.state, found.done) == ("paused", 2)
    assert "restored" in found.message and "resume" in found.hint


def test_a_row_beyond_repair_is_named_and_healed_by_submitting_again(store):
    job = filled(store, 2)
    store.close()
    (store.root / "jobs" / job.id / "job.json").write_text("{")
    harm_row("settings", "{")(store.root)
    store.__init__(store.root)
    found = store.job(job.id)
    assert (found.state, found.hint, found.name) == ("failed", "submit it again: press Generate", "nod")
    healed = filled(store, 4)
    assert (healed.id, healed.state, healed.done) == (job.id, "done", 4)


@pytest.mark.parametrize("seed", range(12))
def test_any_flipped_bit_of_the_database_leaves_a_store_that_opens_and_tells_no_lies(store, seed):
    job = filled(store)
    store.close()
    path, random_ = store.root / "jobs.sqlite", random.Random(seed)
    content = bytearray(path.read_bytes())
    text = content.find(job.portrait.encode()) if seed % 2 else 0  # every other one in the job's row
    content[random_.randrange(text, text + 400) if seed % 2 else random_.randrange(len(content))] ^= 1 << random_.randrange(8)
    path.write_bytes(content)
    store.__init__(store.root)
    found = store.job(job.id)
    assert (found.settings, found.frames) == (PROXY, 4)
    for number in range(4):
        kept = store.frame(job.id, number)
        assert kept is None or kept[0] == PICTURES[number]
    assert store.job(job.id).done == 4 or store.job(job.id).state != "done"


OLD_SCHEMA = """
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, portrait TEXT NOT NULL, settings TEXT NOT NULL, name TEXT NOT NULL, frames INTEGER NOT NULL,
  state TEXT NOT NULL, code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '', hint TEXT NOT NULL DEFAULT '',
  created REAL NOT NULL);
CREATE TABLE frames (
  job TEXT NOT NULL REFERENCES jobs(id), number INTEGER NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (job, number));
"""


def test_a_store_of_an_older_version_opens_and_its_job_goes_on(tmp_path):
    folder = tmp_path / "jobs" / ("ab" * 16)
    folder.mkdir(parents=True)
    (folder / "motion.npz").write_bytes(MOTION)
    for number in (0, 1, 3):
        (folder / f"{number:06d}.png").write_bytes(PICTURES[number])
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    database.executescript(OLD_SCHEMA)
    digest = hashlib.sha256(COLLINS.read_bytes()).hexdigest()
    row = (folder.name, digest + "-0", json.dumps(PROXY.to_wire()), "old", 4, "running", 1.5)
    database.execute("INSERT INTO jobs (id, portrait, settings, name, frames, state, created) VALUES (?,?,?,?,?,?,?)", row)
    frames = [(folder.name, number, hashlib.sha256(PICTURES[number]).hexdigest()) for number in (0, 1, 3)]
    database.executemany("INSERT INTO frames VALUES (?,?,?)", frames)
    database.commit()
    database.close()
    store = Store(tmp_path)
    store.put_portrait(COLLINS.read_bytes())
    (job,) = store.interrupted()
    assert (job.id, job.state, job.done, job.name, job.created) == (folder.name, "running", 2, "old", 1.5)
    assert [step[0] for step in Work(store).render(job) if step is not None] == [2]
    assert store.finish(job.id).state == "done"
    flip(folder / "motion.npz")
    with pytest.raises(InvalidInput, match="damaged"):
        store.motion(job.id)
    store.close()


@pytest.mark.parametrize(
    "newer",
    [
        "ALTER TABLE jobs RENAME TO old; CREATE TABLE jobs ({columns}, extra TEXT NOT NULL, PRIMARY KEY (id));"
        "INSERT INTO jobs SELECT *, 'new' FROM old; DROP TABLE old;",
        "ALTER TABLE jobs ADD COLUMN extra TEXT; ALTER TABLE frames ADD COLUMN more TEXT; PRAGMA user_version=99;",
    ],
)
def test_a_store_of_a_newer_version_opens_and_takes_jobs(tmp_path, newer):
    """Each new job failed with “choose a folder you can write to”."""
    store = Store(tmp_path)
    job = filled(store)
    store.close()
    database = sqlite3.connect(tmp_path / "jobs.sqlite")
    columns = ", ".join(f"{row[1]} {row[2]}" for row in database.execute("PRAGMA table_info(jobs)"))
    database.executescript(newer.format(columns=columns))
    database.close()
    store = Store(tmp_path)
    assert [(found.id, found.state, found.done) for found in store.jobs()] == [(job.id, "done", 4)]
    other = store.submit(job.portrait, PROXY, "another", MOTION, 1)
    store.put_frame(other.id, 0, PICTURES[0])
    assert store.finish(other.id).done == 1
    store.close()


# processes that end


def test_a_job_that_ends_the_backend_twice_at_one_frame_waits_for_the_user(store):
    job = filled(store, 0)
    store.begin(job.id)
    store.put_frame(job.id, 0, PICTURES[0])
    assert [each.state for each in store.interrupted()] == ["running"], "killed once"
    store.begin(job.id)
    assert store.interrupted() == []
    found = store.job(job.id)
    assert found.state == "paused"
    assert found.message == "the backend ended 2 times while it made frame 1 of this" and found.hint.startswith("resume it")
    store.set_state(job.id, "queued")  # the user resumes
    store.begin(job.id)
    store.put_frame(job.id, 1, PICTURES[1])
    store.begin(job.id)  # killed, and started again
    store.put_frame(job.id, 2, PICTURES[2])
    assert [each.id for each in store.interrupted()] == [job.id], "a job that gets on is not to blame"


def test_an_orderly_end_is_not_held_against_a_job(store):
    job = filled(store, 0)
    for _ in range(3):
        store.begin(job.id)
        store.close()
        store.__init__(store.root)
    assert [each.id for each in store.interrupted()] == [job.id]


def test_what_a_killed_process_left_half_written_goes(store):
    job = filled(store, 1)
    store.memory(job.id)["clip"] = b"latents"
    left = [store.root / "portraits", store.root / "jobs" / job.id, store.root / "jobs" / job.id / "memory"]
    for folder in left:
        (folder / "x.123-456.part").write_bytes(b"half")
    store = again(store)
    assert not list(store.root.rglob("*.part"))
    assert store.memory(job.id)["clip"] == b"latents"
    store.close()


# disk and memory


def test_a_database_without_space_takes_states_and_refuses_jobs_with_a_sentence(store):
    job = filled(store, 2)
    store.set_state(job.id, "running")
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count={pages}")  # SQLite then says that the disk is full
    with pytest.raises(DiskFull, match=r"the disk of .* has .* left – free some space, then try again"):
        for seed in range(1000):
            store.submit(job.portrait, RenderSettings(engine="proxy", size=64, seed=seed), "n" * 200, MOTION, 4)
    for state in ("paused", "cancelled"):
        store.set_state(job.id, state, state, "x" * 100_000)
        assert store.job(job.id).state == state
    store._database.execute("PRAGMA max_page_count=1000000")
    store.set_state(store.jobs()[-1].id, "queued")  # the next state takes those with it that had no space
    store = again(store)
    assert (store.job(job.id).state, store.job(job.id).done) == ("cancelled", 2)
    store.close()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(), OSError(12, "Cannot allocate memory"), ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"), RuntimeError("can't start new thread"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), OSError(24, "Too many open files"),
    ],
    ids=str,
)  # fmt: skip
def test_too_little_memory_has_one_sentence(error):
    wrapped = RuntimeError("while a model was loaded")
    wrapped.__cause__ = error
    for each in (error, wrapped):
        assert isinstance(shortage(each), OutOfResources)
    assert shortage(RuntimeError("shape mismatch")) is None


# what a job's frames depend on


def test_a_job_s_name_covers_threads_and_type_where_bytes_depend_on_them(monkeypatch):
    threads = torch.get_num_threads()
    before = {name: registry.build(name) for name in ("demo", "proxy")}
    try:
        torch.set_num_threads(threads + 1)
        assert registry.build("demo") != before["demo"]
        assert registry.build("proxy") == before["proxy"], "the proxy gives the same bytes on any"
    finally:
        torch.set_num_threads(threads)
    assert registry.build("demo") == before["demo"]
    builds = {}
    for computes in (False, True):  # whatever this processor does
        monkeypatch.setattr("mimaface.engines.precision._cpu_computes_bfloat16", lambda computes=computes: computes)
        sys.modules["mimaface.engines.precision"].fast_dtype.cache_clear()
        builds[computes] = registry.build("demo")
    assert builds[False] != builds[True]
    assert before["demo"] in builds.values()
    monkeypatch.undo()
    sys.modules["mimaface.engines.precision"].fast_dtype.cache_clear()


def test_a_job_that_was_begun_with_other_weights_is_not_mixed(store, monkeypatch):
    job = filled(store, 2)
    monkeypatch.setattr("mimaface.renderers.registry.build", lambda name, earlier: "other")
    with pytest.raises(InvalidCheckpoint, match="would look different – press Generate"):
        list(Work(store).render(job))
    assert store.job(job.id).done == 2 and store.frame(job.id, 1)[0] == PICTURES[1], "what there is stays"
