"""Turns of the scheduler, with steps of known length."""

import threading
import time
from collections import defaultdict

import pytest

from mimaface.protocol.errors import Replaced
from mimaface.serving.scheduler import CONTROL, PREVIEW, RENDER, TRACK, Scheduler, Task


class Journal:
    """Tasks that write down each of their steps."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.steps: list[str] = []
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.ended: dict[str, object] = {}
        self.gate = threading.Event()

    def task(self, name, kind, count, seconds=0.004, client=b"a", slot="", fails=False) -> Task:
        def start():
            for _ in range(count):
                self.gate.wait(60)
                started = time.monotonic()
                time.sleep(seconds)
                self.seconds[name] += time.monotonic() - started
                self.steps.append(name)
                yield None
            if fails:
                raise RuntimeError(name)

        task = Task(kind, client, start, lambda error: self.ended.__setitem__(name, error), slot)
        self.scheduler.add(task)
        return task

    def wait(self, *names: str) -> None:
        self.until(lambda: all(name in self.ended for name in names))

    def until(self, condition) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, (self.ended, self.steps[-5:])
            time.sleep(0.002)


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
    journal.until(lambda: journal.steps)
    journal.task("new", PREVIEW, 5, slot="s")
    journal.task("other slot", PREVIEW, 5, slot="t")
    journal.wait("new", "other slot")
    journal.wait("old")
    assert isinstance(journal.ended["old"], Replaced), "whoever asked for it is told"
    assert journal.steps.count("new") == 5


def test_a_render_gets_a_fifth_under_endless_previews(journal):
    journal.task("render", RENDER, 10_000, seconds=0.001)
    journal.task("preview", PREVIEW, 10_000, seconds=0.001, slot="s")
    journal.gate.set()
    journal.until(lambda: len(journal.steps) >= 300)
    share = journal.steps.count("render") / len(journal.steps)
    assert share > 0.2, share


def test_clients_share_by_time_not_by_steps(journal):
    journal.task("slow", RENDER, 10_000, seconds=0.012, client=b"a")
    journal.task("quick", RENDER, 10_000, seconds=0.002, client=b"b")
    journal.gate.set()
    journal.until(lambda: sum(journal.seconds.values()) > 0.4)
    share = journal.seconds["quick"] / sum(journal.seconds.values())
    assert 0.4 < share < 0.6, share


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
    journal.until(lambda: journal.steps)
    journal.scheduler.cancel(task)
    journal.task("other", RENDER, 20)
    journal.wait("other")
    first = journal.steps.index("other")
    assert set(journal.steps[first:]) == {"other"}, "of the same client, so they would have taken turns"
    assert "long" not in journal.ended


def test_a_preview_that_is_complete_is_not_thrown_away(journal):
    begun = threading.Event()

    def start():
        begun.set()
        journal.gate.wait(60)
        yield None

    def once():
        return iter(list(start())[:0])  # all of its work in one step, as the server's previews

    journal.scheduler.add(Task(PREVIEW, b"a", once, lambda error: journal.ended.__setitem__("at work", error), "s"))
    assert begun.wait(60)
    journal.task("newer", PREVIEW, 1, slot="s")
    journal.gate.set()
    journal.wait("at work", "newer")
    assert journal.ended["at work"] is None


def test_slots_of_one_client_are_bounded(journal):
    for number in range(40):
        journal.task(f"p{number}", PREVIEW, 1, slot=str(number))
    journal.gate.set()
    journal.wait(*(f"p{number}" for number in range(40)))
    complete = [name for name, error in journal.ended.items() if error is None]
    assert "p39" in complete
    assert len(complete) <= 17, "those that wait, and one at work"


def test_a_preview_does_not_wait_for_a_long_step(journal):
    journal.task("render", RENDER, 1)  # its only step lasts until the gate opens
    done = threading.Event()
    journal.scheduler.add(Task(PREVIEW, b"a", lambda: iter(()), lambda error: done.set(), "s"))
    assert done.wait(60)
    assert "render" not in journal.ended


def test_a_track_and_a_render_take_turns(journal):
    journal.task("track", TRACK, 10_000, client=b"b")
    journal.task("render", RENDER, 10_000)
    journal.gate.set()
    journal.until(lambda: len(journal.steps) >= 100)
    assert 25 < journal.steps[:100].count("render") < 75


def test_tasks_of_one_client_take_turns_too(journal):
    journal.task("track", TRACK, 10_000)
    journal.task("render", RENDER, 10_000)
    journal.gate.set()
    journal.until(lambda: len(journal.steps) >= 100)
    assert 25 < journal.steps[:100].count("render") < 75


def test_a_cancelled_task_that_takes_long_to_end_holds_nobody_up(journal):
    closing, end = threading.Event(), threading.Event()

    def start():
        try:
            while True:
                time.sleep(0.001)
                yield None
        finally:
            closing.set()
            end.wait(60)

    task = Task(RENDER, b"a", start, lambda error: None)
    journal.scheduler.add(task)
    while not journal.scheduler.steps:
        time.sleep(0.001)
    journal.scheduler.cancel(task)
    assert closing.wait(60)
    added = threading.Thread(target=journal.task, args=("other", RENDER, 1), daemon=True)
    added.start()
    added.join(20)
    assert not added.is_alive(), "adding waits for no pool"
    end.set()
    journal.gate.set()
    journal.wait("other")
