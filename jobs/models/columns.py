"""The feature that each column of a table belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import featurelib


def columns_by_feature(spec: Mapping[str, Any], columns: list[str]) -> dict[str, list[str]]:
    """Return the columns of each feature (entry) of a spec, by its name.

    Parameters
    ----------
    spec : mapping
        The spec as recorded in a table.
    columns : list of str
        The feature columns of the table.

    Returns
    -------
    dict of str to list of str
        If the spec has features of the user's own, whose code the table does not have, each
        column is a feature.
    """
    if spec.get("import"):  # a table that anybody has made must not run code
        return {name: [name] for name in columns}
    entries = featurelib.FeatureSpec.from_dict(spec).features
    known = set(columns)
    found = {
        entry.name: [name for name in entry.column_names() if name in known] for entry in entries
    }
    return {name: names for name, names in found.items() if names}
