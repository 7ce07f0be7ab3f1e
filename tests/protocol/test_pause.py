"""A held thread does nothing until its release; a thread that reaches no point in time is not waited for."""

import queue
import threading

from mimaface.protocol import pause
from mimaface.protocol.pause import Pause


class Worker:
    """Counts the values it receives; −1 ends it."""

    def __init__(self) -> None:
        self.pause, self.work, self.sum = Pause(), queue.SimpleQueue(), 0
        self.busy, self.go_on = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            value = self.work.get()
            self.pause.point()
            if value == -1:
                return
            if value == 100:  # a long step without a point
                self.busy.set()
                self.go_on.wait(60)
            self.sum += value


def test_work_given_to_a_held_thread_is_done_afterwards():
    worker = Worker()
    for _ in range(20):
        with worker.pause.hold(lambda: worker.work.put(0)) as still:
            before = worker.sum
            worker.work.put(1)
            assert still and worker.sum == before
            worker.thread.join(0.005)
            assert worker.sum == before, "it stands still"
    worker.work.put(-1)
    worker.thread.join(60)
    assert worker.sum == 20, "nothing is lost"


def test_a_thread_amid_something_long_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(pause, "HOLD_TIMEOUT", 0.01)
    worker = Worker()
    worker.work.put(100)
    assert worker.busy.wait(60)
    with worker.pause.hold(lambda: worker.work.put(0)) as still:
        assert not still
    worker.go_on.set()
    with worker.pause.hold(lambda: worker.work.put(0)):
        pass
    worker.work.put(-1)
    worker.thread.join(60)
    assert worker.sum == 100 and not worker.thread.is_alive(), "an answer that came too late holds nobody later"
