"""FeatureSpec: everything that defines the values of a feature table."""

from __future__ import annotations

import hashlib
import json
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from featurelib.errors import SpecError
from featurelib.features import Feature, families
from featurelib.features.base import frames_of
from featurelib.graph import Node, Plan, Signal, canonical
from featurelib.imports import Import
from featurelib.level import Level
from featurelib.parameters import (
    SR_LIMITS,
    build,
    checked,
    did_you_mean,
    find_places,
    flattened,
    keywords,
    parameter,
    places,
)
from featurelib.rows import SIGNAL_COLUMNS
from featurelib.statistics import (
    SERIES,
    STATISTICS,
    is_statistic,
    quantile_of,
    statistic_node,
)

#: The rate of each file itself.
NATIVE = "native"

#: The rate that is reckoned with where each file has its own [Hz].
NOMINAL_SR = 44_100

CHANNELS = ("mix", "first", "each")

#: How columns are named by default: with a number for each row of a family that has rows.
DEFAULT_COLUMNS = "{name}_{row:02}_{stat}"

#: Most columns of one entry; tables of more are slow to open.
_MAX_COLUMNS = 20_000

#: Of what is changed in the canonical form below: a new number makes every table another one.
_CANONICAL = 1

_ENTRY_KEYS = ("family", "of", "as", "statistics", "columns", "pooled")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One feature of a spec, and what becomes of it in the table.

    Parameters
    ----------
    feature : Feature
        What is computed.
    statistics : sequence of str
        Names of `featurelib.STATISTICS`, ``"q25"`` and the like for quantiles, ``"series"``
        for all frames as a list. Empty for a feature that is one value of the whole signal,
        and for one that is there for other entries only.
    name : str
        Name in columns and for other entries; the family's by default.
    columns : str
        How the columns are called: a template with ``{name}``, ``{row}`` (from 1) and
        ``{stat}``. Where there are no rows, or no statistic, their part is left out, with
        the ``_`` before it.
    pooled : bool
        All rows of the feature are one population, instead of a column for each. A series
        is one column anyway.

    Raises
    ------
    SpecError
        If they do not fit together.
    """

    feature: Feature
    statistics: tuple[str, ...] = ("mean", "std")
    name: str = ""
    columns: str = DEFAULT_COLUMNS
    pooled: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__  # the only way to normalise a frozen dataclass's fields
        put(self, "name", self.name or self.feature.family)
        put(self, "statistics", _names(f"{self.name}: statistics", self.statistics))
        if not isinstance(self.pooled, bool):
            raise SpecError(f"{self.name}: pooled={self.pooled!r} must be true or false")
        for statistic in self.statistics:
            if not is_statistic(statistic):
                raise SpecError(
                    f"{self.name}: unknown statistic {statistic!r}"
                    f"{did_you_mean(statistic, STATISTICS)} (there are {', '.join(STATISTICS)},"
                    " and quantiles such as q25)"
                )
        if self.feature.is_single and self.statistics:
            raise SpecError(
                f"{self.name}: {self.feature.family!r} is one value: give statistics = []"
            )
        if self.pooled and not self.feature.has_rows:
            raise SpecError(f"{self.name}: pooled, but {self.feature.family!r} has one row only")
        if self.feature.is_always_pooled:
            put(self, "pooled", True)
        _check_template(self.name, self.columns)
        if not self.pooled and len(self.statistics) * self.feature.width > _MAX_COLUMNS:
            raise SpecError(
                f"{self.name}: {self.feature.width} rows with {len(self.statistics)} statistics"
                f" each are more than {_MAX_COLUMNS} columns"
            )
        for name, n in Counter(self.column_names()).items():
            if n > 1:
                raise SpecError(
                    f"{self.name}: columns={self.columns!r} gives several columns the name"
                    f" {name!r}: put {{row}} or {{stat}} into it"
                )

    def sinks(self) -> tuple[Node, ...]:
        """The nodes that give the statistics, in their order."""
        return tuple(
            statistic_node(statistic, self.feature, pooled=self.pooled)
            for statistic in self.statistics or self._value
        )

    @property
    def _value(self) -> tuple[str, ...]:
        return ("",) if self.feature.is_single else ()

    def slots(self) -> Iterator[tuple[int | None, str]]:
        """Row and statistic of each column, in order; a series has no row."""
        scalar = [name for name in self.statistics if name != SERIES]
        rows: Iterable[int | None] = [None]
        if self.feature.has_rows and not self.pooled:
            rows = range(self.feature.width)
        for row in rows:
            for statistic in scalar if self.statistics else self._value:
                yield row, statistic
        if SERIES in self.statistics:
            yield None, SERIES

    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(_filled(self.columns, self.name, *slot) for slot in self.slots())

    def frame_names(self) -> tuple[str, ...]:
        """Names of the columns of single frames: one a row."""
        rows: Iterable[int | None] = [None]
        if self.feature.has_rows:
            rows = range(self.feature.width)
        return tuple(_filled(self.columns, self.name, row, "") for row in rows)


def _check_template(name: str, template: Any) -> None:
    if not isinstance(template, str):
        raise SpecError(f"{name}: columns={template!r} is not a text")
    try:
        parts = list(string.Formatter().parse(template))
        keys = {key for _, key, _, _ in parts if key is not None}
        template.format(name="a", row=1, stat="b")
    except (ValueError, KeyError, IndexError, AttributeError) as error:
        raise SpecError(
            f"{name}: columns={template!r} is no template of {{name}}, {{row}} and {{stat}}"
        ) from error
    if not keys <= {"name", "row", "stat"} or any(conversion for *_, conversion in parts):
        raise SpecError(
            f"{name}: columns={template!r} may hold {{name}}, {{row}} and {{stat}} only"
        )


def _filled(template: str, name: str, row: int | None, statistic: str) -> str:
    """A template with its parts; what there is none of goes with the ``_`` before it."""
    values = {"name": name, "row": None if row is None else row + 1, "stat": statistic or None}
    result = ""
    for text, key, form, _ in string.Formatter().parse(template):
        result += text
        if key is None:
            continue
        value = values[key]
        if value is None:
            result = result.removesuffix("_")
        else:
            result += format(value, form or "")
    return result


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """What is computed from a signal; equal fields give equal values.

    Parameters
    ----------
    name : str
        For people; not part of the fingerprint.
    features : sequence of Entry
        The features, in column order.
    sr : int or "native"
        Sampling rate of the analysis [Hz]: signals are resampled to it (soxr, "HQ"). With
        "native" each file is analysed at its own rate.
    offset : float
        Seconds that are left out at the beginning.
    duration : float or None
        Analyse only so many seconds; ``None`` is all of them.
    channels : {"mix", "first", "each"}
        The mean of the channels, the first one, or each channel with rows of its own.
    level : Level
        What a row is of: the track, or a segment.
    imports : sequence of Import
        Files with features of a user's own.

    Raises
    ------
    SpecError
        If a value cannot be used; the message names it and the remedy.
    """

    name: str
    features: tuple[Entry, ...]
    sr: int | str = 22_050
    offset: float = parameter(0.0, ge=0)
    duration: float | None = parameter(None, gt=0)
    channels: str = parameter("mix", choices=CHANNELS)
    level: Level = Level()
    imports: tuple[Import, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        if not isinstance(self.name, str) or not self.name:
            raise SpecError(f"name={self.name!r}: give the spec a name")
        put(self, "sr", _rate(self.sr))
        for field in fields(self):
            if field.metadata:
                put(self, field.name, checked(field, getattr(self, field.name)))
        put(self, "level", Level.from_value(self.level))
        put(self, "imports", tuple(self.imports))
        put(self, "features", tuple(self.features))
        if not self.features:
            raise SpecError("features: name at least one family")
        _check_names(self.features)
        _check_level(self)
        for entry in self.features:
            try:
                for sink in entry.sinks():
                    _check(sink, self.fixed_sr)
            except SpecError as error:
                raise SpecError(f"features: {entry.name}: {error}") from error

    @property
    def fixed_sr(self) -> int | None:
        """The rate of the analysis [Hz], None where each file has its own."""
        return None if isinstance(self.sr, str) else self.sr

    def plan(self, sr: int) -> Plan:
        """The graph for signals at a rate [Hz].

        Raises
        ------
        SpecError
            If parameters do not fit the rate.
        """
        plans: dict[int, Plan] = self.__dict__.setdefault("_plans", {})
        if sr not in plans:
            sinks = (sink for entry in self.features for sink in entry.sinks())
            plans[sr] = Plan(sinks, sr)
        return plans[sr]

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that differ whenever values may, whatever the spec's name is."""
        level = self.level.to_dict()
        entries = [
            [entry.column_names(), entry.statistics, [canonical(sink) for sink in entry.sinks()]]
            for entry in self.features
        ]
        values = [
            *(_CANONICAL, canonical(Signal()), self.sr, self.offset, self.duration),
            *(self.channels, level, entries),
        ]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def spill_bytes_a_second(self) -> float:
        """Bytes that one channel's analysis keeps of every second until the signal ends.

        Of a spec of native rate, at 44.1 kHz.
        """
        plan = self.plan(self.fixed_sr or NOMINAL_SR)
        return sum(
            node.spill_bytes() * plan.sr / frames.hop_length
            for node in plan.nodes
            if node.spill_bytes() and (frames := frames_of(node)) is not None
        )

    def rows_a_second(self) -> float:
        """Rows that a second of audio gives; 0 where there is one for the whole file.

        Where each channel has rows of its own, those of two channels.
        """
        n_channels = 2 if self.channels == "each" else 1
        return n_channels * self.level.rows_a_second(self.fixed_sr or NOMINAL_SR)

    def series_bytes_a_second(self) -> float:
        """Bytes that the series take in a table for every second, as of `rows_a_second`."""
        sr = self.fixed_sr or NOMINAL_SR
        overlap = 1.0
        if self.level.kind == "segment":
            length, hop = self.level.samples(sr)
            overlap = length / hop
        overlap *= 2 if self.channels == "each" else 1
        return overlap * sum(
            4 * entry.feature.width * sr / entry.feature.frames.hop_length
            for entry in self.features
            if SERIES in entry.statistics
        )

    @property
    def sources(self) -> dict[str, str]:
        """The code of imported features, by digest: what `from_dict` needs beside `to_dict`."""
        return {one.sha256: one.source for one in self.imports}

    def to_dict(self) -> dict[str, Any]:
        """All that defines the spec, as plain JSON-able values; every default is written out."""
        result: dict[str, Any] = {
            "name": self.name,
            "sr": self.sr,
            "offset": self.offset,
            "duration": self.duration,
            "channels": self.channels,
            "level": self.level.to_dict(),
        }
        if self.imports:
            result["import"] = [{"file": one.file, "sha256": one.sha256} for one in self.imports]
        result["features"] = [self._entry_dict(entry) for entry in self.features]
        return result

    def _entry_dict(self, entry: Entry) -> dict[str, Any]:
        feature = entry.feature
        result: dict[str, Any] = {"family": feature.family}
        fixed = frozenset[str]()
        of = getattr(feature, "of", None)
        if isinstance(of, Feature):
            result["of"] = next(other.name for other in self.features if other.feature == of)
            fixed = frozenset({"of"})
        result["as"] = entry.name
        result["statistics"] = list(entry.statistics)
        result["columns"] = entry.columns
        if feature.has_rows:
            result["pooled"] = entry.pooled
        return result | keywords(feature, fixed)

    @classmethod
    def from_dict(
        cls,
        values: Mapping[str, Any],
        *,
        folder: str | Path = ".",
        sources: Mapping[str, str] | None = None,
    ) -> FeatureSpec:
        """Make a spec of named values, as `to_dict` gives them or a TOML file holds them.

        Parameters
        ----------
        values : mapping
            ``name``, ``features``, and the other fields as far as they are not the default.
            An entry of ``features`` is a family's name, or a table with ``family``, ``of``,
            ``as`` (its name), ``statistics``, ``columns``, ``pooled`` and the parameters of
            its nodes (see `featurelib.parameters.find_places`). ``defaults`` are for all
            entries that have them. ``import`` lists Python files.
        folder : path
            What the names of files in ``import`` are relative to.
        sources : mapping, optional
            The code of imports that `to_dict` wrote, by digest.

        Raises
        ------
        SpecError
            If a name is unknown or a needed one is missing, or a value cannot be used.
        """
        known = ["name", "sr", "offset", "duration", "channels", "level"]
        known += ["import", "defaults", "features"]
        for key in values:
            if key not in known:
                raise SpecError(f"unknown field {key!r} in the feature spec{_hint(key, known)}")
        for key in ("name", "features"):
            if key not in values:
                raise SpecError(f"the feature spec lacks {key!r}")
        imports = _imports(values.get("import", ()), Path(folder), sources or {})
        kinds = dict(families())
        for one in imports:
            kinds |= one.families()
        entries = _entries(values["features"], values.get("defaults", {}), kinds)
        plain = {key: values[key] for key in known[:6] if key in values}
        return cls(**plain, features=entries, imports=imports)

    def __reduce__(self) -> Any:
        # Classes of imported features are not to be found by name in another process.
        return _from_parts, (self.to_dict(), self.sources)


def _from_parts(values: dict[str, Any], sources: dict[str, str]) -> FeatureSpec:
    return FeatureSpec.from_dict(values, sources=sources)


def _hint(key: str, known: Sequence[str]) -> str:
    """What a field that specs do not have may be meant for."""
    parameters = {place.path[-1] for kind in families().values() for place in places(kind)}
    if key in parameters:
        return ": it goes into an entry of features, or into defaults"
    hint = did_you_mean(key, sorted({*known, *parameters}))
    if not hint:
        return f" (there are {', '.join(known)})"
    is_field = any(repr(name) in hint for name in known)
    return hint if is_field else f"{hint[:-1]}, in an entry of features or in defaults?"


def _rate(sr: Any) -> int | str:
    if sr == NATIVE:
        return NATIVE
    if isinstance(sr, bool) or not isinstance(sr, int):
        raise SpecError(f"sr={sr!r} is not a whole number of Hz, nor {NATIVE!r}")
    low, high = SR_LIMITS
    if not low <= sr <= high:
        raise SpecError(f"sr={sr} must lie between {low} and {high} Hz")
    return sr


def _check(node: Node, sr: int | None) -> None:
    node.check(sr)
    for source in node.inputs():
        _check(source, sr)


def _check_names(entries: Sequence[Entry]) -> None:
    for entry in entries:
        if not isinstance(entry, Entry):
            raise SpecError(f"features: {entry!r} is not an Entry")
    names = [entry.name for entry in entries]
    # Readers such as DuckDB do not tell capitals from small letters.
    columns = dict.fromkeys(SIGNAL_COLUMNS, "the signal")
    read = [entry.feature.of for entry in entries if hasattr(entry.feature, "of")]
    for i, entry in enumerate(entries):
        of = getattr(entry.feature, "of", None)
        if isinstance(of, Feature) and all(other.feature != of for other in entries[:i]):
            raise SpecError(
                f"{entry.name}: put an entry with the feature that it is of ({of.family}) before it"
            )
        if not entry.column_names() and entry.feature not in read:
            raise SpecError(f"{entry.name}: name at least one statistic: no other feature reads it")
        if names.count(entry.name) > 1:
            raise SpecError(f"features: {entry.name!r} is given twice: name one with as = …")
        for column in entry.column_names():
            if column.casefold() in columns:
                raise SpecError(
                    f"features: {columns[column.casefold()]} and {entry.name} both have a column"
                    f" {column!r}: give one another template with columns = …"
                )
            columns[column.casefold()] = entry.name


def _check_level(spec: FeatureSpec) -> None:
    if spec.level.kind == "segment" and spec.fixed_sr is not None:
        spec.level.samples(spec.fixed_sr)
    is_bounded = spec.level.kind == "segment" or spec.duration is not None
    for entry in spec.features:
        quantiles = [name for name in entry.statistics if quantile_of(name) is not None]
        if entry.feature.is_always_pooled and quantiles and not is_bounded:
            raise SpecError(
                f"{entry.name}: {quantiles[0]} would keep every bin of every frame of a whole"
                " track: set a duration or a level of segments, or leave it out"
            )


def _imports(values: Any, folder: Path, sources: Mapping[str, str]) -> tuple[Import, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise SpecError(f"import={values!r}: give a list of Python files")
    found = []
    for value in values:
        if isinstance(value, Mapping):
            file, digest = str(value.get("file")), str(value.get("sha256"))
            found.append(Import.recorded(file, digest, sources))
        elif isinstance(value, str):
            found.append(Import.read(folder / value))
        else:
            raise SpecError(f"import: {value!r} is not the name of a Python file")
    return tuple(found)


def _entries(values: Any, defaults: Any, kinds: Mapping[str, type[Feature]]) -> tuple[Entry, ...]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise SpecError(f"features={values!r}: give a list of families, or of tables")
    if not isinstance(defaults, Mapping):
        raise SpecError(f"defaults={defaults!r} is not a table")
    defaults = dict(flattened(defaults))
    unused = {key for key in defaults if key not in ("statistics", "columns")}
    made: dict[str, Entry] = {}
    for value in values:
        entry, used = _entry(value, defaults, kinds, made)
        if entry.name in made:
            raise SpecError(f"features: {entry.name!r} is given twice: name one with as = …")
        made[entry.name] = entry
        unused -= used
    if unused:
        known = {p.path[-1] for entry in made.values() for p in places(type(entry.feature))}
        key = min(unused)
        raise SpecError(f"defaults: no feature has {key!r}{did_you_mean(key, sorted(known))}")
    return tuple(made.values())


def _entry(
    value: Any,
    defaults: Mapping[str, Any],
    kinds: Mapping[str, type[Feature]],
    earlier: Mapping[str, Entry],
) -> tuple[Entry, set[str]]:
    """Make one entry; also the defaults that it uses."""
    if isinstance(value, str):
        value = {"family": value}
    if not isinstance(value, Mapping):
        raise SpecError(f"features: {value!r} is neither a family nor a table with one")
    if "family" not in value:
        listed = ", ".join(kinds)
        raise SpecError(f"features: {dict(value)!r} lacks 'family' (there are {listed})")
    family = value["family"]
    if family not in kinds:
        listed = ", ".join(kinds)
        hint = did_you_mean(str(family), kinds)
        raise SpecError(f"features: unknown family {family!r}{hint} (there are {listed})")
    kind = kinds[family]
    name = value.get("as", family)
    if not isinstance(name, str) or not name:
        raise SpecError(f"features: {family}: as={name!r} is no name")
    own = dict(flattened({k: v for k, v in value.items() if k not in _ENTRY_KEYS}))
    given = _given(kind, name, value.get("of"), earlier)
    available = places(kind, frozenset(given))
    used = set()
    try:
        for key in defaults:
            if key not in ("statistics", "columns") and find_places(available, key):
                used.add(key)
        feature = build(kind, {key: defaults[key] for key in used} | own, given)
    except SpecError as error:
        raise SpecError(f"features: {name}: {error}") from error
    statistics = value.get("statistics", () if feature.is_single else defaults.get("statistics"))
    plain: dict[str, Any] = {} if statistics is None else {"statistics": statistics}
    if feature.has_rows and "pooled" in defaults:
        plain["pooled"] = defaults["pooled"]
        used.add("pooled")
    if "columns" in defaults:
        plain["columns"] = defaults["columns"]
    plain |= {key: value[key] for key in ("columns", "pooled") if key in value}
    return Entry(feature=feature, name=name, **plain), used


def _given(
    kind: type[Feature], name: str, of: Any, earlier: Mapping[str, Entry]
) -> dict[str, Node]:
    """The node that an entry reads, where that is said by ``of``."""
    reads_feature = any(field.name == "of" for field in fields(kind))  # type: ignore[arg-type]
    if not reads_feature:
        if of not in (None, "signal"):
            raise SpecError(f"features: {name}: of={of!r}: {kind.family!r} is of the signal")
        return {}
    listed = ", ".join(earlier) or "none"
    if of is None:
        raise SpecError(
            f"features: {name}: say with of = … which earlier entry it is of (there are {listed})"
        )
    if of not in earlier:
        raise SpecError(
            f"features: {name}: of={of!r} is no earlier entry{did_you_mean(str(of), earlier)}"
            f" (there are {listed})"
        )
    return {"of": earlier[of].feature}


def _names(field: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise SpecError(f"{field}: {value!r} is not a list of names")
    names = tuple(value)
    for name in names:
        if not isinstance(name, str):
            raise SpecError(f"{field}: {name!r} is not a name")
        if names.count(name) > 1:
            raise SpecError(f"{field}: {name!r} is given twice")
    return names


def spec_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Name what differs between two specs given as dictionaries, from `a` to `b`.

    Returns
    -------
    list of str
        Lines such as ``"mfcc.n_fft: 2048 → 1024"``; names of the specs are left out, as
        they define no value.
    """
    lines = []
    for key in [*a, *(key for key in b if key not in a)]:
        if key == "name" or (key in a and key in b and a[key] == b[key]):
            continue
        if key == "features" and _are_entries(a.get(key)) and _are_entries(b.get(key)):
            lines += _entry_differences(a[key], b[key])
        else:
            lines.append(f"{key}: {_shown(a, key)} → {_shown(b, key)}")
    return lines


def _are_entries(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(entry, Mapping) for entry in value)


def _entry_differences(a: Sequence[Any], b: Sequence[Any]) -> list[str]:
    before = {str(entry.get("as")): entry for entry in a}
    after = {str(entry.get("as")): entry for entry in b}
    lines = [f"features: without {name}" for name in before if name not in after]
    lines += [f"features: with {name}" for name in after if name not in before]
    for name in before:
        left, right = before[name], after.get(name, before[name])
        for key in [*left, *(key for key in right if key not in left)]:
            if key not in left or key not in right or left[key] != right[key]:
                lines.append(f"{name}.{key}: {_shown(left, key)} → {_shown(right, key)}")
    return lines or [f"features: order {', '.join(before)} → {', '.join(after)}"]


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "(absent)"
    value = values[key]
    return value if isinstance(value, str) else json.dumps(value, default=str)
