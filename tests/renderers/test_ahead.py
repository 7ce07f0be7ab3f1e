"""Frames that other threads draw: in order, bounded, and nobody waits for those that are not wanted any more."""

import threading

import pytest

from mimaface.renderers.reprojected import Ahead, made_ahead, threads


def test_they_come_in_order_and_no_more_than_the_threads_are_ahead():
    begun, second = [], threading.Event()

    def make(number):
        begun.append(number)
        if number == 0:
            assert second.wait(60), "another thread is at the next meanwhile"
        second.set()
        return 10 * number

    made = made_ahead(make, range(8), 2)
    assert next(made) == 0
    assert set(begun) <= {0, 1, 2}
    assert list(made) == [10, 20, 30, 40, 50, 60, 70]


def test_what_fails_fails_in_its_turn():
    def make(number):
        return 1 / (2 - number)

    made = made_ahead(make, range(5), 3)
    assert [next(made), next(made)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_closed_it_waits_for_nothing():
    held = threading.Event()
    made = made_ahead(lambda number: held.wait(20) if number else None, range(9), 2)
    assert next(made) is None
    made.close()
    assert not held.is_set()
    held.set()


def test_very_large_frames_are_drawn_fewer_at_a_time(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 16)
    assert [threads(side * side) for side in (512, 1024, 4096, 16384)] == [16, 16, 2, 1]


def test_of_a_clip_to_come_no_more_are_held_than_memory_allows():
    begun = []
    ahead = Ahead(lambda number: begun.append(number) or 10 * number, 1, 5)
    ahead.need([0, 1, 2, 2])  # a clip past the shot's end repeats its last frame
    ahead.prepare(range(3, 9))
    assert [ahead.take(number) for number in range(5)] == [0, 10, 20, 30, 40]
    assert begun == [0, 1, 2, 3, 4]
    ahead.finish(0)
    ahead.prepare(range(3, 9))
    assert ahead.take(5) == 50 and begun == [0, 1, 2, 3, 4, 5], "none twice"
    ahead.need(range(6, 9))  # their turn has come, whatever is held
    assert [ahead.take(number) for number in (6, 7, 8)] == [60, 70, 80]
    ahead.close()
