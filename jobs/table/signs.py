"""Signs of trouble in a file's first row: damaged, cut short, or cancelling channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

DAMAGED, CUT, CANCELLING = "damaged", "cut", "cancelling"

#: Columns from which signs are derived.
COLUMNS = ("decoding", "peak", "mix_peak", "is_silent")

#: Channels cancel out if less than this share of the peak is left after mixing (-40 dB).
_CANCELS_BELOW = 0.01


def signs_of(decoding: str | None, peak: float, mix_peak: float, is_silent: bool) -> list[str]:
    """Return the signs of one row: ``damaged`` or ``cut``, and ``cancelling``."""
    signs = [decoding] if decoding in (DAMAGED, CUT) else []
    if not is_silent and mix_peak < _CANCELS_BELOW * peak:
        signs.append(CANCELLING)
    return [sign for sign in signs if sign is not None]


def sign_lines(signs: dict[str, int], table: str) -> list[str]:
    """Return lines of text for people about the number of files with each sign."""
    lines = []
    partial = [
        f"{signs[name]} {word}"
        for name, word in ((DAMAGED, "damaged"), (CUT, "cut short"))
        if signs.get(name)
    ]
    if partial:
        lines.append(
            f"Not decoded as a whole: {', '.join(partial)}; see featurelib errors --partial {table}"
        )
    if n := signs.get(CANCELLING):
        lines.append(f"Channels cancel out when mixed down: {n} (mix_peak far below peak)")
    return lines


def values_of(rows: pa.Table) -> list[tuple[Any, ...]]:
    """Return the values of `COLUMNS` of each row, for `signs_of`."""
    return list(zip(*(rows[name].to_pylist() for name in COLUMNS), strict=True))
