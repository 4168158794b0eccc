"""The job against a dictionary: random changes, failures, interruptions and reruns."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import featurelib
from jobs.diagnostics.events import Observer, ignore
from jobs.diagnostics.run_report import RunReport
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from jobs.table.changes import Change
from jobs.table.schema import ROW_KEY
from tests.support.light import inline
from tests.support.moments import Interrupted, at, die

SPEC = featurelib.get_spec("tutorial-v1")
NAMES = [f"{folder}{name}.wav" for folder in ("", "a/", "b =%/") for name in ("1", "2", "3")]
LABELS = ["rock", "01", None]

unreadable: set[str] = set()
"""Files that an extractor in this process cannot read."""
n_extracted: Counter[str] = Counter()


def extractor_of_numbers(source: Any, spec: featurelib.FeatureSpec) -> Iterator[featurelib.Rows]:
    """Make a row of the number in a file; a file with none is bad content."""
    n_extracted[str(source)] += 1
    if str(source) in unreadable:
        raise OSError(5, "Input/output error")
    text = Path(source).read_text()
    if not text.isdigit():
        raise featurelib.AudioError("undecodable", f"no number in {text!r}")
    values: dict[str, Any] = {
        "bool": False,
        "string": "x",
        "int32": 0,
        "int64": 0,
        "float": float(text),
        "double": float(text),
    }
    attributes = {f.name: values[str(f.type)] for f in featurelib.schema(spec)}
    n_segments = 1 + int(text) % 3
    numbers = np.full((n_segments, len(featurelib.feature_names(spec))), float(text), np.float32)
    for channel in range(2) if int(text) % 2 else (None,):
        own = {"channel": [channel] * n_segments, "segment": range(n_segments)}
        yield featurelib.Rows(n_segments, attributes, own, numbers)


# What the table holds for a file: a row's number or an error's kind, and its label.
Entry = tuple[str, str | None]


def entries_of(table: Path) -> list[tuple[str, Entry]]:
    """Return the entries of the table by path, one for each part with rows of the file."""
    found: list[tuple[str, Entry]] = []
    for part in table.rglob("part-*.parquet"):
        rows = pq.ParquetFile(part).read()
        if "error_kind" in rows.column_names:
            columns = (rows[name].to_pylist() for name in ("path", "error_kind", "label"))
            found += [(path, (kind, label)) for path, kind, label in zip(*columns, strict=True)]
            continue
        keys = defaultdict(list)
        columns = (rows[name].to_pylist() for name in ("path", "rmse", "label", *ROW_KEY))
        for path, number, label, *key in zip(*columns, strict=True):
            keys[path, (str(int(number)), label)].append(tuple(key))
        for (path, entry), of_file in keys.items():
            number = int(entry[0])
            channels = range(2) if number % 2 else (None,)
            wanted = Counter((c, s) for c in channels for s in range(1 + number % 3))
            assert Counter(of_file) == wanted  # all rows of a file are there, once
            found.append((path, entry))
    return sorted(found, key=lambda row: row[0])


class TableModel(RuleBasedStateMachine):
    """The corpus is a folder and a label file; the model, what the table may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="featurelib-model-"))
        self.corpus, self.table = self.top / "corpus", self.top / "table"
        self.files: dict[str, str] = {}
        self.labels: dict[str, str | None] = {}
        self.clock = 1_700_000_000_000_000_000
        # by path: what the table may hold now, given interruptions
        self.may_hold: dict[str, set[Entry | None]] = {}
        self.is_settled = True

    def teardown(self) -> None:
        unreadable.clear()
        shutil.rmtree(self.top)

    @initialize()
    def begin(self) -> None:
        self.corpus.mkdir()
        self.write("1.wav", "1")

    def write(self, name: str, text: str) -> None:
        path = self.corpus / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.clock += 1_000_000_000
        os.utime(path, ns=(self.clock, self.clock))
        self.files[name] = text
        self.labels.setdefault(name, "rock")

    @rule(name=st.sampled_from(NAMES), number=st.integers(0, 999))
    def add_or_change(self, name: str, number: int) -> None:
        self.write(name, str(number))

    @rule(name=st.sampled_from(NAMES))
    def spoil(self, name: str) -> None:
        self.write(name, "bad")

    @rule(name=st.sampled_from(NAMES[1:]))
    def delete(self, name: str) -> None:
        if self.files.pop(name, None) is not None:
            (self.corpus / name).unlink()

    @rule(name=st.sampled_from(NAMES), label=st.sampled_from(LABELS))
    def relabel(self, name: str, label: str | None) -> None:
        self.labels[name] = label

    @rule(one=st.sampled_from(NAMES), other=st.sampled_from(NAMES))
    def exchange_labels(self, one: str, other: str) -> None:
        if one in self.labels and other in self.labels:
            self.labels[one], self.labels[other] = self.labels[other], self.labels[one]

    @rule(name=st.sampled_from(NAMES))
    def take_or_give_permission(self, name: str) -> None:
        path = str(self.corpus / name)
        if path in unreadable:
            unreadable.remove(path)
        elif len(unreadable) < 2:  # where all of three cannot be read, a run stops early
            unreadable.add(path)

    def after(self, name: str, retry: bool) -> set[Entry | None]:
        """Return what the table may hold for a listed file after a run that ended."""
        label = self.labels[name]
        text = self.files[name]
        before = self.may_hold.get(name, {None})
        content: Entry = ("undecodable" if text == "bad" else text, label)
        if str(self.corpus / name) not in unreadable:
            return {content}
        # it cannot be read: what it had stays, if that was good or is still what it is
        kept: set[Entry | None] = set()
        for entry in before:
            if entry is not None and entry[0].isdigit():
                kept.add((entry[0], label))
            elif entry is not None and entry[0] == "undecodable" and text == "bad" and not retry:
                kept.update({(entry[0], label), ("unreadable", label)})
            else:
                kept.add(("unreadable", label))
        if not self.is_settled:
            kept.add(content)  # an interrupted run may have read it when it still could
        return kept

    def run(self, observer: Observer = ignore, **options: Any) -> RunReport:
        rows = ["path,label"]
        rows += [f"{name},{label or ''}" for name, label in self.labels.items()]
        (self.top / "labels.csv").write_text("\n".join(rows) + "\n")
        values: dict[str, Any] = {
            "labels": str(self.top / "labels.csv"),
            "max_deleted": 1.0,
            "buckets": 2,
            "reader_grace_s": 0.0,
            "keep_runs": 1,
        }
        request = RunRequest(
            str(self.corpus),
            str(self.table),
            SPEC,
            Settings(**{**values, **options}),
            extractor_of_numbers,
        )
        return run_job(request, inline, observer)

    @rule(retry=st.booleans(), recompute=st.booleans())
    def run_to_the_end(self, retry: bool, recompute: bool) -> None:
        report = self.run(retry_failed=retry, recompute=recompute)
        expected = {name: self.after(name, retry or recompute) for name in self.files}
        held = dict(entries_of(self.table))
        assert held.keys() == expected.keys()
        for name, entry in held.items():
            assert entry in expected[name], name
        numbers = [int(entry[0]) for entry in held.values() if entry[0].isdigit()]
        assert (report.n_files, report.n_errors) == (len(numbers), len(held) - len(numbers))
        assert report.n_rows == sum((1 + n % 3) * (1 + n % 2) for n in numbers)
        assert report.n_files + report.n_errors == len(self.files)
        assert not list(self.table.glob("_job/runs/*/staged/*"))
        self.may_hold = {name: {entry} for name, entry in held.items()}
        self.is_settled = True

    @rule()
    def run_twice_reads_nothing_twice(self) -> None:
        self.run_to_the_end(retry=False, recompute=False)
        parts = {p: p.stat().st_mtime_ns for p in self.table.rglob("part-*.parquet")}
        n_extracted.clear()
        report = self.run()
        assert set(n_extracted) <= unreadable
        assert report.counts[Change.NEW] == report.counts[Change.RELABELLED] == 0
        if not n_extracted:
            assert parts == {p: p.stat().st_mtime_ns for p in self.table.rglob("part-*.parquet")}

    @rule(steps=st.integers(1, 25), recompute=st.booleans())
    def run_and_die(self, steps: int, recompute: bool) -> None:
        before = dict(self.may_hold)
        with contextlib.suppress(Interrupted):
            self.run(at(None, die, steps), recompute=recompute)
        for name in self.files.keys() | before.keys():
            entries: set[Entry | None] = set(before.get(name, {None}))
            if name in self.files:
                entries |= self.after(name, recompute)
            self.may_hold[name] = entries | ({None} if name not in self.files else set())
        self.is_settled = False

    @invariant()
    def nothing_is_lost(self) -> None:
        """After any crash, no file that must be there is missing, and every entry is allowed."""
        found = entries_of(self.table)
        names = {name for name, _ in found}
        for name, entries in self.may_hold.items():
            if None not in entries:
                assert name in names
        for name, entry in found:
            assert entry in self.may_hold[name], name
        if self.is_settled:
            assert len(found) == len(names)


TestTableModel = TableModel.TestCase
TestTableModel.settings = settings(
    max_examples=settings().max_examples // 5,
    stateful_step_count=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a run is slow: no shrinking
    suppress_health_check=list(HealthCheck),
)
