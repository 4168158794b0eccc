"""Describe the columns of a preset, a settings file or a table."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Any

import featurelib
from jobs.errors import UsageError
from jobs.settings import read_config
from jobs.table.reader import open_table


def described(location: str, options: dict[str, Any]) -> tuple[list[dict[str, str]], list[str]]:
    """Describe the columns of a spec.

    Parameters
    ----------
    location : str
        Name of a preset, a settings file (``.toml``), or location of a table.
    options : dict
        Storage options of the table.

    Returns
    -------
    columns : list of dict
        Name, type, unit, definition and librosa counterpart of each column.
    lines : list of str
        Lines of text about the spec.

    Raises
    ------
    JobError, featurelib.SpecError
        If there is no such preset, settings file or table.
    """
    if location in featurelib.PRESETS:
        return _of_spec(featurelib.get_spec(location))
    if location.endswith(".toml"):
        values, _ = read_config(location)
        folder = Path(location).parent
        return _of_spec(featurelib.spec_from_settings(values or {"preset": "genre-v1"}, folder))
    if os.path.isfile(location):
        raise UsageError(f"{location} is a file: featurelib show {shlex.quote(location)} shows it")
    if "/" not in location and not os.path.isdir(location):
        featurelib.get_spec(location)  # raises an error that lists the presets
    table = open_table(location, options)
    lines = [
        f"spec        {table.metadata.spec.get('name', 'custom')}",
        f"fingerprint {table.metadata.fingerprint}",
    ]
    return [dict(column) for column in table.metadata.columns], lines


def _of_spec(spec: featurelib.FeatureSpec) -> tuple[list[dict[str, str]], list[str]]:
    columns = [dataclasses.asdict(column) for column in featurelib.describe(spec)]
    n_features = sum(len(entry.column_names()) for entry in spec.features)
    n_facts = len(columns) - n_features
    level = spec.level
    rows = "one row a file" if level.kind == "track" else "one row a segment"
    rows += " and channel" if spec.channels == "each" else ""
    lines = [
        f"spec        {spec.name}: {n_features} feature columns, {n_facts} of the file, {rows}",
        f"fingerprint {spec.fingerprint}",
    ]
    spilled = spec.spill_bytes_a_second() * 3600 / 1e6
    if spilled and level.kind == "track":
        lines.append(
            f"disk        up to {spilled:.0f} MB for each hour of a file are kept until its end"
            " (TMPDIR)"
        )
    series = spec.series_bytes_a_second() * 3600 / 1e6
    if series:
        lines.append(f"series      {series:.0f} MB of the table for each hour of audio")
    return columns, lines
