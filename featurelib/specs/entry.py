"""Entry of a spec: a feature, its statistics and the names of their columns."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from typing import Any

from featurelib.errors import SpecError
from featurelib.features import Feature, families
from featurelib.graph import Node, Signal, reading, samples_of
from featurelib.parameters import did_you_mean
from featurelib.specs.keywords import build, find_places, flattened, keywords, places
from featurelib.statistics import SERIES, STATISTICS, is_statistic, statistic_node
from featurelib.transforms.hpss import COMPONENTS, HPSS

#: Default template of column names. The row number is left out for features without rows.
DEFAULT_COLUMNS = "{name}_{row:02}_{stat}"

#: Most columns of one entry; tables with more are slow to open.
_MAX_COLUMNS = 20_000

#: Longest chain of features of features, because Python's recursion depth is limited.
_MAX_STEPS = 32

#: Largest width in a template of column names [characters].
_MAX_WIDTH = 99

#: Prefix of the parameters of the separation, for entries of a component.
_HPSS = "hpss."

#: Keys of an entry in a spec other than parameters.
_KEYS = ("family", "of", "as", "statistics", "columns", "pooled")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Entry of a spec: a feature, its statistics and its columns.

    Parameters
    ----------
    feature : Feature
        Feature to compute.
    statistics : sequence of str
        Names from `featurelib.STATISTICS`, or quantiles such as ``"q25"``. ``"series"`` is
        the list of all frames. Empty if the feature is a single value of the signal, or is
        computed only for other entries.
    name : str
        Name in columns and in other entries; by default the name of the family.
    columns : str
        Template of column names with ``{name}``, ``{row}`` (from 1) and ``{stat}``. A field
        without a value is left out, with the ``_`` before it.
    pooled : bool
        Whether all rows of the feature are one population; otherwise each row has columns of
        its own. A series is always one column.

    Raises
    ------
    SpecError
        If a value is invalid, or values do not fit together.
    """

    feature: Feature
    statistics: tuple[str, ...] = ("mean", "std")
    name: str = ""
    columns: str = DEFAULT_COLUMNS
    pooled: bool = False

    def __post_init__(self) -> None:
        put = object.__setattr__  # the only way to set a field of a frozen dataclass
        if not isinstance(self.feature, Feature):
            raise SpecError(f"{self.feature!r} is no feature: make one with featurelib.feature")
        if not isinstance(self.name, str):
            raise SpecError(f"{self.feature.family}: name={self.name!r} is no name")
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
        if len(samples_of(self.feature)) > 1:
            raise SpecError(
                f"{self.name}: {self.feature.family!r} reads the signal and a component of it:"
                " give all its nodes the same samples"
            )
        if self.pooled and not (self.feature.has_rows or self.feature.is_always_pooled):
            raise SpecError(f"{self.name}: pooled, but {self.feature.family!r} has one row only")
        if self.feature.is_always_pooled:
            put(self, "pooled", True)
        _check_template(self.name, self.columns)
        if not self.pooled and len(self.statistics) * self.feature.width > _MAX_COLUMNS:
            raise SpecError(
                f"{self.name}: {self.feature.width} rows with {len(self.statistics)} statistics"
                f" each are more than {_MAX_COLUMNS} columns"
            )
        if "" in self.column_names():
            raise SpecError(f"{self.name}: columns={self.columns!r} gives a column no name")
        for name, n in Counter(self.column_names()).items():
            if n > 1:
                raise SpecError(
                    f"{self.name}: columns={self.columns!r} gives several columns the name"
                    f" {name!r}: put {self._missing_keys()} into it"
                )

    def _missing_keys(self) -> str:
        keys = {key for _, key, _, _ in string.Formatter().parse(self.columns)}
        return " and ".join(f"{{{key}}}" for key in ("row", "stat") if key not in keys)

    def sinks(self) -> tuple[Node, ...]:
        """Return the nodes that compute the statistics, in order."""
        return tuple(
            statistic_node(statistic, self.feature, pooled=self.pooled)
            for statistic in self.statistics or self._value
        )

    @property
    def _value(self) -> tuple[str, ...]:
        return ("",) if self.feature.is_single else ()

    def slots(self) -> Iterator[tuple[int | None, str]]:
        """Yield row (from 0) and statistic of each column, in order; a series has no row."""
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
        """Return the names of the columns, in order."""
        return tuple(_filled(self.columns, self.name, *slot) for slot in self.slots())

    def frame_names(self) -> tuple[str, ...]:
        """Return the names of the columns in a table of frames, one per row of the feature."""
        rows: Iterable[int | None] = [None]
        if self.feature.has_rows:
            rows = range(self.feature.width)
        return tuple(_filled(self.columns, self.name, row, "") for row in rows)


def _check_template(name: str, template: Any) -> None:
    if not isinstance(template, str):
        raise SpecError(f"{name}: columns={template!r} is not a text")
    refusal = f"{name}: columns={template!r} is no template of {{name}}, {{row}} and {{stat}}"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise SpecError(refusal) from error
    keys = {key for _, key, _, _ in parts if key is not None}
    if not keys <= {"name", "row", "stat"} or any(conversion for *_, conversion in parts):
        raise SpecError(
            f"{name}: columns={template!r} may hold {{name}}, {{row}} and {{stat}} only"
        )
    # Checked before formatting, because a large width would take gigabytes.
    if any(
        len(width) > 2 or int(width) > _MAX_WIDTH
        for *_, form, _ in parts
        for width in re.findall(r"\d+", form or "")
    ):
        raise SpecError(f"{name}: columns={template!r}: widths are at most {_MAX_WIDTH}")
    try:
        _filled(template, "a", 0, "b")
    except ValueError as error:
        raise SpecError(refusal) from error


def _filled(template: str, name: str, row: int | None, statistic: str) -> str:
    """Fill in a template; a field without a value is left out, with the ``_`` before it."""
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


def feature(family: str, *, of: Feature | str | None = None, **parameters: Any) -> Feature:
    """Make a feature from plain keywords, as in an entry of a settings file.

    Parameters
    ----------
    family : str
        Name of a family; see `featurelib.families`.
    of : Feature or {"harmonic", "percussive"}, optional
        Feature that this one reads, for a family such as ``delta``, or the component of the
        signal that it reads instead of the signal.
    **parameters
        Parameters of the family and of the nodes that it reads; see
        `featurelib.specs.keywords.find_places`.

    Returns
    -------
    Feature

    Raises
    ------
    SpecError
        If a name is unknown, or a value is invalid.

    Examples
    --------
    >>> from featurelib import Entry, FeatureSpec, feature
    >>> mfcc = feature("mfcc", n_mfcc=13, n_fft=4096)
    >>> spec = FeatureSpec(
    ...     name="mine",
    ...     features=[Entry(feature=mfcc), Entry(feature=feature("delta", of=mfcc))],
    ... )
    >>> spec.features[1].column_names()[0]
    'delta_01_mean'
    """
    if family not in families():
        hint = did_you_mean(family, families())
        raise SpecError(f"unknown family {family!r}{hint} (there are {', '.join(families())})")
    kind = families()[family]
    if of is None:
        return build(kind, parameters)
    if _reads_feature(kind):
        if not isinstance(of, Feature):
            raise SpecError(f"of={of!r}: {family!r} reads a feature: give one")
        return build(kind, parameters, {"of": of})
    if of not in tuple(COMPONENTS):
        raise _not_a_component(of, family)
    own, separation = _divided(parameters)
    return _of_component(build(kind, own), str(of), separation)


def _reads_feature(kind: type[Feature]) -> bool:
    return any(field.name == "of" for field in fields(kind))  # type: ignore[arg-type]


def _not_a_component(of: Any, family: str) -> SpecError:
    components = " or ".join(repr(component) for component in COMPONENTS)
    return SpecError(f"of={of!r}: {family!r} is of the signal, or of its component {components}")


def _divided(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of a feature, and those of the separation without their prefix."""
    separation = {
        key.removeprefix(_HPSS): value for key, value in parameters.items() if key.startswith(_HPSS)
    }
    return {k: v for k, v in parameters.items() if not k.startswith(_HPSS)}, separation


def _with_defaults(
    kind: type[Node], given: Mapping[str, Node], defaults: Mapping[str, Any], own: Mapping[str, Any]
) -> tuple[dict[str, Any], set[str]]:
    """Return the parameters of an entry, and which defaults apply to it.

    A default is not applied to a parameter that the entry sets itself, by whatever keyword.
    """
    available = places(kind, frozenset(given))
    set_here = {place.path for key in own for place in find_places(available, key)}
    places_of = {key: {place.path for place in find_places(available, key)} for key in defaults}
    used = {key for key, paths in places_of.items() if paths}
    parameters = {key: defaults[key] for key in used if not places_of[key] <= set_here}
    return parameters | dict(own), used


def entries_from(
    values: Any, defaults: Any, kinds: Mapping[str, type[Feature]]
) -> tuple[Entry, ...]:
    """Make entries from plain values.

    Parameters
    ----------
    values : sequence
        Names of families, or tables; see `FeatureSpec.from_dict`.
    defaults : mapping
        Values for all entries that have the key.
    kinds : mapping of str to type
        Feature classes by family name.

    Returns
    -------
    tuple of Entry

    Raises
    ------
    SpecError
        If a name is unknown, a required key is missing, or a value is invalid.
    """
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
    """Make one entry; return it and the defaults that it uses."""
    if isinstance(value, str):
        value = {"family": value}
    if not isinstance(value, Mapping):
        raise SpecError(f"features: {value!r} is neither a family nor a table with one")
    if "family" not in value:
        listed = ", ".join(kinds)
        raise SpecError(f"features: {dict(value)!r} lacks 'family' (there are {listed})")
    family = value["family"]
    if not isinstance(family, str) or family not in kinds:
        listed = ", ".join(kinds)
        hint = did_you_mean(str(family), kinds)
        raise SpecError(f"features: unknown family {family!r}{hint} (there are {listed})")
    kind = kinds[family]
    name = value.get("as", family)
    if not isinstance(name, str) or not name:
        raise SpecError(f"features: {family}: as={name!r} is no name")
    own = dict(flattened({k: v for k, v in value.items() if k not in _KEYS}))
    of = value.get("of")
    component = of if of in tuple(COMPONENTS) and not _reads_feature(kind) else None
    given = _given(kind, name, None if component else of, earlier)
    shared = {key: v for key, v in defaults.items() if key not in ("statistics", "columns")}
    shared, of_separation = _divided(shared)
    separation: dict[str, Any] = {}
    try:
        if component:
            own, separation = _divided(own)
            separation, used = _with_defaults(HPSS, {}, of_separation, separation)
            used = {f"{_HPSS}{key}" for key in used}
        else:
            used = set()
        parameters, used_here = _with_defaults(kind, given, shared, own)
        used |= used_here
        feature = build(kind, parameters, given)
        if component:
            feature = _of_component(feature, component, separation)
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


def _of_component(feature: Feature, component: str, separation: Mapping[str, Any]) -> Feature:
    """Return a feature of a component of the signal, separated with some parameters."""
    samples = COMPONENTS[component](hpss=build(HPSS, separation))
    result = reading(feature, samples)
    if samples_of(result) != {samples}:  # its inputs are not made of its fields
        raise SpecError(f"of={component!r}: {feature.family!r} is of the signal")
    return result


def _given(
    kind: type[Feature], name: str, of: Any, earlier: Mapping[str, Entry]
) -> dict[str, Node]:
    """Return the feature for the field ``of``, by field name; empty without such a field."""
    if not _reads_feature(kind):
        if of not in (None, "signal"):
            raise SpecError(f"features: {name}: {_not_a_component(of, kind.family)}")
        return {}
    listed = ", ".join(earlier) or "none"
    if of is None:
        raise SpecError(
            f"features: {name}: say with of = … which earlier entry it is of (there are {listed})"
        )
    if not isinstance(of, str) or of not in earlier:
        raise SpecError(
            f"features: {name}: of={of!r} is no earlier entry{did_you_mean(str(of), earlier)}"
            f" (there are {listed})"
        )
    feature: Any = earlier[of].feature
    n_steps = 0
    while isinstance(feature, Feature):
        feature = getattr(feature, "of", None)
        n_steps += 1
    if n_steps > _MAX_STEPS:
        raise SpecError(
            f"features: {name}: of={of!r}: more than {_MAX_STEPS} features, each of the one before"
        )
    return {"of": earlier[of].feature}


def _names(field: str, value: Any) -> tuple[str, ...]:
    # sets have no order, which that of the columns would follow
    if isinstance(value, str | Mapping | Set) or not isinstance(value, Iterable):
        raise SpecError(f"{field}: {value!r} is not a list of names")
    names = tuple(value)
    for name in names:
        if not isinstance(name, str):
            raise SpecError(f"{field}: {name!r} is not a name")
        if names.count(name) > 1:
            raise SpecError(f"{field}: {name!r} is given twice")
    return names


def entry_table(entry: Entry, entries: Sequence[Entry]) -> dict[str, Any]:
    """Return an entry as plain values for `entries_from`, with all parameters.

    Parameters
    ----------
    entry : Entry
        Entry to convert.
    entries : sequence of Entry
        All entries of the spec.
    """
    feature = entry.feature
    result: dict[str, Any] = {"family": feature.family}
    fixed = frozenset[str]()
    of = getattr(feature, "of", None)
    if isinstance(of, Feature):
        result["of"] = next(other.name for other in entries if other.feature == of)
        fixed = frozenset({"of"})
    component, separation = _component_of(feature)
    if component and not fixed:
        result["of"] = component
    result["as"] = entry.name
    result["statistics"] = list(entry.statistics)
    result["columns"] = entry.columns
    if feature.has_rows:
        result["pooled"] = entry.pooled
    result |= keywords(feature, fixed)
    return result if fixed else result | separation


def _component_of(feature: Feature) -> tuple[str, dict[str, Any]]:
    """Return the name of the component that a feature reads, and its parameters.

    Both are empty if the feature reads the signal.
    """
    [samples] = samples_of(feature) or {Signal()}
    for name, kind in COMPONENTS.items():
        if isinstance(samples, kind):
            return name, {f"{_HPSS}{key}": v for key, v in keywords(samples.hpss).items()}
    return "", {}
