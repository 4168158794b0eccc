"""What a file's first row says of its audio that its user should hear of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

DAMAGED, CUT, CANCELLING = "damaged", "cut", "cancelling"

COLUMNS = ("decoding", "peak", "mix_peak", "is_silent")
"""Columns that tell it."""

_CANCELS_BELOW = 0.01
"""Share of the peak that is left when channels cancel out: -40 dB."""


def signs_of(decoding: str | None, peak: float, mix_peak: float, is_silent: bool) -> list[str]:
    """Return the signs of one row: ``damaged`` or ``cut``, and ``cancelling``."""
    signs = [decoding] if decoding in (DAMAGED, CUT) else []
    if not is_silent and mix_peak < _CANCELS_BELOW * peak:
        signs.append(CANCELLING)
    return [sign for sign in signs if sign is not None]


def sign_lines(signs: dict[str, int], table: str) -> list[str]:
    """Return what is to be said of the signs of many rows, for people."""
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
