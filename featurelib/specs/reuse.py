"""Columns of a spec whose values a table of another spec has already."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from featurelib.errors import SpecError
from featurelib.features import Feature
from featurelib.graph import canonical
from featurelib.specs.differences import spec_differences
from featurelib.specs.entry import Entry
from featurelib.specs.feature_spec import FeatureSpec
from featurelib.transforms.frames import frames_of

#: Fields that define the signal and the rows; without equal ones no value is the same.
_SIGNAL = ("sr", "offset", "duration", "channels", "level")

#: Canonical form of the node of a statistic, and the statistic's name.
_Form = tuple[str, str]


@dataclass(frozen=True)
class Reuse:
    """What a spec shares with an older one.

    Attributes
    ----------
    columns : dict of str to str
        Columns with equal values: name in the spec, and name in the older one.
    missing : FeatureSpec or None
        Spec that computes all other feature columns, under the same names; None if there are
        none.
    """

    columns: dict[str, str]
    missing: FeatureSpec | None


def reuse(spec: FeatureSpec, older: FeatureSpec) -> Reuse:
    """Return which columns of a spec have the same values in a table of an older spec.

    Values are the same if the canonical forms of their nodes are, and those of the signal. Names
    do not matter. The column ``n_frames``, which is about the first feature with frames, is
    among `Reuse.columns` if it is the same.

    Parameters
    ----------
    spec, older : FeatureSpec
        The specs.

    Raises
    ------
    SpecError
        If the signals differ, or no feature is the same.
    """
    new, old = spec.to_dict(), older.to_dict()
    differences = spec_differences(
        {key: old[key] for key in _SIGNAL}, {key: new[key] for key in _SIGNAL}
    )
    if differences:
        raise SpecError(f"no value is the same, because the signals differ: {differences[0]}")
    names = {form: columns for entry in older.features for form, columns in _forms(entry)}
    wanted: dict[str, str] = {}
    left: dict[str, list[str]] = {}
    for entry in spec.features:
        for form, columns in _forms(entry):
            if len(names.get(form, ())) == len(columns):
                wanted |= dict(zip(columns, names[form], strict=True))
            else:
                left.setdefault(entry.name, []).append(form[1])
    if not wanted:
        raise SpecError("no feature is the same: the specs have no column in common")
    computed = [
        replace(e, statistics=_given(e, left[e.name])) for e in spec.features if e.name in left
    ]
    counter = _counts_frames(spec.features)
    if _grid(counter) == _grid(_counts_frames(older.features)):
        wanted["n_frames"] = "n_frames"
    elif _grid(_counts_frames(computed)) != _grid(counter):
        assert counter is not None
        computed = [counter, *(entry for entry in computed if entry.name != counter.name)]
    if not computed and _may_drop_rows(spec, older):
        computed = [spec.features[0]]
    if not computed:
        return Reuse(wanted, None)
    missing = replace(spec, features=_in_order(spec, computed))
    again = {name for entry in missing.features for name in entry.column_names()}
    return Reuse({new: old for new, old in wanted.items() if new not in again}, missing)


def _may_drop_rows(spec: FeatureSpec, older: FeatureSpec) -> bool:
    """Return whether the older spec may drop a last segment that the new one keeps.

    It is dropped if it is too short for any feature. Rows that are computed show it.
    """
    if spec.level.kind != "segment" or spec.level.last != "keep":
        return False
    return not {entry.feature for entry in older.features} <= {e.feature for e in spec.features}


def _forms(entry: Entry) -> Iterator[tuple[_Form, list[str]]]:
    """Yield the form of each statistic of an entry, and its columns."""
    columns = list(zip(entry.column_names(), entry.slots(), strict=True))
    for statistic, sink in zip(entry.statistics or ("",), entry.sinks(), strict=False):
        form = json.dumps(canonical(sink), sort_keys=True)
        yield (form, statistic), [name for name, (_, own) in columns if own == statistic]


def _given(entry: Entry, statistics: list[str]) -> tuple[str, ...]:
    return () if entry.feature.is_single else tuple(statistics)


def _counts_frames(entries: tuple[Entry, ...] | list[Entry]) -> Entry | None:
    """Return the entry whose frames are counted in ``n_frames``."""
    return next((entry for entry in entries if frames_of(entry.feature) is not None), None)


def _grid(entry: Entry | None) -> str | None:
    grid = None if entry is None else frames_of(entry.feature)
    return None if grid is None else json.dumps(canonical(grid), sort_keys=True)


def _in_order(spec: FeatureSpec, computed: list[Entry]) -> tuple[Entry, ...]:
    """Return entries in the order of a spec, with those that they read, without statistics."""
    by_name = {entry.name: entry for entry in computed}
    read = set()
    for entry in computed:
        of = getattr(entry.feature, "of", None)
        while isinstance(of, Feature):
            read.add(of)
            of = getattr(of, "of", None)
    entries: list[Entry] = []
    for entry in spec.features:
        if entry.name in by_name:
            entries.append(by_name[entry.name])
        elif entry.feature in read and all(e.feature != entry.feature for e in entries):
            entries.append(replace(entry, statistics=()))
    return tuple(entries)
