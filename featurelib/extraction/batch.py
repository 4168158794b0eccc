"""Extraction of many files on the cores of one machine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import current_process, get_context
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

from featurelib.columns import feature_names, schema
from featurelib.errors import AudioError, FeaturelibError, ParameterError, SpecError
from featurelib.extraction.extract import warm_up
from featurelib.extraction.extractor import Extractor
from featurelib.progress import Progress, progress
from featurelib.rows import RowCollector, Rows
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.presets import get_spec

if TYPE_CHECKING:
    import pandas as pd

    from featurelib.audio.sources import Source

#: Columns that identify a row; the index of the table.
_KEY = ("path", "channel", "segment")

#: Columns for files that cannot be used: the kind of the error, and the reason.
_ERROR = ("error_kind", "message")

#: Files per task of a process.
_CHUNK_FILES = 16

#: Files per process; for fewer, the start of another process does not pay.
_FILES_A_PROCESS = 100

#: Result for one source: its rows, or the error that it raised.
_Outcome = list[Rows] | Exception


def extract_files(
    sources: Iterable[Source],
    spec: str | FeatureSpec | None = None,
    *,
    preset: str | None = None,
    workers: int | None = None,
    on_error: Literal["raise", "row"] = "raise",
    progress: bool = False,
) -> pd.DataFrame:
    r"""Compute the features of many files, without a cluster.

    Parameters
    ----------
    sources : iterable
        Paths, URLs, bytes or file objects, as for `featurelib.extract_columns`.
    spec, preset
        As for `featurelib.extract_columns`.
    workers : int, optional
        Number of processes. By default one per core, but at most one per 100 files. Several
        processes start new Python interpreters. A script must therefore call this function
        under ``if __name__ == "__main__":``. File objects need ``workers=1``.
    on_error : {"raise", "row"}
        Treatment of a file that cannot be used: raise its error, or add one row without
        features. Columns ``error_kind`` and ``message`` of that row give the reason.
    progress : bool
        Show progress: a bar on a terminal or in a notebook, lines elsewhere.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the sources, with the index (path, channel, segment) and the
        columns of `featurelib.schema`. The path of a source without a path is its number,
        such as ``"#3"``. Bytes of a path that are not UTF-8 are written ``\xNN``.

        With ``on_error="row"`` there are two more columns: ``error_kind`` (a kind of
        `AudioError`, ``vanished`` or ``unreadable``) and ``message``. Both are null for files
        without an error.

    Raises
    ------
    AudioError, OSError
        If a file cannot be used and ``on_error="raise"``; a note names the file.
    SpecError, ParameterError
        If the spec or an argument is invalid.
    FeaturelibError
        If no process can start, or one dies while it reads a file.

    Examples
    --------
    >>> import featurelib
    >>> table = featurelib.extract_files(["song.wav", "empty.wav"], on_error="row")
    >>> len(table)
    2
    >>> failed = table.dropna(subset="error_kind").reset_index()
    >>> failed[["path", "error_kind"]]
            path error_kind
    0  empty.wav      empty
    """
    spec = get_spec(spec, preset=preset)
    if on_error not in ("raise", "row"):
        raise ParameterError(f"on_error={on_error!r}: there are 'raise' and 'row'")
    if isinstance(sources, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(
        sources, "read"
    ):
        raise ParameterError("sources is one source: give a list, or use featurelib.extract")
    _check_names(spec, with_errors=on_error == "row")
    listed = list(sources)
    n_workers = _n_workers(workers, len(listed))
    collector = RowCollector(schema(spec), feature_names(spec))
    paths: list[str] = []
    failures: dict[int, Exception] = {}
    with _shown(progress, len(listed)) as bar:
        for i, outcome in _outcomes(listed, spec, n_workers):
            name = _name(listed[i], i)
            if isinstance(outcome, Exception):
                if on_error == "raise":
                    outcome.add_note(f"while reading {name}")
                    raise outcome
                failures[len(paths)] = outcome
                paths.append(name)
                collector.add(Rows(1, {}, {}))
            else:
                for rows in outcome:
                    collector.add(rows)
                    paths += [name] * rows.n
            if bar is not None:
                bar.advance(1)
    return _table(collector, paths, failures, with_errors=on_error == "row")


def _table(
    collector: RowCollector, paths: list[str], failures: dict[int, Exception], *, with_errors: bool
) -> pd.DataFrame:
    import pandas as pd

    frame = collector.table().to_pandas()
    frame.insert(0, "path", pd.array(paths, dtype="str"))
    for name in ("channel", "segment"):
        frame[name] = frame[name].astype("Int32")
    if with_errors:
        kinds: list[str | None] = [None] * len(paths)
        messages: list[str | None] = [None] * len(paths)
        for i, error in failures.items():
            kinds[i], messages[i] = _kind(error), str(error)
        for name, values in zip(_ERROR, (kinds, messages), strict=True):
            frame[name] = values
    return frame.set_index(list(_KEY))


def _check_names(spec: FeatureSpec, *, with_errors: bool) -> None:
    own = {"path", *(_ERROR if with_errors else ())}
    if clash := own & {name.casefold() for name in schema(spec).names}:
        raise SpecError(
            f"the spec has a column {min(clash)!r}, as the result has: give the feature another"
            " template with columns = …"
        )


def _kind(error: Exception) -> str:
    if isinstance(error, AudioError):
        return error.kind
    return "vanished" if isinstance(error, FileNotFoundError) else "unreadable"


def _name(source: Source, number: int) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fsencode(source).decode(errors="backslashreplace")
    return f"#{number}"


def _n_workers(workers: int | None, n_files: int) -> int:
    is_daemon = current_process().daemon  # as in a pool of the caller; it may start no process
    if workers is None:
        most = 1 if is_daemon else len(os.sched_getaffinity(0))
        return max(1, min(most, n_files // _FILES_A_PROCESS))
    if isinstance(workers, bool) or not isinstance(workers, Integral) or workers < 1:
        raise ParameterError(f"workers={workers!r} is not a whole number of at least 1")
    if is_daemon and workers > 1:
        raise ParameterError(f"workers={workers}: a daemonic process can start no others: give 1")
    return int(workers)


@contextmanager
def _shown(is_wanted: bool, total: int) -> Iterator[Progress | None]:
    if not is_wanted:
        yield None
        return
    bar = progress("extracting", total)
    try:
        yield bar
    finally:
        bar.stop()


def _outcomes(
    sources: Sequence[Source], spec: FeatureSpec, n_workers: int
) -> Iterator[tuple[int, _Outcome]]:
    """Yield number and outcome of each source, in order."""
    if n_workers == 1:
        extractor = Extractor(spec)
        for i, source in enumerate(sources):
            yield i, _outcome(extractor, source)
        return
    for i, source in enumerate(sources):
        if not isinstance(source, str | bytes | os.PathLike):
            raise ParameterError(f"source {i} is a {type(source).__name__}: use workers=1")
    spec.to_dict()  # raises an error if other processes cannot make the spec
    warm_up(spec)  # otherwise each process would compile the kernels
    # Not fork: it would copy locks that other threads of this process hold.
    with ProcessPoolExecutor(
        n_workers, get_context("spawn"), initializer=_begin, initargs=(spec,)
    ) as pool:
        try:
            _start(pool, n_workers)
            yield from _by_pool(pool, sources, n_workers)
        except BrokenProcessPool as error:
            raise FeaturelibError(
                "a process died over a file: jobs.extract_corpus finds which, and goes on"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start(pool: ProcessPoolExecutor, n_workers: int) -> None:
    """Start the processes; wait for the first of them."""
    started = [pool.submit(os.getpid) for _ in range(n_workers)]
    try:
        started[0].result()
    except BrokenProcessPool as error:
        raise FeaturelibError(
            "no process could start: call extract_files in a file, under"
            ' `if __name__ == "__main__":`, or give workers=1'
        ) from error


def _by_pool(
    pool: ProcessPoolExecutor, sources: Sequence[Source], n_workers: int
) -> Iterator[tuple[int, _Outcome]]:
    starts = iter(range(0, len(sources), _CHUNK_FILES))
    waiting: dict[int, Future[list[_Outcome]]] = {}
    next_start = 0
    while True:
        # Submit only some tasks ahead, because waiting results take memory.
        for start in itertools.islice(starts, 4 * n_workers - len(waiting)):
            chunk = sources[start : start + _CHUNK_FILES]
            waiting[start] = pool.submit(_extract_chunk, list(chunk))
        if not waiting:
            return
        yield from enumerate(waiting.pop(next_start).result(), start=next_start)
        next_start += _CHUNK_FILES


_extractor: Any = None


def _begin(spec: FeatureSpec) -> None:
    """Initialise a worker process."""
    global _extractor  # the only way to pass an object to the tasks of a process
    _extractor = Extractor(spec)


def _extract_chunk(sources: list[Source]) -> list[_Outcome]:
    return [_outcome(_extractor, source) for source in sources]


def _outcome(extractor: Extractor, source: Source) -> _Outcome:
    try:
        return list(extractor.file(source))
    except (AudioError, OSError) as error:
        return error
