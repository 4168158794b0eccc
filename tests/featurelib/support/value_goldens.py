"""Recorded values of every family and preset, with the versions and defaults of their nodes.

    python -m tests.featurelib.support.value_goldens

records the values of the installed code for `test_value_goldens`. The record shows whether a
version must be incremented: a table must not mix old values with changed ones.
The record does not show that values are right; that is checked against librosa (`oracle`).
So record only after the other tests pass, and after you have incremented the `version` of each
class whose values or defaults changed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featurelib import (
    PRESETS,
    Entry,
    Feature,
    FeatureSpec,
    families,
    feature_names,
    spec_from_settings,
)
from featurelib.extraction.extract import extract_signal_columns
from featurelib.graph import Node, walk
from featurelib.statistics import STATISTICS
from tests.featurelib.support.signals import SR, chord, noise
from tests.featurelib.support.specs import entries_of

RECORD = Path(__file__).parents[1] / "data" / "values.json"

#: Above this number of columns of a family, only means and standard deviations are recorded.
_MOST_COLUMNS = 300

#: What a preset needs whose values have changed.
_NEW_NAME = "the values of a preset never change: give the preset that has them a new name"

#: All statistics that give one number, and some quantiles.
ALL_STATISTICS = [*(name for name in STATISTICS if name != "series"), "q05", "q2_5"]


def signal(spec: FeatureSpec | None = None) -> np.ndarray:
    """Three seconds of a detuned chord, with noise at the end; twice for a spec of segments."""
    y = chord(3.0, detune=0.2)
    y[2 * SR :] += noise(1.0, level=0.05)
    return y if spec is None or spec.level.kind == "track" else np.tile(y, 2)


def specs() -> dict[str, FeatureSpec]:
    """One spec per family with default parameters and all statistics, and the presets."""
    found = {family: _spec_of(family, kind) for family, kind in families().items()}
    return found | dict(PRESETS)


def _spec_of(family: str, kind: type[Feature]) -> FeatureSpec:
    statistics = {} if kind.is_single else {"statistics": ALL_STATISTICS}
    # Some families allow quantiles only with a limited duration.
    spec = spec_from_settings({"features": entries_of(family, **statistics), "duration": 60.0})
    if len(feature_names(spec)) <= _MOST_COLUMNS:
        return spec
    features = entries_of(family, statistics=["mean", "std"])
    return spec_from_settings({"features": features, "duration": 60.0})


def nodes(spec: FeatureSpec) -> Iterator[Node]:
    """All nodes that define the values of a spec, once per reader."""
    for entry in spec.features:
        for sink in entry.sinks():
            yield from walk(sink)


def class_name(node: Node) -> str:
    """Name of a node's class in a record."""
    return f"{type(node).__module__}.{type(node).__name__}"


def _defaults(node: Node) -> dict[str, Any]:
    fields = dataclasses.fields(node)  # type: ignore[arg-type]
    return {field.name: _default(field.default) for field in fields}


def _default(value: Any) -> Any:
    """A default as plain JSON; for a node, its class and the parameters that differ."""
    if value is dataclasses.MISSING:
        return "(has to be given)"
    if not isinstance(value, Node):
        return value
    fields = dataclasses.fields(value)  # type: ignore[arg-type]
    changed = {field.name: getattr(value, field.name) for field in fields}
    changed = {
        field.name: _default(changed[field.name])
        for field in fields
        if changed[field.name] != field.default
    }
    return [class_name(value), changed]


def classes() -> dict[str, Any]:
    """Version and defaults of each class of the recorded nodes."""
    found = {
        class_name(node): {"version": type(node).version, "defaults": _defaults(node)}
        for spec in specs().values()
        for node in nodes(spec)
    }
    return dict(sorted(found.items()))


def values(spec: FeatureSpec) -> dict[str, list[float]]:
    """Value of each column of a spec, and the RMS of its frame series."""
    columns = extract_signal_columns(signal(spec), SR, spec)
    found = {}
    for entry in spec.features:
        squares = _mean_squares(entry)
        for name, (row, _) in zip(entry.column_names(), entry.slots(), strict=True):
            value = float(np.mean(columns[name][0]))  # of a series, its mean
            own = squares if row is None else [squares[row]]
            found[name] = [_short(value), _short(float(np.mean(own)) ** 0.5)]
    return found


def _mean_squares(entry: Entry) -> list[float]:
    """Mean square of each row of a feature."""
    if entry.feature.is_single:
        return [0.0]
    moments = dataclasses.replace(entry, statistics=("mean", "var"), columns="{name}{row}{stat}")
    first = Entry(feature=entry.feature.of, name="of") if hasattr(entry.feature, "of") else None
    spec = FeatureSpec(name="moments", features=(*([first] if first else []), moments))
    columns = extract_signal_columns(signal(), SR, spec)
    numbers = [columns[name][0] for name in moments.column_names()]
    return [mean**2 + var for mean, var in zip(numbers[::2], numbers[1::2], strict=True)]


def _short(value: float) -> float:
    return float(f"{value:.9g}")


def made() -> dict[str, Any]:
    """Content of the record."""
    return {
        "classes": classes(),
        "specs": {
            name: {"classes": sorted({*map(class_name, nodes(spec))}), "values": values(spec)}
            for name, spec in specs().items()
        },
    }


def problems(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Differences from a record and their remedies, one line each."""
    lines = [*_changed_classes(recorded["classes"], found["classes"])]
    raised = {
        name
        for name, facts in found["classes"].items()
        if facts["version"] != recorded["classes"].get(name, facts)["version"]
    }
    moved = {
        name: columns
        for name, spec in found["specs"].items()
        if (
            columns := _moved(recorded["specs"].get(name, {"values": {}})["values"], spec["values"])
        )
    }
    # Nodes that a spec with unchanged values reads are not the cause.
    innocent = {
        name
        for spec in found["specs"].keys() - moved.keys()
        for name in found["specs"][spec]["classes"]
    }
    for name, columns in moved.items():
        own = set(found["specs"][name]["classes"])
        if own & raised:
            continue
        suspects = " or ".join(f"{one}.version" for one in sorted(own - innocent or own))
        lines.append(
            f"{name}: {', '.join(columns[:3])}{', …' if columns[3:] else ''} moved: raise the"
            f" version of the class whose values have changed ({suspects})"
            + (f"; and {_NEW_NAME}" if name in PRESETS else "")
        )
    if raised:
        lines.append(f"version raised: {', '.join(sorted(raised))}")
    if recorded["specs"].keys() != found["specs"].keys():
        differing = recorded["specs"].keys() ^ found["specs"].keys()
        lines.append(f"new or removed: {', '.join(sorted(differing))}")
    return lines


def _changed_classes(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(recorded.keys() & found.keys()):
        before, after = recorded[name]["defaults"], found[name]["defaults"]
        for key in after.keys() - before.keys():
            yield f"{name}.{key} is new"
        if recorded[name]["version"] != found[name]["version"]:
            continue
        for key in before:
            if key not in after:
                yield f"{name}.{key} is gone: raise {name}.version"
            elif before[key] != after[key]:
                yield (
                    f"the default of {name}.{key} was {before[key]!r} and is {after[key]!r}:"
                    f" raise {name}.version"
                )


def _moved(recorded: Mapping[str, list[float]], found: Mapping[str, list[float]]) -> list[str]:
    """Names of the columns that differ from the record, in table order."""
    return [
        name
        for name in [*found, *(name for name in recorded if name not in found)]
        if name not in found
        or name not in recorded
        or abs(found[name][0] - recorded[name][0])
        > 1e-5 * abs(recorded[name][0]) + 1e-7 * recorded[name][1]
    ]


def moved_presets(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Recorded presets that have other values or columns now, or are gone."""
    before, after = recorded["specs"], found["specs"]
    return [
        name
        for name in before
        if re.search(r"-v\d+$", name)
        if name not in after or _moved(before[name]["values"], after[name]["values"])
    ]


def record(path: Path = RECORD) -> None:
    """Write the record, unless the values of a preset have changed.

    Raises
    ------
    SystemExit
        If they have. Give the preset another name, and remove the old name from the record.
    """
    found = made()
    if path.exists() and (moved := moved_presets(json.loads(path.read_text()), found)):
        raise SystemExit(f"{', '.join(moved)}: {_NEW_NAME}")
    text = json.dumps(found, indent=1)
    # One line per column.
    text = re.sub(r"\[\s+([-+.\de]+),\s+([-+.\de]+)\s+\]", r"[\1, \2]", text)
    path.write_text(text + "\n")


if __name__ == "__main__":
    record()
