"""One BLAS thread while any of several threads requires it, restored afterwards."""

import threading

from threadpoolctl import threadpool_info

from mimaface.geometry.threads import one_thread


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_first_inside_limits_and_the_last_to_leave_lifts():
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def other():
        with one_thread():
            entered.set()
            leave.wait(60)

    worker = threading.Thread(target=other)
    with one_thread():
        worker.start()
        assert entered.wait(60)
        assert blas_threads() == {1}
    assert blas_threads() == {1}, "the other thread is still inside"
    leave.set()
    worker.join(60)
    assert blas_threads() == before


def test_an_error_inside_lifts_the_limit():
    before = blas_threads()
    try:
        with one_thread():
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert blas_threads() == before
