"""Level of a spec: one row per track or per segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from featurelib.errors import SpecError
from featurelib.parameters import checked, did_you_mean, parameter

#: Levels.
KINDS = ("track", "segment")

#: Ways to treat a last segment that is too short.
LASTS = ("keep", "pad", "drop", "strict")

#: Most segments that overlap at any time, because each needs an analysis of its own.
_MAX_OVERLAP = 100

#: Largest total duration of overlapping segments [s].
_MAX_OPEN_S = 600


@dataclass(frozen=True, kw_only=True)
class Level:
    """Level of the rows: tracks or segments.

    A segment is cut from the resampled signal and analysed as a separate signal. Segment i
    begins at sample i · hop.

    Parameters
    ----------
    kind : {"track", "segment"}
        One row per file (and channel), or one row per segment.
    length_s, length : float, int
        Length of a segment, in seconds or in samples of the resampled signal.
    hop_s, hop : float, int
        Distance between the starts of segments, in seconds or samples; by default the length.
    last : {"keep", "pad", "drop", "strict"}
        Treatment of a last segment that is too short: keep it, pad it with zeros, or drop it.
        "strict" also drops segment i if (i + 1) · hop is not less than the length of the
        signal, as the script that made the GTZAN table does.

    Raises
    ------
    SpecError
        If a value is invalid, or values do not fit together.
    """

    kind: str = parameter("track", "one row per track or per segment", choices=KINDS)
    length_s: float | None = parameter(None, "length of a segment [s]", gt=0)
    length: int | None = parameter(None, "length of a segment [samples]", ge=1)
    hop_s: float | None = parameter(None, "from one segment to the next [s]", gt=0)
    hop: int | None = parameter(None, "from one segment to the next [samples]", ge=1)
    last: str = parameter("keep", "treatment of a short last segment", choices=LASTS)

    def __post_init__(self) -> None:
        for field in fields(self):
            try:
                value = checked(field, getattr(self, field.name))
            except SpecError as error:
                raise SpecError(f"level: {error}") from error
            object.__setattr__(self, field.name, value)
        if self.kind == "track":
            for name in ("length_s", "length", "hop_s", "hop"):
                if getattr(self, name) is not None:
                    raise SpecError(f"level: {name} is of segments: say kind = 'segment'")
            return
        if (self.length_s is None) == (self.length is None):
            raise SpecError("level: give length_s (seconds) or length (samples) of a segment")
        if self.hop_s is not None and self.hop is not None:
            raise SpecError("level: give hop_s (seconds) or hop (samples), not both")

    @classmethod
    def from_value(cls, value: Any) -> Level:
        """Make a level from a plain value of a spec.

        Parameters
        ----------
        value : Level, str or mapping
            A level, the name of a kind, or a table of parameters.

        Raises
        ------
        SpecError
            If a name is unknown, or a value is invalid.
        """
        if isinstance(value, Level):
            return value
        if isinstance(value, str):
            value = {"kind": value}
        if not isinstance(value, Mapping):
            raise SpecError(f"level={value!r}: give 'track', or a table with kind = 'segment'")
        known = [field.name for field in fields(cls)]
        for key in ("length", "hop"):
            if isinstance(value.get(key), float):
                raise SpecError(
                    f"level: {key}={value[key]!r} is not a whole number of samples; give seconds"
                    f" as {key}_s"
                )
        for key in value:
            if key not in known:
                raise SpecError(f"level: unknown field {key!r}{did_you_mean(key, known)}")
        return cls(**{"kind": "segment" if len(value) else "track", **value})

    def to_dict(self) -> dict[str, Any]:
        """Return the parameters that are set, for `from_value`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.kind == "track":
            return {"kind": "track"}
        return {name: value for name, value in values.items() if value is not None}

    def samples(self, sr: int) -> tuple[int, int]:
        """Return length and hop of the segments [samples] at sampling rate `sr` [Hz].

        Raises
        ------
        SpecError
            If they are shorter than a sample, or too many segments overlap.
        """
        length = self.length if self.length is not None else round((self.length_s or 0) * sr)
        hop = length
        if self.hop is not None:
            hop = self.hop
        elif self.hop_s is not None:
            hop = round(self.hop_s * sr)
        if min(length, hop) < 1:
            raise SpecError(f"level: segments of {length} samples every {hop} at {sr} Hz")
        if length > _MAX_OVERLAP * hop:
            raise SpecError(
                f"level: segments of {length} samples every {hop}: more than {_MAX_OVERLAP}"
                " overlap; make the hop longer"
            )
        if hop < length and length * (length / hop) > _MAX_OPEN_S * sr:
            raise SpecError(
                f"level: segments of {length / sr:g} s every {hop / sr:g} s: those that overlap"
                f" are more than {_MAX_OPEN_S} s of audio together; make the hop longer, or the"
                " segments shorter"
            )
        return length, hop

    def rows_a_second(self, sr: int) -> float:
        """Return the rows per second of audio at sampling rate `sr` [Hz]; 0 for tracks."""
        return 0.0 if self.kind == "track" else sr / self.samples(sr)[1]
