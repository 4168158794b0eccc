"""The status of a table: its contents, errors and runs, and the plan of another run."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.diagnostics.run_report import RunReport
from jobs.errors import JobError, TableError
from jobs.runs import mark_killed
from jobs.storage.urls import location_from_canonical
from jobs.table.history import last_summaries, run_ids
from jobs.table.layout import is_errors
from jobs.table.reader import Table, open_table
from jobs.table.signs import COLUMNS, CUT, DAMAGED, count_signs, count_values, sign_lines

_RUNS_SHOWN = 5

#: Settings whose values no log has.
_WITHHELD = {"storage_options", "cluster_options", "on_success", "on_failure"}


def error_rows(location: str, options: dict[str, Any]) -> pa.Table:
    """Return the error rows of a table, sorted by path."""
    return errors_of(open_table(location, options))


def errors_of(table: Table) -> pa.Table:
    """Return the error rows of an open table, sorted by path."""
    parts = [part for part in table.parts if is_errors(part)]
    rows = [table.read_columns(part, table.error_schema.names) for part in sorted(parts)]
    errors = pa.concat_tables(rows) if rows else table.error_schema.empty_table()
    return errors.sort_by("path")


def partial_rows(location: str, options: dict[str, Any]) -> pa.Table:
    """Return first rows of the files that were decoded only in part, sorted by path."""
    table = open_table(location, options)
    names = ["path", "decoding", "lost_s", "duration_s", "header_duration_s", "decoder"]
    schema = pa.schema([table.feature_schema.field(name) for name in names])
    rows = [schema.empty_table()]
    for _, first in table.each_first_rows(names):
        rows.append(first.filter(pc.is_in(first["decoding"], pa.array([DAMAGED, CUT]))))
    return pa.concat_tables([r.replace_schema_metadata(None) for r in rows]).sort_by("path")


@dataclass
class Status:
    """The contents of a table, its runs, and the plan of another run.

    Attributes
    ----------
    table, corpus, preset : str
        Location of the table, its corpus root, and the name of its spec.
    n_buckets, n_parts : int
        Number of hash buckets and parts.
    n_files : int
        Number of files with features.
    n_rows : int
        Number of feature rows, one or more per file.
    errors : Counter
        Number of files with an error row, by kind.
    labels : Counter
        Number of files with features, by label.
    signs : Counter
        Number of files with each sign: see `jobs.table.signs`.
    n_runs : int
        Number of runs.
    runs : list of dict
        Summaries of the last runs, oldest first.
    rerun : dict
        Number of files by planning class for another run; empty if it cannot be planned.
    n_surplus : int
        Number of repeated entries that a killed run has left, and another run would remove.
    n_waiting : int
        Number of files that runs have finished, and another run would publish.
    rerun_problem : str
        Why another run cannot be planned.
    """

    table: str
    corpus: str
    preset: str
    n_buckets: int
    n_parts: int
    n_files: int = 0
    n_rows: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    labels: Counter[str | None] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    n_runs: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)
    rerun: dict[str, int] = field(default_factory=dict)
    n_surplus: int = 0
    n_waiting: int = 0
    rerun_problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the status as a dictionary for JSON."""
        return {
            **{k: v for k, v in vars(self).items() if k not in ("labels", "errors", "signs")},
            "errors": dict(self.errors),
            "signs": dict(self.signs),
            "labels": [{"label": label, "files": n} for label, n in self.labels.items()],
        }

    def lines(self) -> list[str]:
        """Return the status as lines of text for people."""
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.errors.items()))
        lines = [
            f"table    {self.table}",
            f"corpus   {self.corpus}",
            f"spec     {self.preset}",
            f"rows     {self.n_rows}"
            + (f" of {self.n_files} files" if self.n_rows != self.n_files else ""),
            f"errors   {sum(self.errors.values())}" + (f" ({kinds})" if kinds else ""),
            *(f"         {line}" for line in sign_lines(self.signs, self.table)),
            f"parts    {self.n_parts} (buckets: {self.n_buckets})",
            f"runs     {self.n_runs}",
        ]
        for run in self.runs:
            report = run.get("report", {})
            line = f"         {run.get('run_id')}  {report.get('status')}"
            if seconds := sum(report.get("seconds", {}).values()):  # not if its driver died
                line += f", {report.get('read', 0)} files read, {seconds:.1f} s"
            lines.append(line)
        if self.rerun_problem:
            lines.append(f"rerun    cannot be planned: {self.rerun_problem}")
        else:
            todo = ", ".join(f"{n} {name}" for name, n in self.rerun.items() if n)
            lines.append(f"rerun    {todo or 'nothing listed'}")
            if self.n_surplus:
                lines.append(
                    f"         {self.n_surplus} entries are in the table twice, since a run was"
                    " killed while it moved rows; the next run removes them"
                )
            if self.n_waiting:
                lines.append(
                    f"         {self.n_waiting} of them are finished but not published;"
                    " the next run publishes them without reading them again"
                )
        return lines


def table_status(
    location: str, options: dict[str, Any], corpus_options: dict[str, Any] | None = None
) -> Status:
    """Return the status of a table, with the plan of another run with the last run's settings.

    Parameters
    ----------
    location : str
        Location of the table.
    options : dict
        Storage options for fsspec.
    corpus_options : dict, optional
        The same for the corpus, if they differ.

    Raises
    ------
    TableError
        If there is no table, or it cannot be read.
    """
    table = open_table(location, options)
    metadata = table.metadata
    status = Status(
        table.store.url,
        metadata.corpus,
        str(metadata.spec.get("name", "custom")),
        metadata.n_buckets,
        len(table.parts),
    )
    for part in table.parts:
        if is_errors(part):
            status.errors += count_values(table.read_columns(part, ["error_kind"])["error_kind"])
        else:
            rows = table.first_rows(part, ["label", *COLUMNS])
            status.labels += count_values(rows["label"])
            status.signs += count_signs(rows)
            status.n_rows += table.n_rows(part)
    status.n_files = sum(status.labels.values())
    runs = run_ids(table.store)
    status.n_runs = len(runs)
    status.runs = last_summaries(table.store, runs, _RUNS_SHOWN)
    mark_killed(status.runs, table.store)
    try:
        report = _rerun(table, status.runs, options, corpus_options)
        status.rerun, status.n_waiting = report.to_dict()["planned"], report.n_reused
        status.n_surplus = report.n_surplus
    except JobError as error:
        status.rerun_problem = str(error)
    return status


def _rerun(
    table: Table,
    runs: list[dict[str, Any]],
    options: dict[str, Any],
    corpus_options: dict[str, Any] | None,
) -> RunReport:
    from jobs.request import RunRequest
    from jobs.run import plan_job
    from jobs.settings import Settings, with_values

    if not runs:
        raise TableError("no run has left its settings")
    last = runs[-1]
    values = {k: v for k, v in last["settings"].items() if k not in _WITHHELD}
    values |= {"recompute": False, "retry_failed": False, "reuse": None}
    sides = {"table": options, "corpus": options if corpus_options is None else corpus_options}
    values["storage_options"] = [
        f"{side}:{key}={value if isinstance(value, str) else json.dumps(value)}"
        for side, own in sides.items()
        for key, value in own.items()
    ]
    settings = with_values(Settings(), values, "run.json")
    if settings.has_label_file:
        settings = replace(settings, labels=location_from_canonical(settings.labels))
    spec = table.metadata.recorded_spec
    request = RunRequest(
        location_from_canonical(last["corpus"]), table.store.address, spec, settings
    )
    return plan_job(request)
