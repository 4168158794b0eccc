"""Decide which columns of another table a run copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import featurelib
from jobs.errors import TableError, UsageError
from jobs.request import RunRequest
from jobs.storage.urls import redacted
from jobs.table import schema
from jobs.table.metadata import (
    FEATURES,
    TAG_PREFIX,
    TableMetadata,
    absent_columns,
    is_same_place,
)
from jobs.table.reader import open_table
from jobs.table.reused import ReusedTable


def reused_table(request: RunRequest, corpus: str, table: str) -> ReusedTable | None:
    """Return what a run copies from another table; None if it copies nothing.

    Parameters
    ----------
    request : RunRequest
        The request.
    corpus, table : str
        Canonical locations of the corpus and of the table that is written.

    Raises
    ------
    UsageError
        If the other table is of another corpus, or has no column with the same values.
    TableError
        If there is no other table, or it cannot be read.
    """
    settings, spec = request.settings, request.spec
    if settings.reuse is None or not isinstance(spec, featurelib.FeatureSpec):
        return None
    where = f"--reuse {redacted(settings.reuse)}"
    try:
        other = open_table(settings.reuse, settings.options_for("table"))
    except TableError as error:
        raise TableError(f"--reuse: {error}") from error
    metadata = other.metadata
    if is_same_place(other.store.url, table):
        raise UsageError(f"{where} is the table that is written: give another, or drop --reuse")
    if metadata.kind != FEATURES:
        raise UsageError(f"{where} is a table of {metadata.kind}, not of features: drop --reuse")
    if not is_same_place(metadata.corpus, corpus):
        raise UsageError(
            f"{where} is the table of the corpus {metadata.corpus}, not of {corpus}: drop --reuse"
            " or, if that corpus has moved, use featurelib relocate first"
        )
    try:
        shared = featurelib.reuse(spec, _spec_of(metadata, spec))
    except featurelib.SpecError as error:
        raise UsageError(f"{where}: {error}; drop --reuse") from error
    others = _others(request, metadata)
    missing = shared.missing
    if missing is None and others is None:  # for a tag or a cutoff, the file must be read
        missing = _least(spec)
    again = set() if missing is None else set(featurelib.feature_names(missing))
    return ReusedTable(
        location=other.store.address,
        fingerprint=metadata.fingerprint,
        columns={new: old for new, old in shared.columns.items() if new not in again},
        others={} if missing is not None or others is None else others,
        missing=None if missing is None else missing.to_dict(),
    )


def _least(spec: featurelib.FeatureSpec) -> featurelib.FeatureSpec:
    """Return a spec with one feature of a spec, and what that feature reads."""
    chosen: list[featurelib.Entry] = []
    for entry in spec.features:
        chosen.append(entry)
        if entry.column_names():
            break
    return dataclasses.replace(spec, features=tuple(chosen))


def _spec_of(metadata: TableMetadata, spec: featurelib.FeatureSpec) -> featurelib.FeatureSpec:
    """Return the spec of the other table; run only code of features that the new spec has too."""
    values = dict(metadata.spec)
    if "import" in values:  # the name of a file would be imported
        values["import"] = [one for one in values["import"] if isinstance(one, Mapping)]
    older = featurelib.FeatureSpec.from_dict(values, sources=spec.sources)
    if older.fingerprint != metadata.fingerprint:
        raise featurelib.SpecError(
            f"it was made by featurelib {metadata.featurelib}, whose values for its spec differ"
        )
    return older


def note_of(reused: ReusedTable, request: RunRequest) -> str:
    """Return a note about the columns that are copied."""
    names = [column["name"] for column in request.recorded_spec.columns]
    features = {*names} - {*featurelib.SIGNAL_COLUMNS}
    n_copied = len(features & reused.columns.keys())
    return (
        f"{n_copied} of {len(features)} feature columns are copied from {request.settings.reuse},"
        " for files that have not changed"
    )


def _others(request: RunRequest, metadata: TableMetadata) -> dict[str, str] | None:
    """Return the columns that are not features, and their names in the other table.

    None if a tag is not in the other table, or a column that an earlier version did not have.
    """
    if absent_columns(metadata):
        return None
    names = {name: name for name in featurelib.SIGNAL_COLUMNS}
    label_tag = request.settings.label_tag
    for name in request.settings.tag_columns:
        if name not in metadata.tags:
            return None
        names[name] = name
    if label_tag is not None:
        if metadata.labels == TAG_PREFIX + label_tag:
            names[schema.LABEL] = schema.LABEL
        elif label_tag in metadata.tags:
            names[schema.LABEL] = label_tag
        else:
            return None
    return names
