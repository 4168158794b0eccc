"""The Python interface: `extract_corpus`."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import featurelib
from jobs.diagnostics.events import Observer, broadcast
from jobs.diagnostics.progress import progress_for_terminal
from jobs.diagnostics.report import RunReport
from jobs.errors import UsageError
from jobs.execution import forkserver
from jobs.execution.opening import open_executor
from jobs.request import RunRequest
from jobs.run import plan_job, run_job
from jobs.settings import Settings, with_values

if TYPE_CHECKING:
    import distributed


def extract_corpus(
    corpus: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    spec: str | featurelib.FeatureSpec | None = None,
    preset: str | None = None,
    client: distributed.Client | None = None,
    progress: bool = False,
    observer: Observer | None = None,
    dry_run: bool = False,
    **settings: Any,
) -> RunReport:
    """Make or update the feature table of a corpus of audio files.

    Parameters
    ----------
    corpus : str or path
        A folder, ``s3://bucket/prefix`` or another fsspec URL, a glob, or a file list.
    table : str or path
        Folder or URL of the table; created if missing.
    spec : str or FeatureSpec, optional
        A spec or the name of a preset; ``genre-v1`` by default.
    preset : str, optional
        Name of a preset, instead of `spec`.
    client : distributed.Client, optional
        Client of the cluster to use. By default the run starts a cluster as in `settings`,
        which is an embedded local cluster unless set otherwise. Its scheduler must be on this
        machine or use TLS.
    progress : bool
        Show a bar on a terminal or in a notebook, or lines elsewhere.
    observer : callable, optional
        Receives every event of the run, see `jobs.diagnostics.events`; also with `progress`.
    dry_run : bool
        Only plan: write nothing, and return the plan in the report.
    **settings
        See `jobs.settings.Settings`: ``labels``, ``workers``, ``max_failed``, …;
        ``storage_options`` may be a dict.

    Returns
    -------
    RunReport
        Counts, times and notes of the run.

    Raises
    ------
    JobError
        If the run fails; the message names the cause and the remedy in one line.
    featurelib.SpecError
        If the spec is not valid.

    Examples
    --------
    >>> from jobs import extract_corpus
    >>> report = extract_corpus("music", "table", labels="parent", cluster="inline")
    >>> report.n_files, report.n_errors
    (4, 0)

    Run it again, and only new and changed files are read:

    >>> extract_corpus("music", "table", labels="parent", cluster="inline").n_read
    0
    """
    request = RunRequest(
        os.fspath(corpus),
        os.fspath(table),
        featurelib.get_spec(spec, preset=preset),
        with_values(Settings(), _plain(settings), "extract_corpus"),
    )
    opener = functools.partial(open_executor, request.settings, client)
    with contextlib.ExitStack() as stack:
        shown = stack.enter_context(progress_for_terminal(quiet=not progress))
        notify = shown if observer is None else broadcast(shown, observer)
        if dry_run:
            return plan_job(request, notify)
        if client is None:
            stack.enter_context(forkserver.ahead_of(request.settings, request.table))
        return run_job(request, opener, notify)


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    options = settings.get("storage_options")
    if isinstance(options, Mapping):
        settings["storage_options"] = tuple(_flat(options))
    return {
        name: list(value) if isinstance(value, tuple | list) else value
        for name, value in settings.items()
    }


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            yield f"{prefix}{key}={str(value).lower()}"
        elif isinstance(value, str | int):
            yield f"{prefix}{key}={value}"
        else:
            raise UsageError(
                f"storage option {prefix}{key} is {value!r}: give a string, number or flag"
            )
