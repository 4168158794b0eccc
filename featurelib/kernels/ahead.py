"""Compile the kernels that some work needs, in several processes at once.

One process lists the kernels and the types of their arguments: it does the work once with the
reference in place of each kernel. Then each process compiles one kernel after another, those
that take longest first. Numba keeps them on disk for all processes of the machine.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import TracebackType
from typing import Any

from featurelib.kernels import MODULES, lock, reference
from featurelib.kernels.cache import KERNELS, is_kept

#: Receives the number of kernels that are compiled, and the number of all that are needed.
Report = Callable[[int, int], None]

#: The types of a kernel's arguments, once for each way in which it is called.
Needed = dict[tuple[str, str], list[tuple[Any, ...]]]

_SLOW = (
    "magnitudes",
    "spectra",
    "inverse",
    "overlap_add",
    "crossing_rates",
    "cell_moments",
    "band_extremes",
)
_PROCESSES_AT_MOST = 4


def compile_ahead(work: Callable[[Any], None], argument: Any, report: Report) -> None:
    """Compile what `work(argument)` needs and numba's cache does not have.

    The caller holds the lock of `featurelib.kernels.lock`.

    Parameters
    ----------
    work : callable
        A function of a module, which calls kernels.
    argument : object
        Its argument; must be picklable.
    report : callable
        Receives the progress, also from other threads.

    Raises
    ------
    OSError, EOFError, pickle.PicklingError
        If a process cannot be started, or ends before its work does.
    """
    n_processes = min(_PROCESSES_AT_MOST, len(os.sched_getaffinity(0)))
    with contextlib.ExitStack() as stack:
        helpers = [stack.enter_context(_Helper()) for _ in range(n_processes)]
        # the first one compiles too, but not in the process that lists, where kernels are replaced
        first = stack.enter_context(_Helper())
        needed: Needed = first.ask(needed_by, work, argument)
        # one process compiles all of a kernel, because two must not write the same index
        waiting = deque(sorted(needed.items(), key=lambda item: item[0][1] not in _SLOW))
        total, done, change = sum(map(len, needed.values())), 0, threading.Lock()
        report(done, total)

        def compile_some(helper: _Helper) -> None:
            nonlocal done
            while True:
                try:
                    kernel, ways = waiting.popleft()
                except IndexError:
                    return
                for types in ways:
                    helper.ask(compile_kernel, kernel, types)
                    with change:
                        done += 1
                        report(done, total)

        with ThreadPoolExecutor(n_processes) as pool:
            list(pool.map(compile_some, helpers))


class _Helper:
    """A process that calls functions one after another."""

    def __enter__(self) -> _Helper:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kind is not None:
            self._process.kill()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a function of a module returns in the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((function, arguments), self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)


def needed_by(work: Callable[[Any], None], argument: Any) -> Needed:
    """Return the kernels that `work(argument)` calls and that numba's cache does not have.

    The reference takes the place of all kernels of this process.
    """
    for module in MODULES:
        import_module(f"featurelib.kernels.{module}")
    found: Needed = {}
    for kernel in KERNELS:
        place = (kernel.py_func.__module__, kernel.py_func.__name__)
        setattr(sys.modules[place[0]], place[1], _recorder(kernel, found.setdefault(place, [])))
    work(argument)
    return {place: ways for place, ways in found.items() if ways}


def _recorder(kernel: Any, ways: list[tuple[Any, ...]]) -> Callable[..., Any]:
    name = kernel.py_func.__name__
    instead = _INSTEAD.get(name) or getattr(reference, name, None)
    seen: set[tuple[Any, ...]] = set()

    def record(*arguments: Any) -> Any:
        types = tuple(map(kernel.typeof_pyval, arguments))
        if types not in seen:
            seen.add(types)
            if not is_kept(kernel, types):
                ways.append(types)
        assert instead is not None, f"the reference has no {name}"
        return instead(*arguments)

    return record


def _transformed(y: Any, window: Any, hop_length: int, *rest: Any) -> None:
    reference.transform(window, hop_length)(y, rest[-1])


def _complex(y: Any, window: Any, hop_length: int, *rest: Any) -> None:
    reference.complex_transform(window, hop_length)(y, rest[-1])


def _inverse(spectra: Any, *rest: Any) -> None:
    reference.inverse_transform(rest[-1].shape[1])(spectra, rest[-1])


def _overlap_add(spectra: Any, window: Any, hop_length: int, *rest: Any) -> None:
    reference.overlap_add_transform(window, hop_length)(spectra, rest[-1])


#: What the reference has under another name.
_INSTEAD: dict[str, Callable[..., Any]] = {
    "magnitudes": _transformed,
    "spectra": _complex,
    "inverse": _inverse,
    "overlap_add": _overlap_add,
    "bandwidths_of_whole_order": reference.bandwidths_of_order,
}


def compile_kernel(place: tuple[str, str], types: tuple[Any, ...]) -> None:
    """Compile a kernel for arguments of some types, and keep it on disk."""
    getattr(import_module(place[0]), place[1]).compile(types)


def _serve() -> None:
    """Answer what `_Helper.ask` asks, until there is no more."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else prints must not get between the answers
    with lock.held_by_parent():
        while True:
            try:
                function, arguments = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            pickle.dump(function(*arguments), answers)
            answers.flush()


if __name__ == "__main__":
    _serve()
