"""Many files at once, on the cores of this machine."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Literal

from featurelib.columns import feature_names, schema
from featurelib.errors import AudioError, FeaturelibError, ParameterError
from featurelib.extraction.extract import warm_up
from featurelib.extraction.extractor import Extractor
from featurelib.progress import Progress, progress
from featurelib.rows import RowCollector, Rows
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.specs.presets import get_spec

if TYPE_CHECKING:
    import pandas as pd

    from featurelib.audio.sources import Source

#: Index of the table: what tells its rows apart.
_KEY = ("path", "channel", "segment")

#: Files that a process gets at once, and files for which one more process is worth its start.
_CHUNK_FILES = 16
_FILES_A_PROCESS = 100

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
    """Compute the features of many files, without a cluster.

    Parameters
    ----------
    sources : iterable
        Paths, URLs, bytes or file objects, as of `featurelib.extract_columns`.
    spec, preset
        As of `featurelib.extract_columns`.
    workers : int, optional
        Processes. By default one a core, but no more than one for 100 files. More than
        one start new interpreters: a script keeps its call below
        ``if __name__ == "__main__":``. File objects need ``workers=1``.
    on_error : {"raise", "row"}
        What becomes of a file that cannot be used: its error is raised, or it has one row
        without features, whose columns ``error_kind`` and ``message`` say why.
    progress : bool
        Show a bar on a terminal or in a notebook, lines elsewhere.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the sources, with the index (path, channel, segment) and the
        columns of `featurelib.schema`. A source without a path has its number, ``"#3"``; a
        byte of a path that is not UTF-8 is written ``\\xNN``.
        With ``on_error="row"`` also ``error_kind`` (a kind of `AudioError`, ``vanished`` or
        ``unreadable``) and ``message``, null for files that could be used.

    Raises
    ------
    AudioError, OSError
        If a file cannot be used and ``on_error="raise"``; a note names the file.
    SpecError, ParameterError
        If the spec or an argument cannot be used.
    FeaturelibError
        If a process dies over a file.

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
    if isinstance(sources, str | bytes | os.PathLike):
        raise ParameterError("sources is one source: give a list, or use featurelib.extract")
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
        frame["error_kind"], frame["message"] = kinds, messages
    return frame.set_index(list(_KEY))


def _kind(error: Exception) -> str:
    if isinstance(error, AudioError):
        return error.kind
    return "vanished" if isinstance(error, FileNotFoundError) else "unreadable"


def _name(source: Source, number: int) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fsencode(source).decode(errors="backslashreplace")
    return f"#{number}"


def _n_workers(workers: int | None, n_files: int) -> int:
    if workers is None:
        return max(1, min(len(os.sched_getaffinity(0)), n_files // _FILES_A_PROCESS))
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ParameterError(f"workers={workers!r} is not a whole number of at least 1")
    return workers


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
    """Number and outcome of each source, in their order."""
    if n_workers == 1:
        extractor = Extractor(spec)
        for i, source in enumerate(sources):
            yield i, _outcome(extractor, source)
        return
    for i, source in enumerate(sources):
        if not isinstance(source, str | bytes | os.PathLike):
            raise ParameterError(f"source {i} is a {type(source).__name__}: use workers=1")
    warm_up(spec)  # processes that compile at once would do it twice
    # Fork would copy locks that threads of this process hold.
    with ProcessPoolExecutor(
        n_workers, get_context("spawn"), initializer=_begin, initargs=(spec,)
    ) as pool:
        try:
            yield from _by_pool(pool, sources, n_workers)
        except BrokenProcessPool as error:
            raise FeaturelibError(
                "a process died over a file: jobs.extract_corpus finds which, and goes on"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _by_pool(
    pool: ProcessPoolExecutor, sources: Sequence[Source], n_workers: int
) -> Iterator[tuple[int, _Outcome]]:
    starts = iter(range(0, len(sources), _CHUNK_FILES))
    waiting: dict[int, Future[list[_Outcome]]] = {}
    next_start = 0
    while True:
        # Some ahead, and no more: results that wait for their turn take memory.
        for start in itertools.islice(starts, 4 * n_workers - len(waiting)):
            chunk = sources[start : start + _CHUNK_FILES]
            waiting[start] = pool.submit(_extract_chunk, list(chunk))
        if not waiting:
            return
        yield from enumerate(waiting.pop(next_start).result(), start=next_start)
        next_start += _CHUNK_FILES


_extractor: Any = None


def _begin(spec: FeatureSpec) -> None:
    """Prepare a process."""
    global _extractor  # the only way to hand something to a process's tasks
    _extractor = Extractor(spec)


def _extract_chunk(sources: list[Source]) -> list[_Outcome]:
    return [_outcome(_extractor, source) for source in sources]


def _outcome(extractor: Extractor, source: Source) -> _Outcome:
    try:
        return list(extractor.file(source))
    except (AudioError, OSError) as error:
        return error
