"""Signs of trouble of a file: damaged, cut short, channels that cancel, or without a label."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

DAMAGED, CUT, CANCELLING = "damaged", "cut", "cancelling"

#: The file lacks the tag that is its label.
UNLABELLED = "unlabelled"

#: Columns of the first row from which the other signs are derived.
COLUMNS = ("decoding", "peak", "mix_peak", "is_silent")

#: Channels cancel out if less than this share of the peak is left after mixing (-40 dB).
CANCELS_BELOW = 0.01


def signs_of(decoding: str | None, peak: float, mix_peak: float, is_silent: bool) -> list[str]:
    """Return the signs of one row: ``damaged`` or ``cut``, and ``cancelling``."""
    signs = [decoding] if decoding in (DAMAGED, CUT) else []
    if not is_silent and mix_peak < CANCELS_BELOW * peak:
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
    if n := signs.get(UNLABELLED):
        lines.append(f"Without a label: {n} (the files do not have the tag)")
    return lines


def count_signs(rows: pa.Table) -> Counter[str]:
    """Return the number of rows with each sign; `signs_of` gives those of one row."""
    counts = count_values(rows["decoding"])
    peak = pc.multiply(rows["peak"].cast("double"), CANCELS_BELOW)
    cancels = pc.less(rows["mix_peak"].cast("double"), peak)
    n_cancelling = pc.sum(pc.and_not(cancels, pc.fill_null(rows["is_silent"], False))).as_py()
    signs = {DAMAGED: counts[DAMAGED], CUT: counts[CUT], CANCELLING: n_cancelling or 0}
    return Counter({sign: n for sign, n in signs.items() if n})


def count_values(column: pa.ChunkedArray) -> Counter[str]:
    """Return the number of rows with each value of a column."""
    values, counts = column.value_counts().flatten()
    return Counter(dict(zip(values.to_pylist(), counts.to_pylist(), strict=True)))
