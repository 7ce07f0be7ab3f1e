"""What the backend does around a model's networks: with networks whose results are known, in this process."""

import contextlib
import itertools
import sys

import pytest

from conftest import COLLINS, motion_of, nod
from mimaface.engines import choosing
from mimaface.engines.mock import MockEngine
from mimaface.engines.pool import EnginePool
from mimaface.protocol.settings import RenderSettings
from mimaface.serving.store import Store
from mimaface.serving.work import Work

SETTINGS = RenderSettings(engine="demo", size=64)
FRAMES = 14  # two clips, of 12 frames each


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def engine(monkeypatch):
    """A function that puts a new engine in the place of the networks, as after a start of the backend."""

    def start() -> MockEngine:
        made = MockEngine()
        monkeypatch.setattr(EnginePool, "get", lambda self, folder, load: made)
        return made

    return start


def portrait_in(store) -> str:
    return store.put_portrait(COLLINS.read_bytes()) + "-0"


def test_a_job_that_is_left_in_its_second_clip_goes_on_with_that_clip_alone(store, engine):
    engine()
    job = store.submit(portrait_in(store), SETTINGS, "nod", nod(FRAMES).to_bytes(), FRAMES)
    rendering, before = Work(store).render(job), {}
    for step in rendering:
        before |= dict([step] if step else [])
        if 12 in before:
            rendering.close()
            break
    resumed = engine()
    after = dict(step for step in Work(store).render(store.job(job.id)) if step)
    assert (sorted(before), sorted(after)) == (list(range(13)), [13])
    assert (resumed.calls["denoise"], resumed.calls["refine"]) == (1, 1), "no clip and no frame again"
    other = store.submit(job.portrait, RenderSettings(engine="demo", size=64, seed=1), "nod", nod(FRAMES).to_bytes(), FRAMES)
    assert before | after == dict(step for step in Work(store).render(other) if step), "by SHA-256: what is made in one go"


@contextlib.contextmanager
def no_handles():
    """In this process no file can be opened."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_job_goes_on_wherever_it_was_without_a_file_handle(store, engine):
    """It paused where its motion, its portrait or its memory could not be opened for a moment."""
    engine()
    work = Work(store)
    jobs = [
        store.submit(portrait_in(store), RenderSettings(engine="demo", size=64, seed=seed), "nod", nod(2).to_bytes(), 2)
        for seed in (0, 1)
    ]
    for job, disturbed in zip(jobs, (False, True)):
        rendering = work.render(job)
        for turn in itertools.count():
            with no_handles() if disturbed and turn in (0, 4) else contextlib.nullcontext():
                if next(rendering, "ended") == "ended":
                    break
        assert (store.job(job.id).done, turn > 5) == (2, disturbed)
    assert store.frame(jobs[0].id, 1) == store.frame(jobs[1].id, 1)


def test_a_shot_gets_the_runtimes_that_it_asks_for(monkeypatch, tmp_path):
    """One engine is kept; what is chosen now concerns those alone that ask for nothing, and what is not there any more falls to torch."""
    (tmp_path / "weights").write_bytes(b"w")
    chosen, there, loaded = {"denoise": "new"}, {"old", "new"}, []
    monkeypatch.setattr(choosing, "chosen", lambda folder: dict(chosen))
    monkeypatch.setattr(choosing, "still_there", lambda folder, earlier: {name: one for name, one in earlier.items() if one in there})

    def load(folder, by):
        loaded.append(by)
        return len(loaded)

    pool = EnginePool()
    begun, torch_alone = pool.by({"denoise": "old"}), pool.by({})
    assert [pool.get(tmp_path, load), begun.get(tmp_path, load), begun.get(tmp_path, load), torch_alone.get(tmp_path, load)] == [1, 2, 2, 3]
    assert loaded == [{"denoise": "new"}, {"denoise": "old"}, {}]
    chosen["denoise"] = "old"
    assert pool.get(tmp_path, load) == begun.get(tmp_path, load) == 4, "the same runtimes are the same engine"
    there.remove("old")
    assert begun.get(tmp_path, load) == torch_alone.get(tmp_path, load) == 5
    pool.clear()
    assert begun.get(tmp_path, load) == 6, "all of a pool is cleared"


def test_previews_by_a_model_keep_what_they_have_prepared(store, engine):
    made, work, portrait = engine(), Work(store), portrait_in(store)

    def preview(value: float):
        return [step for step in work.preview(portrait, SETTINGS, motion_of({"jawOpen": value}).to_bytes()) if step is not None][-1]

    assert abs(preview(0.2).astype(int) - preview(0.9)).max() > 30, "each of its own motion"
    assert made.calls["encode_source"] == 1, "the portrait is prepared once"
    work.forget()
    preview(0.2)
    assert made.calls["encode_source"] == 2, "and again after it was forgotten for its memory"
