"""Settings of a run, which never change a value, from the command line and TOML files."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import featurelib
from jobs.errors import UsageError
from jobs.storage.urls import canonical_location

#: Values of `Settings.cluster` that are not addresses.
LOCAL = "local"
INLINE = "inline"

#: Kinds of clusters with a name.
SLURM, SSH, KUBERNETES = "slurm", "ssh", "kubernetes"
KINDS = (LOCAL, INLINE, SLURM, SSH, KUBERNETES)

#: How long a run waits for the first worker, and later for another one [s]: where workers wait in
#: a queue; where a machine may have to be started first; elsewhere.
_QUEUE_S, _MACHINE_S, _FIRST_S, _LATER_S = 14_400.0, 1_800.0, 120.0, 60.0

_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_RANGE = re.compile(r"(\d{1,6})(?::(\d{1,6}))?")

_ADDRESS = re.compile(r"(\[[0-9a-f:]+\]|[^\s:/@\[\]]+):(\d{1,5})")
_LAST_PORT = 65535

_TAG_PREFIX = "tag:"

_SIDES = ("corpus", "table")

#: Storage options that are text, even if they look like numbers.
_ALWAYS_TEXT = {
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "key",
    "password",
    "secret",
    "token",
    "username",
}

_FEW_BYTES = re.compile(r"\d{1,6}(\.\d+)? ?B?")
_MEMORY = re.compile(r"auto|\d+(\.\d+)? ?([kMGT]i?)?B?")


@dataclass(frozen=True)
class Settings:
    """Settings of a run: everything except its corpus, table and spec.

    Attributes
    ----------
    labels : str
        ``none``, ``parent`` (the folder of each file), ``name:PATTERN`` (a part of each file's
        name, see `jobs.corpus.path_labels`), ``tag:NAME`` (a tag of each file), or the location
        of a label file.
    tags : tuple of str
        Tags of each file that become columns, from `featurelib.TAGS`.
    partition_by : str, optional
        ``label`` or ``none``; by default ``label`` if there are labels that are known before
        files are read.
    include, exclude : tuple of str
        Patterns for paths; ``*`` also matches ``/``.
    limit : int, optional
        Maximum number of files.
    verify_list : bool
        Look up every file of a list, even if the list states its size and version.
    cluster : str
        ``local`` for worker processes on this machine; the address of a Dask scheduler; ``slurm``,
        ``ssh`` or ``kubernetes``; or the dotted name of a Dask cluster class.
        ``inline`` for this process without Dask, for debugging and a few files: a file that
        crashes a decoder then ends the run.
    cluster_options : dict
        Arguments of the cluster, the table ``[cluster]`` of a settings file.
    workers : int or str, optional
        Number of workers (default one per core of this machine). With an address, number of
        workers to wait for before the start (default 1). ``"MIN:MAX"`` lets the cluster grow and
        shrink with the work.
    tls : str, optional
        Folder with the certificates of the cluster, as ``featurelib cluster certificates`` makes
        it.
    worker_memory : str
        Memory limit of each worker that is local or started by SSH, in Dask's notation. A file for
        which a worker needs more than 90 % of it fails as ``crashed``.
    buckets : int, optional
        Number of parts per label, fixed when the table is made. By default parts have about
        50 MB.
    storage_options : tuple of str
        ``key=value`` for fsspec. The prefix ``corpus:`` or ``table:`` selects one side.
    max_failed : float
        Publish nothing if a larger fraction of the extracted files failed.
    max_deleted : float
        Do nothing if a larger fraction of the table's files would be deleted.
    keep_missing : bool, optional
        Keep the rows of files that are not listed. By default true for lists, and for
        filtered or limited listings.
    recompute : bool
        Extract every file again.
    reuse : str, optional
        Another table of the same corpus. Columns with the same values are copied from it, for
        files that have not changed, and only the others are computed.
    retry_failed : bool
        Also retry files that failed because of their content.
    single_writer : bool
        Skip the check that the storage can exclude other writers.
    file_timeout_s : float
        A file that takes longer fails as ``timed_out`` [s]. A worker that gives no sign for so
        long is restarted.
    first_worker_timeout_s : float, optional
        How long a run waits for the first worker of its cluster [s]; default 120, with
        ``kubernetes`` 1 800, with ``slurm`` and classes 14 400.
    no_worker_timeout_s : float, optional
        How long a cluster may be without any worker later [s]; default 60, with ``kubernetes``
        1 800, with ``slurm`` and classes 14 400.
    prefetch_mb : float
        Maximum size of the files that a worker reads ahead [MiB].
    lease_period_s : float
        On S3, a lease that is not renewed within this time is dead [s].
    reader_grace_s : float
        How long rows that move from one part to another stay in both, for readers whose scan
        has begun [s].
    metrics : str, optional
        Where Prometheus finds the metrics of the run: ``127.0.0.1:PORT``, or a file that ends in
        ``.prom``.
    dashboard : bool
        Serve Dask's dashboard on this machine alone. A cluster at an address has its own.
    performance_report : str, optional
        File for Dask's report (HTML) on what scheduler and workers did.
    on_success, on_failure : str, optional
        Shell commands to run at the end.
    keep_runs : int
        Number of runs whose records (log, summary) are kept.
    keep_runs_days : float
        How long records of runs are kept [days].
    """

    labels: str = "none"
    tags: tuple[str, ...] = ()
    partition_by: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    limit: int | None = None
    verify_list: bool = False
    cluster: str = LOCAL
    cluster_options: dict[str, Any] = field(default_factory=dict, repr=False)
    workers: int | str | None = None
    tls: str | None = None
    worker_memory: str = "auto"
    buckets: int | None = None
    storage_options: tuple[str, ...] = field(default=(), repr=False)
    max_failed: float = 1.0
    max_deleted: float = 0.1
    keep_missing: bool | None = None
    recompute: bool = False
    reuse: str | None = None
    retry_failed: bool = False
    single_writer: bool = False
    file_timeout_s: float = 600.0
    first_worker_timeout_s: float | None = None
    no_worker_timeout_s: float | None = None
    prefetch_mb: float = 64.0
    lease_period_s: float = 30.0
    reader_grace_s: float = 5.0
    metrics: str | None = None
    dashboard: bool = False
    performance_report: str | None = None
    on_success: str | None = field(default=None, repr=False)
    on_failure: str | None = field(default=None, repr=False)
    keep_runs: int = 100
    keep_runs_days: float = 365.0

    def __post_init__(self) -> None:
        for name, low in (("limit", 1), ("buckets", 1), ("keep_runs", 1)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise UsageError(f"{name} is {value}: give a whole number of at least {low}")
        for name in ("max_failed", "max_deleted"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}: give a fraction from 0 to 1")
        if not 0 <= self.reader_grace_s < math.inf:
            raise UsageError(f"reader_grace_s is {self.reader_grace_s}: give a number of seconds")
        for name in (
            *("file_timeout_s", "first_worker_timeout_s", "no_worker_timeout_s"),
            *("prefetch_mb", "lease_period_s", "keep_runs_days"),
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} is {value}: give a number above 0")
        if not _MEMORY.fullmatch(self.worker_memory):
            raise UsageError(
                f"worker_memory is {self.worker_memory!r}: give a size such as '2GB', or 'auto'"
            )
        if _FEW_BYTES.fullmatch(self.worker_memory):
            raise UsageError(
                f"worker_memory is {self.worker_memory!r}, which are bytes: give a unit, such as"
                " '2GB'"
            )
        _check_cluster(self.cluster)
        if self.metrics is not None:
            metrics_address(self.metrics)
        if self.performance_report is not None and self.cluster == INLINE:
            raise UsageError(
                "performance_report is of a cluster's scheduler, which cluster 'inline' does not"
                " have: leave one of them out"
            )
        object.__setattr__(self, "workers", _workers(self.workers))
        if self.partition_by not in (None, "label", "none"):
            raise UsageError(f"partition_by is {self.partition_by!r}: give 'label' or 'none'")
        if self.reuse is not None and self.recompute:
            raise UsageError("recompute extracts every file, so it cannot reuse: give one of them")
        for name in (*self.tags, *(() if self.label_tag is None else (self.label_tag,))):
            if name not in featurelib.TAGS:
                option = "tags" if name in self.tags else f"labels is {self.labels!r}"
                raise UsageError(
                    f"{option}: there is no tag {name!r}; there are {', '.join(featurelib.TAGS)}"
                )
        self.options_for("corpus")

    @property
    def min_workers(self) -> int | None:
        """Smallest number of workers; None if it is not given."""
        return self._worker_range()[0]

    @property
    def max_workers(self) -> int | None:
        """Largest number of workers; None if it is not given."""
        return self._worker_range()[1]

    def _worker_range(self) -> tuple[int | None, int | None]:
        if isinstance(self.workers, str):
            low, _, high = self.workers.partition(":")
            return int(low), int(high)
        return self.workers, self.workers

    @property
    def is_adaptive(self) -> bool:
        """Whether the cluster grows and shrinks with the work."""
        return isinstance(self.workers, str)

    @property
    def is_class(self) -> bool:
        """Whether the cluster is the dotted name of a class."""
        return "://" not in self.cluster and self.cluster not in KINDS

    @property
    def first_worker_limit_s(self) -> float:
        """How long the run waits for its first worker [s]."""
        return self.first_worker_timeout_s or self._limit_s(_FIRST_S)

    @property
    def no_worker_limit_s(self) -> float:
        """How long the cluster may be without workers later [s]."""
        return self.no_worker_timeout_s or self._limit_s(_LATER_S)

    def _limit_s(self, otherwise: float) -> float:
        if self.cluster == SLURM or self.is_class:
            return _QUEUE_S
        return _MACHINE_S if self.cluster == KUBERNETES else otherwise

    @property
    def label_tag(self) -> str | None:
        """Name of the tag that is the label of a file; None if labels are no tags."""
        is_tag = self.labels.startswith(_TAG_PREFIX)
        return self.labels.removeprefix(_TAG_PREFIX) if is_tag else None

    @property
    def tag_columns(self) -> list[str]:
        """Names of the columns of tags, in table order."""
        return [name for name in featurelib.TAGS if name in self.tags] if self.tags else []

    @property
    def has_label_file(self) -> bool:
        """Whether `labels` is a location."""
        is_other = self.labels.startswith(("name:", _TAG_PREFIX))
        return self.labels not in ("none", "parent") and not is_other

    def options_for(self, side: str) -> dict[str, Any]:
        """Return the storage options of one side, ``corpus`` or ``table``.

        Raises
        ------
        UsageError
            If an option has no value, another prefix, or a key that clashes with another.
        """
        options: dict[str, Any] = {}
        for text in self.storage_options:
            key, equals, value = text.partition("=")
            if not (key and equals):
                raise UsageError(f"storage option {key!r} has no value: write key=value")
            prefix, colon, rest = key.partition(":")
            if colon:
                if prefix not in _SIDES:
                    raise UsageError(
                        f"storage option {key!r}: before the colon goes {' or '.join(_SIDES)}"
                    )
                if prefix != side:
                    continue
                key = rest
            *parents, last = key.split(".")
            place = options
            for parent in parents:
                place = place.setdefault(parent, {})
                if not isinstance(place, dict):
                    raise UsageError(f"storage option {key!r}: {parent!r} has a value already")
            place[last] = value if last in _ALWAYS_TEXT else _value(value)
        return options


def _check_cluster(cluster: str) -> None:
    if cluster in KINDS or "://" in cluster or _CLASS.fullmatch(cluster):
        return
    kinds = ", ".join(repr(kind) for kind in KINDS)
    raise UsageError(
        f"cluster is {cluster!r}: give {kinds}, a scheduler's address such as"
        " tcp://127.0.0.1:8786 or tls://HOST:8786, or a class such as dask_jobqueue.PBSCluster"
    )


def metrics_address(where: str) -> tuple[str, int] | None:
    """Return the address and port of `Settings.metrics`; None if it is a file.

    Raises
    ------
    UsageError
        If it is neither, or the address can be reached from other machines.
    """
    if where.endswith(".prom"):
        return None
    found = _ADDRESS.fullmatch(where)
    host, port = (found[1].strip("[]"), int(found[2])) if found else ("", 0)
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback or port > _LAST_PORT:
        raise UsageError(
            f"metrics is {where!r}: give 127.0.0.1:PORT (there is no TLS, so other machines may not"
            " reach it), or a file that ends in .prom"
        )
    return host, port


def _workers(workers: int | str | None) -> int | str | None:
    """Return a number of workers, or ``MIN:MAX`` if the two differ."""
    found = _RANGE.fullmatch(str(workers))
    if workers is None or (isinstance(workers, int) and workers >= 1):
        return workers
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not (0 <= low <= high and high >= 1):
        raise UsageError(
            f"workers is {workers!r}: give a whole number of at least 1, or MIN:MAX such as 0:20"
        )
    return low if low == high else f"{low}:{high}"


def _value(text: str) -> Any:
    if text in ("true", "false") or text.lstrip("-").isdigit() or text.startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def storage_texts(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield storage options of a mapping as values of `Settings.storage_options`.

    Raises
    ------
    UsageError
        If a value is no text, number or flag.
    """
    for key, value in options.items():
        if isinstance(value, Mapping):
            yield from storage_texts(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            yield f"{prefix}{key}={str(value).lower()}"
        elif isinstance(value, str | int):
            yield f"{prefix}{key}={value}"
        else:
            raise UsageError(
                f"storage option {prefix}{key} is {value!r}: give a string, number or flag"
            )


def secrets_of(settings: Settings) -> list[str]:
    """Return the values that must not appear in a log: all text in storage options."""
    texts = {text.partition("=")[2] for text in settings.storage_options}
    for side in _SIDES:
        texts.update(_texts(settings.options_for(side)))
    return sorted((text for text in texts if len(text) >= 4), key=len, reverse=True)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def public(settings: Settings) -> dict[str, Any]:
    """Return the settings for a log, with only the names of storage options."""
    values = {f.name: getattr(settings, f.name) for f in fields(settings)}
    if settings.has_label_file:
        values["labels"] = canonical_location(settings.labels)
    if settings.reuse is not None:
        values["reuse"] = canonical_location(settings.reuse)
    values["cluster_options"] = dict.fromkeys(settings.cluster_options, "…")
    for name in ("on_success", "on_failure"):  # may have an address that is a secret
        values[name] = None if values[name] is None else "…"
    values["storage_options"] = [t.partition("=")[0] + "=…" for t in settings.storage_options]
    return values


def read_config(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a TOML file of settings.

    Returns
    -------
    spec, run : dict
        Its ``[spec]`` table, for `featurelib.spec_from_settings`, and its ``[run]``
        table, for `with_values`, with the ``[cluster]`` table as ``cluster_options``.

    Raises
    ------
    UsageError
        If the file cannot be read, is not TOML, or has other tables.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    for name, table in values.items():
        if name not in ("spec", "run", "cluster"):
            raise UsageError(
                f"{path}: there is no table [{name}]; there are [spec], [run] and [cluster]"
            )
        if not isinstance(table, dict):
            raise UsageError(f"{path}: {name} has to be a table, [{name}]")
    run = values.get("run", {})
    if "cluster" in values:
        run = {"cluster_options": values["cluster"], **run}
    return values.get("spec", {}), run


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a string"),
    "str | None": ((str,), "a string"),
    "int": ((int,), "a whole number"),
    "int | None": ((int,), "a whole number"),
    "int | str | None": ((int, str), "a whole number, or MIN:MAX"),
    "dict[str, Any]": ((dict,), "a table"),
    "float": ((int, float), "a number"),
    "float | None": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
    "bool | None": ((bool,), "true or false"),
    "tuple[str, ...]": ((list, tuple), "a list of strings"),
}


def with_values(settings: Settings, values: dict[str, Any], where: str) -> Settings:
    """Return settings with some values replaced.

    Parameters
    ----------
    settings : Settings
        Settings with the other values.
    values : dict
        New values, by name.
    where : str
        Source of the new values, for errors.

    Raises
    ------
    UsageError
        If a name is unknown, or a value has the wrong type or range.
    """
    return replace(settings, **checked_values(Settings, values, where))


def checked_values(kind: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return values for the fields of a dataclass, lists as tuples.

    Parameters
    ----------
    kind : type
        The dataclass.
    values : mapping
        Values, by name.
    where : str
        Source of the values, for errors.

    Raises
    ------
    UsageError
        If a name is unknown, or a value has the wrong type.
    """
    known = {f.name: str(f.type) for f in fields(kind)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"{where}: there is no setting {name!r}{did_you_mean(name, known)}")
        types, in_words = _TYPES[known[name]]
        fits = isinstance(value, types) and isinstance(value, bool) == (bool in types)
        if list in types:
            fits = fits and all(isinstance(element, str) for element in value)
        if not (fits or (value is None and "None" in known[name])):
            raise UsageError(f"{where}: {name} is {value!r}: give {in_words}")
        checked[name] = tuple(value) if isinstance(value, list) else value
    return checked


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint with the closest known name, or with all known names."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"
