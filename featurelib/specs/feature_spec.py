"""Feature spec: everything that defines the values of a feature table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any

from featurelib.errors import SpecError
from featurelib.features import Feature, families
from featurelib.graph import Node, Plan, Signal, canonical
from featurelib.parameters import SR_LIMITS, checked, did_you_mean, parameter
from featurelib.rows import SIGNAL_COLUMNS
from featurelib.specs.entry import Entry, entries_from, entry_table
from featurelib.specs.imports import Import
from featurelib.specs.keywords import places
from featurelib.specs.level import Level
from featurelib.statistics import SERIES, quantile_of
from featurelib.transforms.frames import frames_of

#: Value of `sr` for the analysis of each file at its own sampling rate.
NATIVE = "native"

#: Usual sampling rates of files, the most common first [Hz].
_USUAL_SR = (44_100, 48_000, 22_050, 16_000, 96_000, 192_000, 8_000)

#: Ways to treat channels.
CHANNELS = ("mix", "first", "each")

#: Version of the fingerprint's format. A new number changes the fingerprint of every spec, so
#: that no existing table can be continued.
_CANONICAL = 1


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Definition of the values that are computed from a signal.

    Parameters
    ----------
    name : str
        Name for people; not part of the fingerprint.
    features : sequence of Entry
        Features, in column order.
    sr : int or "native"
        Sampling rate of the analysis [Hz]; signals are resampled to it (soxr, "HQ"). With
        "native" each file is analysed at its own rate.
    offset : float
        Duration to skip at the beginning [s].
    duration : float or None
        Duration to analyse after the offset [s]; None for all.
    channels : {"mix", "first", "each"}
        Mean of the channels, the first channel, or separate rows for each channel.
    level : Level
        One row per track or per segment.
    imports : sequence of Import
        Files that define further feature families.

    Raises
    ------
    SpecError
        If a value is invalid; the message names it and the remedy.

    Examples
    --------
    >>> import featurelib
    >>> values = {"name": "mine", "features": ["rms", {"family": "mfcc", "n_mfcc": 2}]}
    >>> spec = featurelib.FeatureSpec.from_dict(values)
    >>> featurelib.feature_names(spec)[2:]
    ['mfcc_01_mean', 'mfcc_01_std', 'mfcc_02_mean', 'mfcc_02_std']
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
        for field_name, kind in (("imports", Import), ("features", Entry)):
            values = getattr(self, field_name)
            if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
                raise SpecError(f"{field_name}={values!r}: give a list")
            put(self, field_name, tuple(values))
            for value in getattr(self, field_name):
                if not isinstance(value, kind):
                    raise SpecError(f"{field_name}: {value!r} is not an {kind.__name__}")
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
        """Sampling rate of the analysis [Hz]; None if each file is analysed at its own rate."""
        return None if isinstance(self.sr, str) else self.sr

    @cached_property
    def nominal_sr(self) -> int:
        """Sampling rate of the analysis [Hz], or of a usual file if ``sr="native"``.

        Raises
        ------
        SpecError
            If the parameters fit none of the usual rates.
        """
        if self.fixed_sr is not None:
            return self.fixed_sr
        refusals = []
        for sr in _USUAL_SR:
            try:
                self.plan(sr)
            except SpecError as error:
                refusals.append(error)
            else:
                return sr
        raise SpecError(f"no usual rate of files fits the spec: {refusals[0]}")

    def plan(self, sr: int) -> Plan:
        """Return the plan of all features for signals with sampling rate `sr` [Hz].

        Raises
        ------
        SpecError
            If parameters do not fit the rate.
        """
        return Plan((sink for entry in self.features for sink in entry.sinks()), sr)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that can change values: 16 hex digits. The name is excluded."""
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
        """Return the bytes per second of audio that one channel keeps until the signal ends.

        The rate is `nominal_sr`.
        """
        plan = self.plan(self.nominal_sr)
        return sum(
            node.spill_bytes()
            * plan.sr
            / (1 if (grid := frames_of(node)) is None else grid.hop_length)
            for node in plan.nodes
            if node.spill_bytes()
        )

    def rows_a_second(self) -> float:
        """Return the rows per second of audio; 0 for one row per track.

        With ``channels="each"``, two channels are assumed.
        """
        n_channels = 2 if self.channels == "each" else 1
        return n_channels * self.level.rows_a_second(self.nominal_sr)

    def series_bytes_a_second(self) -> float:
        """Return the bytes per second of audio that series take in a table.

        With ``channels="each"``, two channels are assumed.
        """
        sr = self.nominal_sr
        overlap = 1.0
        if self.level.kind == "segment":
            length, hop = self.level.samples(sr)
            overlap = length / hop
        overlap *= 2 if self.channels == "each" else 1
        return overlap * sum(
            4 * entry.feature.width * sr / entry.feature.hop_length
            for entry in self.features
            if SERIES in entry.statistics
        )

    @property
    def sources(self) -> dict[str, str]:
        """Code of imported features by digest, which `from_dict` needs with `to_dict`'s result."""
        return {one.sha256: one.source for one in self.imports}

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as values that JSON can hold, including all defaults.

        Raises
        ------
        SpecError
            If the class of a feature is neither featurelib's nor in an imported file.
        """
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
        known = dict(families())
        for one in self.imports:
            known |= one.families()
        for entry in self.features:
            if known.get(entry.feature.family) is not type(entry.feature):
                raise SpecError(
                    f"{entry.name}: nobody else can make the feature"
                    f" {type(entry.feature).__name__}: put its class into a Python file, and name"
                    " the file in import"
                )
        result["features"] = [entry_table(entry, self.features) for entry in self.features]
        return result

    @classmethod
    def from_dict(
        cls,
        values: Mapping[str, Any],
        *,
        folder: str | Path = ".",
        sources: Mapping[str, str] | None = None,
    ) -> FeatureSpec:
        """Make a spec from plain values, as in a TOML file or from `to_dict`.

        Parameters
        ----------
        values : mapping
            Fields of the spec. ``name`` and ``features`` are required.

            An item of ``features`` is the name of a family, or a table. The table has
            ``family``, ``of``, ``as`` (the entry's name), ``statistics``, ``columns``,
            ``pooled``, and parameters (see `featurelib.specs.keywords.find_places`).
            ``defaults`` is a table of values for all entries that have the key. ``import``
            is a list of Python files.
        folder : path
            Folder of relative file names in ``import``.
        sources : mapping of str to str, optional
            Code of imported files by digest (see `sources`), for values from `to_dict`.

        Returns
        -------
        FeatureSpec

        Raises
        ------
        SpecError
            If a name is unknown, a required key is missing, or a value is invalid.
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
            for family, kind in one.families().items():
                if kinds.setdefault(family, kind) is not kind:
                    raise SpecError(
                        f"import: {one.file!r} defines the family {family!r}, as a file before it"
                        " does: rename one"
                    )
        entries = entries_from(values["features"], values.get("defaults", {}), kinds)
        plain = {key: values[key] for key in known[:6] if key in values}
        return cls(**plain, features=entries, imports=imports)

    def __reduce__(self) -> Any:
        # Another process cannot find the classes of imported features by name.
        return _from_parts, (self.to_dict(), self.sources)


def _from_parts(values: dict[str, Any], sources: dict[str, str]) -> FeatureSpec:
    return FeatureSpec.from_dict(values, sources=sources)


def _hint(key: str, known: Sequence[str]) -> str:
    """Return a hint for the error message about an unknown field of a spec."""
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
    if isinstance(sr, bool) or not isinstance(sr, Integral):
        raise SpecError(f"sr={sr!r} is not a whole number of Hz, nor {NATIVE!r}")
    rate = int(sr)
    low, high = SR_LIMITS
    if not low <= rate <= high:
        raise SpecError(f"sr={rate} must lie between {low} and {high} Hz")
    return rate


def _check(node: Node, sr: int | None) -> None:
    node.check(sr)
    for source in node.inputs():
        _check(source, sr)


def _check_names(entries: Sequence[Entry]) -> None:
    names = [entry.name for entry in entries]
    # Names are compared without case, because readers such as DuckDB ignore it.
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
