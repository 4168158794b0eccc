"""What a row is of: the whole track, or a segment of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from featurelib.errors import SpecError
from featurelib.parameters import checked, did_you_mean, parameter

KINDS = ("track", "segment")

#: What becomes of an end that is shorter than a segment.
LASTS = ("keep", "pad", "drop", "strict")

#: Most segments that overlap at any place: each has a state of its own.
_MAX_OVERLAP = 100

#: Most seconds of audio in segments that overlap, together.
_MAX_OPEN_S = 600


@dataclass(frozen=True, kw_only=True)
class Level:
    """What a row is of.

    A segment is a signal of its own, cut from the resampled signal: segment i begins at
    sample i · hop. Length and hop are given in seconds or in samples.

    Parameters
    ----------
    kind : {"track", "segment"}
        One row a file (and channel), or one for each segment.
    length_s, length : float, int
        Length of a segment, in seconds or in samples of the resampled signal.
    hop_s, hop : float, int
        From the start of one segment to that of the next; by default the length.
    last : {"keep", "pad", "drop", "strict"}
        The end, where it is shorter than a segment: keep it as it is, pad it with zeros,
        or drop it. "strict" drops segment i as well where (i + 1) · hop is not less than the
        length of the signal, as the script of the GTZAN table does.

    Raises
    ------
    SpecError
        If they do not fit together.
    """

    kind: str = parameter("track", "what a row is of", choices=KINDS)
    length_s: float | None = parameter(None, "length of a segment [s]", gt=0)
    length: int | None = parameter(None, "length of a segment [samples]", ge=1)
    hop_s: float | None = parameter(None, "from one segment to the next [s]", gt=0)
    hop: int | None = parameter(None, "from one segment to the next [samples]", ge=1)
    last: str = parameter("keep", "what becomes of a short end", choices=LASTS)

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
        """Make a level of what a spec says: a kind, or a table of the parameters.

        Raises
        ------
        SpecError
            If a name is unknown, or a value cannot be used.
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
        """All parameters that are given, for a table."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.kind == "track":
            return {"kind": "track"}
        return {name: value for name, value in values.items() if value is not None}

    def samples(self, sr: int) -> tuple[int, int]:
        """Length and hop of the segments at a rate [Hz], in samples.

        Raises
        ------
        SpecError
            If they come to less than a sample, or too many segments overlap.
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
        """Rows a second of audio at a rate [Hz]; 0 where there is one for the whole file."""
        return 0.0 if self.kind == "track" else sr / self.samples(sr)[1]
