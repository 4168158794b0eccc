"""List the keys of an object store by several requests at once, each for a range of keys.

A service gives keys in their order, a page a request, and tells neither how many there are nor
where the last one is. So a range is split while it is listed: a request for the keys after some
key in its middle finds either a second range, or that the first one ends there.
"""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import NamedTuple

from jobs.errors import StorageError

#: From this letter on, services that compare UTF-16 have another order than the usual one, that of
#: UTF-8. Before and after a key that ends with an earlier letter they have the same keys.
_HIGH = "\ud800"


class KeyPage(NamedTuple):
    """A page of a listing.

    Attributes
    ----------
    keys : list of str
        Keys, in the order of the service.
    sizes : list of int
        Their sizes in bytes.
    tags : list of str
        Their ETags, without quotes.
    times : list of str
        Their modification times (ISO 8601).
    token : str, optional
        Token of the next page; None if there is none.
    """

    keys: list[str]
    sizes: list[int]
    tags: list[str]
    times: list[str]
    token: str | None

    def up_to(self, end: str | None) -> KeyPage:
        """Return the page without the keys after `end`; it is the last page if it reaches it."""
        if end is None or not self.keys or self.keys[-1] < end:
            return self
        n = bisect.bisect_right(self.keys, end)
        return KeyPage(self.keys[:n], self.sizes[:n], self.tags[:n], self.times[:n], None)


#: Sends a request: for the keys after a key, or for the page of a token; None and None to begin.
Ask = Callable[[str | None, str | None], KeyPage]


@dataclass(eq=False)
class _Range:
    """Keys that are listed page by page: those after `last`, up to and with `end`."""

    last: str
    token: str | None
    end: str | None
    n_failed: int = 0
    is_probed: bool = False

    @property
    def rank(self) -> tuple[int, int]:
        """Ranges of a low rank are split first: they may have the most keys."""
        return self.n_failed, _n_shared(self.last, self.end)


def list_in_ranges(ask: Ask, n_at_once: int) -> Iterator[KeyPage]:
    """Yield all keys, page by page; in their order only if `n_at_once` is 1.

    Memory does not grow with the number of keys. No request is running when this ends, also if
    it ends by an error.

    Parameters
    ----------
    ask : callable
        Sends a request. Several threads call it.
    n_at_once : int
        Number of requests at once.

    Raises
    ------
    StorageError
        If a service turns out not to list keys in their order.
    """
    page = ask(None, None)
    yield page
    if page.token is None:
        return
    if n_at_once < 2 or not page.keys or not _is_ordered(page, None):
        yield from _one_by_one(ask, page.token)
        return
    with ThreadPoolExecutor(n_at_once, "featurelib-listing") as pool:
        listing = _Listing(ask, pool, n_at_once, page)
        try:
            yield from listing.pages()
        finally:
            listing.cancel()


def _one_by_one(ask: Ask, token: str | None) -> Iterator[KeyPage]:
    while token is not None:
        page = ask(None, token)
        if page.token == token:
            raise StorageError("the service gives the same page of its listing again and again")
        yield page
        token = page.token


class _Listing:
    """The ranges of a listing, and the requests that are under way."""

    def __init__(self, ask: Ask, pool: ThreadPoolExecutor, n_at_once: int, first: KeyPage) -> None:
        self._ask, self._pool, self._n_at_once = ask, pool, n_at_once
        self._ranges = [_Range(first.keys[-1], first.token, None)]
        self._idle = [*self._ranges]
        self._letters = set("".join(first.keys))
        #: The range of each request, and for a probe the key that it begins after.
        self._waiting: dict[Future[KeyPage], tuple[_Range, str | None]] = {}
        self._is_split = True

    def cancel(self) -> None:
        """Cancel the requests that have not begun."""
        for future in self._waiting:
            future.cancel()

    def pages(self) -> Iterator[KeyPage]:
        """Yield the pages after the first one."""
        while self._ranges:
            self._send()
            done, _ = wait(self._waiting, return_when=FIRST_COMPLETED)
            for future in done:
                range_, middle = self._waiting.pop(future)
                found = self._continued if middle is None else self._probed
                page = found(range_, middle or "", future.result())
                if page is not None and page.keys:
                    yield page

    def _send(self) -> None:
        for range_ in self._idle:
            self._submit(range_, None)
        self._idle = []
        if not self._is_split:
            return
        for range_ in sorted(self._ranges, key=lambda r: r.rank):
            if len(self._waiting) >= self._n_at_once:
                return
            if not range_.is_probed:
                middle = middle_of(range_.last, range_.end, range_.n_failed, self._letters)
                if middle is not None:
                    range_.is_probed = True
                    self._submit(range_, middle)

    def _submit(self, range_: _Range, middle: str | None) -> None:
        token = range_.token if middle is None else None
        self._waiting[self._pool.submit(self._ask, middle, token)] = (range_, middle)

    def _continued(self, range_: _Range, _: str, page: KeyPage) -> KeyPage:
        """Take the next page of a range."""
        if not _is_ordered(page, range_.last):
            raise StorageError(
                f"the service does not list keys in their order ({page.keys[0]!r} is not after"
                f" {range_.last!r}): give --storage-option list_at_once=1"
            )
        page = page.up_to(range_.end)
        self._advance(range_, page)
        return page

    def _probed(self, range_: _Range, middle: str, page: KeyPage) -> KeyPage | None:
        """Split a range by the keys after its middle; return those, if there are any."""
        range_.is_probed = False
        if range_ not in self._ranges or range_.last >= middle:
            range_.n_failed = 0  # it has come as far itself: look further away
            return None
        if not _is_ordered(page, middle):
            self._is_split = False  # a service that can only go on where it was
            return None
        page, end = page.up_to(range_.end), range_.end
        range_.end = middle
        if not page.keys and page.token is None:
            range_.n_failed += 1
            return None
        range_.n_failed = 0
        self._letters.update("".join(page.keys))
        other = _Range(middle, None, end)
        self._ranges.append(other)
        self._advance(other, page)
        return page

    def _advance(self, range_: _Range, page: KeyPage) -> None:
        range_.last, range_.token = page.keys[-1] if page.keys else range_.last, page.token
        if range_.token is None:
            self._ranges.remove(range_)
        else:
            self._idle.append(range_)


def middle_of(last: str, end: str | None, n_failed: int, letters: set[str]) -> str | None:
    """Return a key between two others, after which there may be about as many keys as before.

    Where keys differ first, a letter between those of both is tried in turn with the end of the
    longer and longer beginnings of `last`: keys may have long beginnings in common.

    Parameters
    ----------
    last, end : str
        The keys; None is after all keys.
    n_failed : int
        Number of earlier middles after which there was nothing.
    letters : set of str
        Letters of the keys that are known.
    """
    n = _n_shared(last, end)
    lowest, highest = last[n : n + 1], "" if end is None else end[n]
    usual = [c for c in letters if c < _HIGH]
    between = sorted(c for c in usual if lowest < c and (end is None or c < highest))
    tries = [last[:n] + between[len(between) // 2]] if between else []
    longer = last[: min(n + 2 ** (n_failed // 2), len(last) - 1)]
    tries.insert(len(tries) if n_failed % 2 == 0 else 0, longer + max(usual, default=""))
    fitting = (key for key in tries if last < key and (end is None or key < end))
    return next(fitting, None)


def _n_shared(last: str, end: str | None) -> int:
    pairs = enumerate(zip(last, end or "", strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(last), len(end or "")))


def _is_ordered(page: KeyPage, after: str | None) -> bool:
    """Return whether the keys of a page are in their order, and after a key."""
    keys = page.keys if after is None else [after, *page.keys]
    return all(itertools.starmap(operator.lt, itertools.pairwise(keys)))
