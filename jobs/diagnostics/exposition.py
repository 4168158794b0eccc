"""Where Prometheus finds the metrics of a run: an address on loopback, or a file."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from featurelib.extras import needing
from jobs.diagnostics.events import Event, Observer, RunStarted, Serving, broadcast
from jobs.errors import TableBusyError, UsageError, exit_code_of
from jobs.settings import metrics_address

with needing("metrics"):
    from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
    from prometheus_client.parser import text_string_to_metric_families

from jobs.diagnostics.metrics import LAST_SUCCESS, RunMetrics

#: How often the file is replaced [s].
_EVERY_S = 15.0

#: Mode of the file: the node exporter is another user, whatever the umask of the run.
_READABLE = 0o644


@contextlib.contextmanager
def exposed(where: str, table: str, observer: Observer) -> Iterator[Observer]:
    """Context manager for an observer that measures a run, and passes events on.

    Parameters
    ----------
    where : str
        `jobs.settings.Settings.metrics`.
    table : str
        Location of the table, without secrets.
    observer : callable
        Another observer. It is told the address.

    Raises
    ------
    UsageError
        If the address is in use, or the file cannot be written.
    """
    address = metrics_address(where)
    with contextlib.ExitStack() as stack:
        if address is None:
            path = Path(where)
            _check_writable(path)
            metrics = RunMetrics(table, _last_success(path, table))
            observer = broadcast(stack.enter_context(_in_file(path, metrics)), observer)
        else:
            metrics = RunMetrics(table)
            observer(Serving("metrics", stack.enter_context(_at_address(*address, metrics))))
        try:
            yield broadcast(metrics, observer)
        except BaseException as error:
            if metrics.has_begun or not isinstance(error, TableBusyError):
                metrics.end(exit_code_of(error))  # else the file is that of the other run
            raise
        metrics.end()


def _registry(metrics: RunMetrics) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry


@contextlib.contextmanager
def _at_address(host: str, port: int, metrics: RunMetrics) -> Iterator[str]:
    try:
        server, thread = start_http_server(port, host, _registry(metrics))
    except OSError as error:
        raise UsageError(
            f"metrics: cannot listen at {host}:{port}: {error.strerror or error}; give another port"
        ) from error
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _in_file(path: Path, metrics: RunMetrics) -> Iterator[Observer]:
    """Context manager for an observer that begins to write a file when the run begins.

    Until then it may be the file of another run.
    """
    registry, ended = _registry(metrics), threading.Event()

    def write_now_and_then() -> None:
        while True:
            with contextlib.suppress(OSError):  # if it lasts, the end warns of it
                _write(path, registry)
            if ended.wait(_EVERY_S):
                return

    thread = threading.Thread(target=write_now_and_then, name="metrics", daemon=True)

    def begin(event: Event) -> None:
        if isinstance(event, RunStarted):
            thread.start()

    try:
        yield begin
    finally:
        ended.set()
        if thread.ident is not None:
            thread.join()
        try:
            if metrics.has_ended:
                _write(path, registry)
        except OSError as error:  # it is no reason to lose a run
            warnings.warn(f"metrics: {path} cannot be written: {error.strerror}", stacklevel=2)


def _write(path: Path, registry: CollectorRegistry) -> None:
    write_to_textfile(str(path), registry)
    path.chmod(_READABLE)


def _check_writable(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir() or path.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"metrics: {path} cannot be written: give a file in a folder that exists and that"
            " you may write"
        )


def _last_success(path: Path, table: str) -> float | None:
    """Return what an earlier run has written of the same table; None if there is nothing."""
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no file, or damaged
        return None
    samples = [s for family in families if family.name == LAST_SUCCESS for s in family.samples]
    return next((s.value for s in samples if s.labels.get("table") == table), None)
