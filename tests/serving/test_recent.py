"""The values that the backend keeps in memory."""

from concurrent.futures import ThreadPoolExecutor

from mimaface.serving.recent import Recent


def test_the_values_used_last_are_kept():
    recent = Recent(2)
    for name in "ab":
        recent.keep(name, name.upper())
    assert recent.find("a") == "A", "used again, so b is now the older one"
    recent.keep("c", "C")
    assert [recent.find(name) for name in "abc"] == ["A", None, "C"]
    recent.keep("c", "C2")
    recent.drop(lambda key: key == "a")
    assert [recent.find(name) for name in "ac"] == [None, "C2"], "kept anew in its place, and only the unwanted one is gone"
    recent.drop()
    assert recent.find("c") is None


def test_several_threads_find_keep_and_drop_at_once():
    recent = Recent(2)

    def use(turn: int) -> bool:
        recent.keep(turn % 7, turn % 7)
        if turn % 5 == 0:
            recent.drop()
        return recent.find(turn % 3) in (None, turn % 3)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(20_000)))
    assert sum(recent.find(key) is not None for key in range(7)) <= 2
