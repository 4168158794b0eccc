"""Train a classifier on a table: cross-validation, the model, and its pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import xxhash

import featurelib.extras
from jobs.diagnostics.events import Observer, StepStarted, ignore
from jobs.errors import UsageError
from jobs.export.target import check_apart, check_name, new_file
from jobs.models.cross_validation import FOLDS, CrossValidation, cross_validate, fit_rows
from jobs.models.dataset import CUT, DAMAGED, SILENT, UNLABELLED, Dataset, read_dataset
from jobs.models.estimators import DEFAULT, check_size
from jobs.models.estimators import check_name as check_estimator
from jobs.models.model import Model, ModelMetadata
from jobs.models.pictures import confusion_picture, importance_picture
from jobs.settings import did_you_mean
from jobs.storage.urls import redacted
from jobs.table.reader import Table, open_table

_CONTRADICTIONS_SHOWN = 20
_FEATURES_SHOWN = 5

#: The confusion matrix of more labels is in the picture only.
_CONFUSION_LABELS = 1000

#: How files that are left out can be kept.
_OPTIONS = {
    DAMAGED: "--include-partial",
    CUT: "--include-partial",
    SILENT: "--include-silent",
    UNLABELLED: "",
}


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training.

    Attributes
    ----------
    estimator : str
        Name of the estimator.
    group_by : tuple of str
        Columns, or parts of paths, that join files into groups, see `read_dataset`.
    folds : int
        Number of folds.
    seed : int
        Seed of all that is random.
    split_column : str, optional
        Column with official splits, see `cross_validate`.
    partial, silent : bool
        Learn from damaged and cut files; from silent ones.
    """

    estimator: str = DEFAULT
    group_by: tuple[str, ...] = ()
    folds: int = FOLDS
    seed: int = 0
    split_column: str | None = None
    partial: bool = False
    silent: bool = False

    @classmethod
    def of(cls, **values: Any) -> TrainingOptions:
        """Return options by name, as from Python.

        Raises
        ------
        UsageError
            If there is no option of a name.
        """
        known = [one.name for one in fields(cls)]
        for name in values:
            if name not in known:
                raise UsageError(
                    f"train_model: there is no option {name!r}{did_you_mean(name, known)}"
                )
        group_by = values.pop("group_by", ())
        return cls(group_by=(group_by,) if isinstance(group_by, str) else tuple(group_by), **values)

    def __post_init__(self) -> None:
        check_estimator(self.estimator)
        if self.folds < 2:
            raise UsageError(f"folds is {self.folds}: give a whole number of at least 2")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}: give a whole number from 0 to 2^32 - 1")


@dataclass(frozen=True)
class Training:
    """A trained model, and how good it is.

    Attributes
    ----------
    outputs : list of str
        Location of the model, and of its pictures.
    model : ModelMetadata
        What the model is for.
    result : CrossValidation
        The cross-validation.
    contradictions : list of list of (str, str)
        Path and label of copies that have different labels.
    """

    outputs: list[str]
    model: ModelMetadata
    result: CrossValidation
    contradictions: list[list[tuple[str, str]]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the training as a dictionary for JSON."""
        return {
            "outputs": self.outputs,
            "data": self.model.data,
            "columns": len(self.model.columns),
            "seed": self.model.seed,
            "scores": self.model.scores,
            "contradictions": [
                [{"path": path, "label": label} for path, label in files]
                for files in self.contradictions
            ],
        }

    def head_lines(self) -> list[str]:
        """Return lines about the data and the scores, for people."""
        data, result = self.model.data, self.result
        segments = f" ({data['rows']} segments)" if result.has_segments else ""
        what = f"{data['files']} files{segments} of {len(result.classes)} labels"
        lines = [f"{what}, {len(self.model.columns)} columns, estimator {result.estimator}"]
        for reason, n in data["left_out"].items():
            option = f"; {_OPTIONS[reason]} keeps them" if _OPTIONS[reason] else ""
            lines.append(f"Left out: {n} {reason}{option}")
        lines += [f"Note: {note}" for note in result.notes]
        levels = ("track", "segment") if result.has_segments else ("track",)
        for level in levels:
            mean, deviation = result.mean(level), result.deviation(level)
            lines.append(
                f"By {level + ':':<9} accuracy {mean.accuracy:.3f} ± {deviation.accuracy:.3f},"
                f" macro-F1 {mean.macro_f1:.3f} ± {deviation.macro_f1:.3f}"
                + (f" ({_folds(result)})" if level == "track" else "")
            )
        return lines

    def class_rows(self) -> list[list[str]]:
        """Return a table of the classes, for people."""
        rows = [["label", "files", "precision", "recall", "F1"]]
        for one in self.result.by_class:
            shares = [f"{value:.3f}" for value in (one.precision, one.recall, one.f1)]
            rows.append([one.label, str(one.n_tracks), *shares])
        return rows

    def tail_lines(self) -> list[str]:
        """Return lines about importance, contradictions and the files written, for people."""
        lines = []
        if self.result.importance:
            most = [f"{one.feature} {one.mean:.3f}" for one in self.result.importance]
            lines.append(
                f"Accuracy lost if a feature is shuffled: {', '.join(most[:_FEATURES_SHOWN])}"
            )
        if self.contradictions:
            lines.append(
                f"The same audio has different labels ({len(self.contradictions)} times): correct"
                " them, since no classifier can learn them"
            )
            for files in self.contradictions[:_CONTRADICTIONS_SHOWN]:
                lines.append("  " + ", ".join(f"{path} ({label})" for path, label in files))
            if len(self.contradictions) > _CONTRADICTIONS_SHOWN:
                lines.append("  … --json lists all")
        return [*lines, f"Written: {', '.join(self.outputs)}"]


def _folds(result: CrossValidation) -> str:
    if len(result.folds) == 1:
        return f"{result.folds[0].n_test} files held out"
    return f"mean ± standard deviation of {len(result.folds)} folds"


def train(
    location: str,
    output: str,
    options: TrainingOptions,
    storage_options: dict[str, Any],
    *,
    force: bool = False,
    observer: Observer = ignore,
) -> Training:
    """Cross-validate an estimator on a table, fit it to all files, and write the model.

    Parameters
    ----------
    location : str
        Location of the table.
    output : str
        Path or URL of the model. Beside it are the pictures ``<output>.confusion.png`` and
        ``<output>.importance.png``.
    options : TrainingOptions
        Options of the training.
    storage_options : dict
        Storage options for fsspec.
    force : bool
        Replace files that exist.
    observer : callable
        Receives the events of the steps.

    Raises
    ------
    UsageError
        If there is nothing to learn from: no labels, one label, too few files of one, no
        columns; or an output exists.
    TableError
        If the table cannot be read, or an output cannot be written.
    MissingExtraError
        If scikit-learn, skops or matplotlib are not installed.
    """
    check_name(output, example="genre.model")
    with featurelib.extras.needing("ml"):
        import matplotlib  # noqa: F401 - before hours of work
        import sklearn  # noqa: F401
        import skops  # noqa: F401
    outputs = [output, f"{output}.confusion.png", f"{output}.importance.png"]
    table = open_table(location, storage_options)
    check_apart(table.store.url, output, storage_options)

    def say(what: str) -> None:
        observer(StepStarted(what))

    with contextlib.ExitStack() as stack:
        # the model is published last, so that it has its pictures
        sinks = [
            stack.enter_context(new_file(place, storage_options, force=force)) for place in outputs
        ]
        say("reading the table")
        dataset = _read(table, options)
        check_size(options.estimator, len(dataset))
        result = cross_validate(
            dataset,
            options.estimator,
            folds=options.folds,
            seed=options.seed,
            split_column=options.split_column,
            on_fold=say,
        )
        say("training on all files")
        fitted = fit_rows(dataset, np.arange(len(dataset)), options.estimator, options.seed)
        model = Model(fitted.pipeline, _metadata(table, dataset, options, result))
        say("writing")
        contents = [model.to_bytes(), confusion_picture(result), importance_picture(result)]
        for sink, content in zip(sinks, contents, strict=True):
            sink.write(content)
    return Training(
        [redacted(place) for place in outputs],
        model.metadata,
        result,
        [list(one.files) for one in dataset.contradictions],
    )


def _read(table: Table, options: TrainingOptions) -> Dataset:
    columns: Sequence[str] = () if options.split_column is None else (options.split_column,)
    return read_dataset(
        table,
        group_by=options.group_by,
        columns=columns,
        partial=options.partial,
        silent=options.silent,
    )


def _metadata(
    table: Table, dataset: Dataset, options: TrainingOptions, result: CrossValidation
) -> ModelMetadata:
    return ModelMetadata(
        estimator=options.estimator,
        seed=options.seed,
        classes=result.classes,
        columns=list(dataset.X.columns),
        spec=table.metadata.spec,
        fingerprint=table.metadata.fingerprint,
        featurelib=table.metadata.featurelib,
        data={
            "table": table.store.url,
            "fingerprint": data_fingerprint(dataset),
            "files": len(dataset.track_rows),
            "rows": len(dataset),
            "left_out": dict(dataset.left_out),
            "group_by": list(options.group_by),
            "split_column": options.split_column,
        },
        scores=_stored_scores(result),
    )


def _stored_scores(result: CrossValidation) -> dict[str, Any]:
    """Return the scores of a model, whose file must not grow with the square of the labels."""
    scores = result.to_dict()
    if len(result.classes) > _CONFUSION_LABELS:
        scores["confusion"] = None
    return scores


def data_fingerprint(dataset: Dataset) -> str:
    """Return a digest of the paths, labels, groups and values of a dataset."""
    digest = xxhash.xxh3_128()
    for texts in (dataset.rows["path"], dataset.y):
        for text in texts:
            digest.update(f"{text}\0".encode(errors="surrogatepass"))
    digest.update(np.ascontiguousarray(dataset.groups).data)
    digest.update(np.ascontiguousarray(dataset.X.to_numpy()).data)
    return digest.hexdigest()
