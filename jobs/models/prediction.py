"""Predict the labels of a table, a corpus or one audio file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

import featurelib
from jobs.corpus.filelist import LIST_EXTENSIONS
from jobs.corpus.formats import format_of
from jobs.diagnostics.events import Observer, ignore
from jobs.errors import EXIT_DONE, EXIT_UNREAD, JobError, ModelError, UsageError
from jobs.execution import forkserver
from jobs.execution.native import captured_output
from jobs.execution.opening import executor_opener
from jobs.export.target import check_apart, check_name, new_file
from jobs.models.cross_validation import by_track
from jobs.models.dataset import NoRowsError, read_dataset
from jobs.models.model import Model, check_fits, read_model
from jobs.request import RunRequest
from jobs.run import run_job
from jobs.settings import Settings
from jobs.status import errors_of
from jobs.storage.names import encode_local, encode_path
from jobs.storage.opening import open_store
from jobs.storage.parquet import Writer
from jobs.storage.urls import is_url, redacted, split_name, stored_name
from jobs.table.layout import TABLE_JSON
from jobs.table.reader import open_table
from jobs.table.signs import CUT, DAMAGED

if TYPE_CHECKING:
    import pandas as pd

_WILDCARDS = frozenset("*?[")

#: Extensions of files of predictions.
_FORMATS = (".csv", ".parquet")

#: Begins the names of the columns of probabilities.
_PREFIX = "p_"


@dataclass(frozen=True)
class Predictions:
    """Predicted labels.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row for each file, sorted by path: ``path``, ``label`` (the most probable one), a
        column ``p_<label>`` with the probability of each label, and ``error``: why a file has no
        features, and therefore no label; null for all others.
    classes : list of str
        The labels that the model knows.
    notes : list of str
        What the user should know.
    n_unread : int
        Number of files that could not be read because of storage or network.
    output : str, optional
        Location of the file that was written.
    """

    frame: pd.DataFrame
    classes: list[str]
    notes: list[str] = field(default_factory=list)
    n_unread: int = 0
    output: str | None = None

    @property
    def failed(self) -> pd.DataFrame:
        """The rows of the files that have no features."""
        return self.frame[self.frame["error"].notna()]

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return EXIT_UNREAD if self.n_unread else EXIT_DONE

    def to_dict(self) -> dict[str, Any]:
        """Return the predictions as a dictionary for JSON."""
        known = self.frame[self.frame["error"].isna()]
        columns = [_PREFIX + label for label in self.classes]
        rows = zip(known["path"], known["label"], known[columns].to_numpy(), strict=True)
        return {
            "output": self.output,
            "predictions": [
                {
                    "path": path,
                    "label": label,
                    "probabilities": dict(zip(self.classes, values.tolist(), strict=True)),
                }
                for path, label, values in rows
            ],
            "failed": [
                {"path": path, "error": error}
                for path, error in zip(self.failed["path"], self.failed["error"], strict=True)
            ],
            "notes": self.notes,
        }

    def rows(self) -> list[list[str]]:
        """Return path, label and its probability of each file, for people."""
        found = []
        columns = self.frame[[_PREFIX + label for label in self.classes]]
        best = columns.max(axis=1)
        for path, label, share, error in zip(
            self.frame["path"], self.frame["label"], best, self.frame["error"], strict=True
        ):
            found.append([path, label, f"{share:.3f}"] if error is None else [path, "", error])
        return found

    def lines(self) -> list[str]:
        """Return the number of files, and what the user should know."""
        n_failed = len(self.failed)
        lines = [f"Note: {note}" for note in self.notes]
        if n_failed:
            lines.append(f"{n_failed} of {len(self.frame)} files have no features, and no label")
        if self.output is not None:
            lines.append(f"{self.output}: {len(self.frame) - n_failed} files with a label")
        return lines


def predict(
    model: str,
    source: str,
    *,
    output: str | None = None,
    force: bool = False,
    settings: Settings | None = None,
    observer: Observer = ignore,
) -> Predictions:
    """Predict the labels of a table, a corpus or one audio file.

    Parameters
    ----------
    model : str
        Path or URL of a model.
    source : str
        A table of the model's spec; or a corpus, as for `extract_corpus`, or one audio file, of
        which the features are extracted with the model's spec.
    output : str, optional
        Path or URL of a file to write, ending in ``.csv`` or ``.parquet``.
    force : bool
        Replace the file if it exists.
    settings : Settings, optional
        How a corpus is extracted, and storage options: ``table`` for models, tables and outputs.
    observer : callable
        Receives the events of the extraction.

    Raises
    ------
    UsageError
        If the table has another spec, or the file exists.
    ModelError
        If the model cannot be read.
    JobError
        If the source cannot be read.
    """
    settings = settings or Settings()
    if settings.on_success or settings.on_failure:
        raise UsageError(
            "on_success and on_failure are for runs that write a table: leave them out"
        )
    options = settings.options_for("table")
    with contextlib.ExitStack() as stack:
        sink: BinaryIO | None = None
        if output is not None:
            check_name(output, example="predictions.csv")
            _check_format(output)
        is_table = _is_table(source, options)
        if output is not None:
            if is_table:
                check_apart(open_table(source, options).store.url, output, options)
            sink = stack.enter_context(new_file(output, options, force=force))
        trained, notes = read_model(model, options)
        if is_table:
            found = _of_table(trained, source, options)
        elif _is_file(source):
            found = _of_file(trained, source, settings.options_for("corpus"))
        else:
            found = _of_corpus(trained, source, settings, observer)
        if sink is not None and output is not None:
            _write(found.frame, sink, output)
    return Predictions(
        found.frame,
        found.classes,
        [*notes, *found.notes],
        found.n_unread,
        None if output is None else redacted(output),
    )


def _check_format(output: str) -> None:
    if not output.lower().endswith(_FORMATS):
        raise UsageError(
            f"{redacted(output)} does not say what to write: give a name that ends in"
            f" {' or '.join(_FORMATS)}"
        )


def _is_table(source: str, options: dict[str, Any]) -> bool:
    if not is_url(source):
        return os.path.isfile(os.path.join(source, TABLE_JSON))
    if _WILDCARDS & set(source) or source.lower().endswith(LIST_EXTENSIONS) or format_of(source):
        return False
    try:
        return open_store(source, options).stat([TABLE_JSON]) != [None]
    except OSError as error:
        raise JobError(f"cannot read {redacted(source)}: {error.strerror or error}") from error


def _is_file(source: str) -> bool:
    """Return whether a source is one audio file."""
    if os.path.isdir(source) or source.lower().endswith(LIST_EXTENSIONS):
        return False
    if os.path.isfile(source):
        return True
    return format_of(source) != "" and not _WILDCARDS & set(source)


def _of_table(model: Model, location: str, options: dict[str, Any]) -> Predictions:
    table = open_table(location, options)
    check_fits(model.metadata, table.metadata, table.store.url)
    failed = [
        (row["path"], f"{row['error_kind']}: {row['message']}")
        for row in errors_of(table).select(["path", "error_kind", "message"]).to_pylist()
    ]
    try:
        dataset = read_dataset(table, partial=True, silent=True, unlabelled=True)
    except NoRowsError:
        if not failed:
            raise
        return _predictions(model, [], np.empty((0, len(model.metadata.classes))), failed)
    shares = by_track(model.probabilities(dataset.X.to_numpy()), dataset.tracks)
    firsts = dataset.rows.iloc[dataset.track_rows]
    has_features = set(firsts["path"])
    failed = [(path, why) for path, why in failed if path not in has_features]
    found = _predictions(model, firsts["path"].tolist(), shares, failed)
    signs = Counter(firsts["decoding"])
    counts = {DAMAGED: signs[DAMAGED], CUT: signs[CUT], "silent": int(dataset.silent_tracks.sum())}
    named = [f"{n} {sign}" for sign, n in counts.items() if n]
    if named:
        found.notes.append(
            f"predictions of damaged, cut and silent files ({', '.join(named)}) mean little: models"
            " are not trained on such files unless asked for"
        )
    return found


def _of_file(model: Model, source: str, options: dict[str, Any]) -> Predictions:
    spec = _spec_of(model)
    shown = redacted(source)
    path = encode_path(shown) if is_url(source) else encode_local(source)
    try:
        with captured_output(), _opened(source, options) as audio:
            frame = featurelib.extract(audio, spec)
    except OSError as error:
        raise JobError(f"cannot read {shown}: {error.strerror or error}") from error
    except featurelib.AudioError as error:
        raise JobError(f"no features of {shown}: {error.kind}, {error}") from error
    values = frame[model.metadata.columns].to_numpy(np.float32)
    shares = model.probabilities(values).mean(axis=0, keepdims=True)
    found = _predictions(model, [path], shares, [])
    decoding = frame["decoding"].iloc[0]
    sign = decoding if decoding in (DAMAGED, CUT) else "silent" if frame["is_silent"].all() else ""
    if sign:
        found.notes.append(f"{shown} is {sign}: its prediction means little")
    return found


@contextlib.contextmanager
def _opened(source: str, options: dict[str, Any]) -> Iterator[str | BinaryIO]:
    """Context manager for an audio file: a local path as it is, and the open file of a URL."""
    if not is_url(source):
        yield source
        return
    folder, name = split_name(source)
    audio, _ = open_store(folder, options).open(stored_name(source, name))
    with audio:
        yield audio


def _of_corpus(model: Model, source: str, settings: Settings, observer: Observer) -> Predictions:
    """Extract a corpus into a temporary table, and predict that."""
    spec = _spec_of(model)
    with tempfile.TemporaryDirectory(prefix="featurelib-predict-") as folder:
        table = os.path.join(folder, "table")
        with forkserver.ahead_of(settings, table):
            opener = executor_opener(settings)
            report = run_job(RunRequest(source, table, spec, settings), opener, observer)
        found = _of_table(model, table, {})
    found.notes.extend(report.notes)
    return Predictions(found.frame, found.classes, found.notes, report.n_unread)


def _spec_of(model: Model) -> featurelib.FeatureSpec:
    """Return the spec of a model, to extract with it."""
    metadata = model.metadata
    if metadata.spec.get("import"):
        raise UsageError(
            f"the model's spec {metadata.spec.get('name')!r} has features of your own, and a model"
            " runs no code: extract the corpus with --config FILE.toml, and predict that table"
        )
    spec = featurelib.FeatureSpec.from_dict(metadata.spec)
    if metadata.columns != featurelib.feature_names(spec):
        raise ModelError("the model is damaged (its columns are others than its spec's)")
    if spec.fingerprint != metadata.fingerprint:
        raise UsageError(
            f"this version of featurelib has other values for the spec {spec.name!r} than"
            f" {metadata.featurelib}, on which the model was trained: train it again"
        )
    return spec


def _predictions(
    model: Model, paths: Sequence[str], shares: np.ndarray, failed: Sequence[tuple[str, str]]
) -> Predictions:
    import pandas as pd

    classes = model.metadata.classes
    labels = [classes[i] for i in shares.argmax(axis=1)]
    columns = {
        "path": [*paths, *(path for path, _ in failed)],
        "label": pd.Series([*labels, *[None] * len(failed)], dtype=object),
    }
    missing = np.full((len(failed), len(classes)), np.nan)
    values = np.concatenate([shares, missing])
    columns |= {_PREFIX + label: values[:, i] for i, label in enumerate(classes)}
    errors = [*[None] * len(paths), *(why for _, why in failed)]
    frame = pd.DataFrame({**columns, "error": pd.Series(errors, dtype=object)})
    frame = frame.sort_values("path", kind="stable", ignore_index=True)
    return Predictions(frame, list(classes))


def _write(frame: pd.DataFrame, sink: BinaryIO, output: str) -> None:
    if output.lower().endswith(".csv"):
        sink.write(frame.to_csv(index=False).encode())
        return
    texts = {"path", "label", "error"}
    schema = pa.schema(
        [(name, pa.string() if name in texts else pa.float64()) for name in frame.columns]
    )
    with Writer(sink, schema) as writer:
        writer.write(pa.Table.from_pandas(frame, schema, preserve_index=False))
