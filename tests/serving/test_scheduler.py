"""Turns of the scheduler, with steps of known length."""

import threading
import time

import pytest

from mimaface.serving.scheduler import CONTROL, PREVIEW, RENDER, Scheduler, Task


class Journal:
    """Tasks that write down each of their steps."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.steps: list[str] = []
        self.ended: dict[str, object] = {}
        self.gate = threading.Event()

    def task(self, name, kind, count, seconds=0.004, client=b"a", slot="", fails=False) -> Task:
        def start():
            for _ in range(count):
                self.gate.wait(5)
                time.sleep(seconds)
                self.steps.append(name)
                yield None
            if fails:
                raise RuntimeError(name)

        task = Task(kind, client, start, lambda error: self.ended.__setitem__(name, error), slot)
        self.scheduler.add(task)
        return task

    def wait(self, *names: str) -> None:
        deadline = time.monotonic() + 20
        while not all(name in self.ended for name in names):
            assert time.monotonic() < deadline, (self.ended, self.steps[-5:])
            time.sleep(0.005)


@pytest.fixture
def journal():
    found = Journal()
    yield found
    found.gate.set()
    found.scheduler.stop()


def test_control_goes_first_then_previews_then_renders(journal):
    journal.task("render", RENDER, 5)
    journal.task("preview", PREVIEW, 2, slot="s")
    journal.task("control", CONTROL, 2)
    journal.gate.set()
    journal.wait("render", "preview", "control")
    later = [step for step in journal.steps if step != "render"]
    assert later == ["control", "control", "preview", "preview"]


def test_the_latest_preview_wins_even_in_the_middle(journal):
    journal.task("old", PREVIEW, 1000, slot="s")
    journal.task("queued", PREVIEW, 5, slot="s")
    journal.gate.set()
    time.sleep(0.05)
    journal.task("new", PREVIEW, 5, slot="s")
    journal.task("other slot", PREVIEW, 5, slot="t")
    journal.wait("new", "other slot")
    assert "old" not in journal.ended
    assert journal.steps.count("new") == 5


def test_a_render_gets_a_fifth_under_endless_previews(journal):
    journal.task("render", RENDER, 10_000)
    journal.task("preview", PREVIEW, 10_000, slot="s")
    journal.gate.set()
    time.sleep(1.2)
    share = journal.steps.count("render") / len(journal.steps)
    assert 0.15 < share < 0.4, share


def test_clients_share_by_time_not_by_steps(journal):
    journal.task("slow", RENDER, 10_000, seconds=0.02, client=b"a")
    journal.task("quick", RENDER, 10_000, seconds=0.005, client=b"b")
    journal.gate.set()
    time.sleep(1.2)
    assert journal.steps.count("quick") > 2.4 * journal.steps.count("slow")


def test_a_parked_generator_goes_on_where_it_was(journal):
    seen = []

    def start():
        state = 0
        for index in range(20):
            state = state * 31 + index
            seen.append(state)
            yield None

    journal.scheduler.add(Task(RENDER, b"a", start, lambda error: journal.ended.__setitem__("render", error)))
    journal.gate.set()
    for number in range(5):
        journal.task(f"p{number}", PREVIEW, 3, slot=str(number))
    journal.wait("render", "p4")
    expected, state = [], 0
    for index in range(20):
        state = state * 31 + index
        expected.append(state)
    assert seen == expected


def test_errors_are_reported_and_the_worker_lives(journal):
    journal.task("bad", RENDER, 1, fails=True)
    journal.task("good", RENDER, 2)
    journal.gate.set()
    journal.wait("bad", "good")
    assert isinstance(journal.ended["bad"], RuntimeError)
    assert journal.ended["good"] is None


def test_cancelled_tasks_stop_at_their_next_step(journal):
    task = journal.task("long", RENDER, 10_000)
    journal.gate.set()
    time.sleep(0.05)
    journal.scheduler.cancel(task)
    time.sleep(0.05)
    count = len(journal.steps)
    time.sleep(0.1)
    assert len(journal.steps) == count
    assert "long" not in journal.ended
