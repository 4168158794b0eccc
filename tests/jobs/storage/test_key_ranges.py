"""Listings by several requests at once: every key once, whatever the keys, in few requests."""

from __future__ import annotations

import bisect
import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import StorageError
from jobs.storage.key_ranges import KeyPage, list_in_ranges, middle_of


class Service:
    """Keys as a service lists them, `n_a_page` an answer.

    Attributes
    ----------
    asked
        What each request asked for: the key to begin after, and the token.
    """

    def __init__(
        self,
        keys: Sequence[str],
        n_a_page: int = 3,
        *,
        starts: bool = True,
        order: Callable[[str], Any] = str,
    ) -> None:
        self.keys, self._n = sorted(keys, key=order), n_a_page
        self._starts, self._order = starts, order
        self.asked: list[tuple[str | None, str | None]] = []

    def __call__(self, after: str | None, token: str | None) -> KeyPage:
        self.asked.append((after, token))
        start = int(token or 0)
        if token is None and after is not None and self._starts:
            start = bisect.bisect_right(self.keys, self._order(after), key=self._order)
        end = min(len(self.keys), start + self._n)
        keys = self.keys[start:end]
        more = str(end) if end < len(self.keys) else None
        return KeyPage(keys, [len(k) for k in keys], [f"tag of {k}" for k in keys], keys, more)


def listed(service: Callable[[str | None, str | None], KeyPage], n_at_once: int = 8) -> list[str]:
    keys = []
    for page in list_in_ranges(service, n_at_once):
        assert page.sizes == [len(key) for key in page.keys]
        assert page.tags == [f"tag of {key}" for key in page.keys]
        assert page.times == page.keys
        keys += page.keys
    return keys


PIECES = st.sampled_from(["a", "b", "z", "0", "9", "/", "~", "é", "日", "\U0010ffff", " ", "ab/"])
KEYS = st.one_of(
    st.sets(st.lists(PIECES, min_size=1, max_size=6).map("".join), max_size=60),
    st.sets(st.text(min_size=1, max_size=8), max_size=60),
    st.integers(0, 80).map(lambda n: {f"music/recording-{i:05d}.wav" for i in range(n)}),
)


@given(KEYS, st.integers(1, 4), st.integers(1, 9))
def test_any_keys_are_listed_once(keys: set[str], n_a_page: int, n_at_once: int) -> None:
    found = listed(Service([*keys], n_a_page), n_at_once)
    assert sorted(found) == sorted(keys)
    if n_at_once == 1:
        assert found == sorted(keys)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "order", [lambda key: key.encode("utf-16-be"), lambda key: key.split("/")], ids=["16", "walk"]
)
def test_another_order_is_refused_rather_than_lose_keys(
    order: Callable[[str], Any], seed: int
) -> None:
    chosen = random.Random(seed)
    letters = ["a", "b", "/", "-", ".", "\uff5e", "\U0001f600"]
    keys = {"".join(chosen.choices(letters, k=chosen.randint(1, 6))) for _ in range(60)}
    with contextlib.suppress(StorageError):
        assert sorted(listed(Service([*keys], 3, order=order), 6)) == sorted(keys)


def test_a_middle_ends_with_a_letter_that_all_orders_agree_about() -> None:
    letters = {"a", "b", "\ud7ff", "\uff5e", "\U0001f600"}
    assert {middle_of("ab", None, n, letters) for n in range(6)} <= {"b", "\ud7ff", "a\ud7ff"}


def test_a_page_that_ends_where_the_next_range_begins_is_the_last() -> None:
    page = KeyPage(["a", "b"], [1, 1], ["", ""], ["", ""], "token")
    assert page.up_to("b") == page._replace(token=None)
    assert page.up_to("c") == page


@given(st.text(max_size=6), st.none() | st.text(min_size=1, max_size=6), st.integers(0, 9))
def test_a_middle_is_between(last: str, end: str | None, n_failed: int) -> None:
    if end is not None and end <= last:
        return
    middle = middle_of(last, end, n_failed, {"a", "\U0010ffff", *last})
    assert middle is None or (last < middle and (end is None or middle < end))


@pytest.mark.parametrize(
    "name",
    [
        lambda i: f"recording-{i:06d}.wav",
        lambda i: f"archive/of/music/{'classical' if i < 900 else 'rock'}/{i % 900:04d}.wav",
        lambda i: f"{i * 2654435761 % 2**32:08x}.wav",
        lambda i: f"音楽/{i // 100:02d}/{i % 100:02d} ü.wav",
    ],
    ids=["flat", "two folders", "hashes", "not ascii"],
)
def test_requests_are_made_at_the_same_time_and_few_in_vain(name: Callable[[int], str]) -> None:
    n_pages, n_at_once = 180, 6
    service = Service([name(i) for i in range(n_pages * 10)], n_a_page=10)
    waiting, most = 0, 0
    lock = threading.Lock()

    def ask(after: str | None, token: str | None) -> KeyPage:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        time.sleep(0.001)
        try:
            return service(after, token)
        finally:
            with lock:
                waiting -= 1

    assert sorted(listed(ask, n_at_once)) == service.keys
    assert most == n_at_once
    assert len(service.asked) < 2 * n_pages


@pytest.mark.parametrize("n_at_once", [1, 5])
def test_few_pages_are_taken_ahead(n_at_once: int) -> None:
    service = Service([f"{i:04d}" for i in range(3000)])
    pages = list_in_ranges(service, n_at_once)
    for n_taken in range(1, 200):
        next(pages)
        assert len(service.asked) <= 3 * (n_taken + n_at_once)
    pages.close()
    n_asked = len(service.asked)
    time.sleep(0.01)
    assert len(service.asked) == n_asked


def test_an_error_ends_a_listing_when_no_request_runs_any_more() -> None:
    service, running = Service([f"{i:04d}" for i in range(300)]), set()

    def ask(after: str | None, token: str | None) -> KeyPage:
        running.add(threading.get_ident())
        try:
            if len(service.asked) > 20:
                raise OSError("broken")
            return service(after, token)
        finally:
            running.discard(threading.get_ident())

    with pytest.raises(OSError, match="broken"):
        listed(ask)
    assert not running


def test_a_service_that_gives_the_same_page_for_ever_is_no_hang() -> None:
    page = KeyPage(["a"], [1], ["tag of a"], ["a"], "token")
    with pytest.raises(StorageError, match="the same page"):
        listed(lambda after, token: page, 1)
    with pytest.raises(StorageError):
        listed(lambda after, token: page)


def test_a_service_that_begins_where_it_likes_is_asked_page_by_page() -> None:
    service = Service([f"{i:04d}" for i in range(100)], starts=False)
    assert listed(service) == service.keys


def test_keys_without_order_are_listed_page_by_page() -> None:
    service = Service([f"{i:04d}" for i in range(100)])
    service.keys.reverse()
    assert listed(service) == service.keys
    assert len(service.asked) == 34


def test_an_order_that_ends_is_refused_rather_than_lose_keys() -> None:
    service = Service([f"{i:04d}" for i in range(100)])
    service.keys[90], service.keys[30] = service.keys[30], service.keys[90]
    with pytest.raises(StorageError, match="list_at_once=1"):
        listed(service)
