"""FeatureSpec: everything that defines the values of a feature table."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from featurelib.errors import SpecError

#: Raised by one whenever any number that some spec gives changes.
VALUES_VERSION = 3

#: Families of descriptors, see `featurelib.descriptors`.
FAMILIES = (
    "rms",
    "zero_crossing_rate",
    "spectral_centroid",
    "spectral_bandwidth",
    "spectral_rolloff",
    "spectral_flatness",
    "spectral_flux",
    "spectral_contrast",
    "mfcc",
    "chroma_stft",
    "stft",
    "stft_db",
)

#: Families whose matrix always counts as one population of cells.
CELL_FAMILIES = frozenset({"stft", "stft_db"})

#: Families with several rows a frame.
MATRIX_FAMILIES = frozenset({"spectral_contrast", "mfcc", "chroma_stft"}) | CELL_FAMILIES

STATISTICS = ("mean", "std", "var", "min", "max", "skew", "kurtosis")
PAD_MODES = ("constant", "edge", "reflect")
NAMINGS = ("numbered", "tutorial")
#: Windows of `scipy.signal.get_window` that take no parameter.
WINDOWS = (
    "hann",
    "hamming",
    "blackman",
    "blackmanharris",
    "nuttall",
    "flattop",
    "bartlett",
    "cosine",
    "boxcar",
)

#: Sampling rates that are taken for real, for analysis and in files, in Hz.
SR_LIMITS = (1_000, 1_000_000)

#: Numbers beyond it stand for nothing real, and overflow in products.
_LARGEST = 1e9

Features = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """What is computed from a signal; equal fields give equal values.

    Signals are always mixed down to one channel, as the mean of the channels, before
    they are resampled (soxr, "HQ").

    Parameters
    ----------
    name : str
        For people; not part of the fingerprint.
    sr : int
        Sampling rate of the analysis [Hz].
    duration : float or None
        Analyse only the first so many seconds; ``None`` is all of them.
    n_fft, hop_length : int
        Length of a frame, and from one frame to the next [samples].
    window : str
        Window function, a name of `scipy.signal.get_window`.
    center : bool
        Frame t is centred on sample ``t * hop_length``, the signal being padded;
        otherwise it starts there.
    pad_mode : {"constant", "edge", "reflect"}
        How the signal is padded for the spectra and for rms. Zero crossings always
        pad with the edge value. Where "reflect" meets a hop of half a frame or more and a
        length that is a multiple of it, the last frame differs from librosa's, which
        reflects the end by itself and there goes around it one sample further.
    features : sequence of (family, statistics)
        The families of descriptors, in column order, and the statistics over frames
        of each; a mapping does as well.
    pooled : sequence of str
        Families with several rows whose whole matrix counts as one population, rather
        than each row.
    naming : {"numbered", "tutorial"}
        How columns are called: ``mfcc_01_mean``, or the tutorial's ``mfcc1``.
    roll_percent : float
        Share of the magnitude below the roll-off frequency.
    n_mels, n_mfcc : int
        Number of mel bands, and of cepstral coefficients kept of them.
    top_db : float
        Range below the file's maximum in mel spectra and spectral contrast [dB].
    n_bands : int
        Octave bands of the spectral contrast, beside the lowest.
    contrast_fmin : float
        Upper edge of the contrast's lowest band [Hz].
    contrast_quantile : float
        Share of a band's bins that make its peak and its valley.
    n_chroma : int
        Number of chroma bins.

    Raises
    ------
    SpecError
        If a value cannot be used; the message names it and the remedy.
    """

    name: str
    features: Features
    sr: int = 22_050
    duration: float | None = None
    n_fft: int = 2048
    hop_length: int = 512
    window: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    pooled: tuple[str, ...] = ()
    naming: str = "numbered"
    roll_percent: float = 0.85
    n_mels: int = 128
    n_mfcc: int = 20
    top_db: float = 80.0
    n_bands: int = 6
    contrast_fmin: float = 200.0
    contrast_quantile: float = 0.02
    n_chroma: int = 12

    def __post_init__(self) -> None:
        put = object.__setattr__  # the only way to normalise a frozen dataclass's fields
        if not isinstance(self.name, str) or not self.name:
            raise SpecError(f"name={self.name!r}: give the spec a name")
        put(self, "features", _features(self.features))
        put(self, "pooled", _names("pooled", self.pooled))
        for field in ("sr", "n_fft", "hop_length", "n_mels", "n_mfcc", "n_bands", "n_chroma"):
            put(self, field, _integer(field, getattr(self, field)))
        for field in ("roll_percent", "top_db", "contrast_fmin", "contrast_quantile"):
            put(self, field, _number(field, getattr(self, field)))
        if self.duration is not None:
            put(self, "duration", _number("duration", self.duration))
        _check_frames(self)
        _check_features(self)
        _check_parameters(self)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that differ whenever values may: all fields but the name."""
        values = {key: value for key, value in self.to_dict().items() if key != "name"}
        canonical = json.dumps([VALUES_VERSION, values], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain JSON-able values; `from_dict` takes them back."""
        result: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        # A list, not an object: the order of the families is the order of the columns.
        result["features"] = [[family, list(names)] for family, names in self.features]
        result["pooled"] = list(self.pooled)
        return result

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeatureSpec:
        """Make a spec of named values, as `to_dict` gives them or a TOML file holds them.

        Raises
        ------
        SpecError
            If a name is unknown or a needed one is missing, or a value cannot be used.
        """
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise SpecError(
                    f"unknown field {key!r} in the feature spec{did_you_mean(key, known)}"
                )
        for key in ("name", "features"):
            if key not in values:
                raise SpecError(f"the feature spec lacks {key!r}")
        return cls(**values)


def spec_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Name what differs between two specs given as dictionaries, from `a` to `b`.

    Returns
    -------
    list of str
        Lines such as ``"n_fft: 2048 → 1024"``, in the order of the fields; names of the
        specs are left out, as they define no value.
    """
    order = [field.name for field in fields(FeatureSpec)]
    keys = [*order, *sorted((set(a) | set(b)) - set(order))]
    lines = []
    for key in keys:
        left, right = _plain(a.get(key)), _plain(b.get(key))
        if key == "name" or (left == right and (key in a) == (key in b)):
            continue
        if key == "features" and left and right:
            lines += _feature_differences(left, right)
        else:
            lines.append(f"{key}: {_shown(a, key)} → {_shown(b, key)}")
    return lines


def _plain(value: Any) -> Any:
    """`value` as it would come back from JSON, with mappings as lists of pairs."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _shown(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "(absent)"
    value = values[key]
    return value if isinstance(value, str) else json.dumps(_plain(value), default=str)


def _feature_differences(left: list[Any], right: list[Any]) -> list[str]:
    before, after = ({family: ", ".join(stats) for family, stats in side} for side in (left, right))
    lines = [
        f"features: {family}: {before.get(family, 'none')} → {after.get(family, 'none')}"
        for family in {**before, **after}
        if before.get(family) != after.get(family)
    ]
    return lines or [f"features: order {', '.join(before)} → {', '.join(after)}"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint to end an error message with, or nothing."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def _features(value: Any) -> Features:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise SpecError(f"features={value!r}: give pairs of a family and its statistics")
    result = []
    for pair in pairs:
        if isinstance(pair, str) or not isinstance(pair, Iterable) or len(pair := list(pair)) != 2:
            raise SpecError(
                f'features: {pair!r} is not a family and its statistics, as ["rms", ["mean"]]'
            )
        family, statistics = pair
        if family not in FAMILIES:
            hint = did_you_mean(str(family), FAMILIES)
            raise SpecError(
                f"features: unknown family {family!r}{hint} (there are {', '.join(FAMILIES)})"
            )
        result.append((family, _names(f"features: {family}", statistics)))
        for statistic in result[-1][1]:
            if statistic not in STATISTICS:
                raise SpecError(
                    f"features: {family}: unknown statistic {statistic!r}"
                    f"{did_you_mean(statistic, STATISTICS)} (there are {', '.join(STATISTICS)})"
                )
    return tuple(result)


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


def _integer(field: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpecError(f"{field}={value!r} is not a whole number")
    if value < 1:
        raise SpecError(f"{field}={value!r} must be at least 1")
    return value


def _number(field: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _fits(value):
        raise SpecError(f"{field}={value!r} is not a number, or too large")
    if value <= 0:
        raise SpecError(f"{field}={value!r} must be greater than 0")
    return float(value)


def _fits(value: float) -> bool:
    return -_LARGEST <= value <= _LARGEST  # which NaN does not


def _check_frames(spec: FeatureSpec) -> None:
    low, high = SR_LIMITS
    if not low <= spec.sr <= high:
        raise SpecError(f"sr={spec.sr} must lie between {low} and {high} Hz")
    if spec.n_fft % 2 or not 16 <= spec.n_fft <= 65_536:
        raise SpecError(f"n_fft={spec.n_fft} must be an even number from 16 to 65536")
    if spec.hop_length > spec.n_fft:
        raise SpecError(
            f"hop_length={spec.hop_length} leaves samples out: at most n_fft={spec.n_fft}"
        )
    if not isinstance(spec.center, bool):
        raise SpecError(f"center={spec.center!r} must be true or false")
    for field, choices in (("window", WINDOWS), ("pad_mode", PAD_MODES), ("naming", NAMINGS)):
        value = getattr(spec, field)
        if value not in choices:
            raise SpecError(f"{field}={value!r}: there are {', '.join(choices)}")


def _check_features(spec: FeatureSpec) -> None:
    if not spec.features:
        raise SpecError("features: name at least one family")
    families = [family for family, _ in spec.features]
    for family, statistics in spec.features:
        if families.count(family) > 1:
            raise SpecError(f"features: {family!r} is given twice")
        if not statistics:
            raise SpecError(f"features: {family}: name at least one statistic")
        if spec.naming == "tutorial" and statistics != ("mean",):
            raise SpecError(
                f"features: {family}: naming='tutorial' has no name for {', '.join(statistics)}; "
                "only for the mean. Use naming='numbered'"
            )
    for family in spec.pooled:
        if family not in families or family not in MATRIX_FAMILIES:
            raise SpecError(f"pooled: {family!r} is not a family with several rows in features")


def _check_parameters(spec: FeatureSpec) -> None:
    families = {family for family, _ in spec.features}
    for field in ("roll_percent", "contrast_quantile"):
        if getattr(spec, field) >= 1:
            raise SpecError(f"{field}={getattr(spec, field)} must be less than 1")
    if "mfcc" in families and spec.n_mfcc > spec.n_mels:
        raise SpecError(f"n_mfcc={spec.n_mfcc} must be at most n_mels={spec.n_mels}")
    if "spectral_contrast" in families:
        _check_contrast(spec)


def _check_contrast(spec: FeatureSpec) -> None:
    # Beyond 60 octaves there is nothing to be heard, nor a float.
    top = math.ldexp(spec.contrast_fmin, min(spec.n_bands - 1, 60))
    if top >= spec.sr / 2:
        fitting = math.ceil(math.log2(spec.sr / 2 / spec.contrast_fmin))
        remedy = f"n_bands to at most {fitting}" if fitting > 0 else "contrast_fmin"
        raise SpecError(
            f"spectral_contrast: its {spec.n_bands} octave bands reach above {top:g} Hz, but "
            f"sr={spec.sr} ends at {spec.sr / 2:g} Hz; raise sr, lower {remedy}, "
            "or leave spectral_contrast out"
        )
    if spec.sr / spec.n_fft >= spec.contrast_fmin:
        raise SpecError(
            f"spectral_contrast: n_fft={spec.n_fft} at sr={spec.sr} puts a bin every "
            f"{spec.sr / spec.n_fft:g} Hz, too coarse for a band of "
            f"{spec.contrast_fmin:g} Hz; raise n_fft or contrast_fmin"
        )
