"""Files that were decoded in part or not at all, and files whose headers are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from jobs.errors import CONTENT_KINDS
from jobs.report.health.finding import Example, Finding, examples_of, numbers, text_or_none, worst
from jobs.table.signs import CUT, DAMAGED

#: Headers may differ from what is decoded by so much: padding of encoders, rounding [s].
_HEADER_S = 0.5

#: The same as a share of the duration: headers of MP3 files are estimates.
_HEADER_SHARE = 0.02


def unusable(errors: pd.DataFrame, n_files: int) -> Iterator[Finding]:
    """Find files without features: by their own fault, or because they could not be read."""
    is_content = errors["error_kind"].isin(sorted(CONTENT_KINDS)).to_numpy(bool)
    for kind, title, rows, advice in (
        (
            "unusable",
            "Files without features",
            errors[is_content],
            "Replace or delete them; the messages say what is wrong.",
        ),
        (
            "unread",
            "Files that could not be read",
            errors[~is_content],
            "Run the same command again: the storage or the network failed, not the files.",
        ),
    ):
        if not len(rows):
            continue
        counts = Counter(rows["error_kind"])
        order = [-counts[kind] for kind in rows["error_kind"]]
        rows = rows.iloc[np.argsort(order, kind="stable")]
        yield Finding(
            kind,
            title,
            "problem",
            len(rows),
            n_files,
            examples_of(rows, lambda row: f"{row.error_kind}: {row.message}"),
            advice,
            unit="files",
        )


def partial(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find files that are damaged, or that end early."""
    lost, seconds = numbers(tracks["lost_s"]), numbers(tracks["duration_s"])
    missing = np.maximum(numbers(tracks["header_duration_s"]) - seconds, 0.0)
    for sign, title, key, advice in (
        (
            DAMAGED,
            "Damaged files",
            lost,
            "Get an undamaged copy: the features are without the gaps.",
        ),
        (
            CUT,
            "Files that end early",
            missing,
            "Get a complete copy, or leave them out: the features are those of the beginning.",
        ),
    ):
        rows = worst(
            tracks.assign(lost_s=lost, missing_s=missing),
            tracks["decoding"] == sign,
            np.nan_to_num(key, nan=-1.0),
        )
        if len(rows):
            yield Finding(
                sign, title, "problem", len(rows), len(tracks), examples_of(rows, _gap), advice
            )


def _gap(row: Any) -> str:
    text = f"{row.duration_s:.4g} s were decoded"
    if row.decoding == CUT and row.missing_s > 0:
        return f"{text}, of {row.header_duration_s:.4g} s in the header"
    return f"{text}, {row.lost_s:.3g} s are lost" if row.lost_s > 0 else text


def wrong_headers(tracks: pd.DataFrame, spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Find files that are longer or shorter than their headers say, and are whole nevertheless."""
    if spec.get("offset") or spec.get("duration") is not None:
        return  # only a part was decoded
    seconds, header = numbers(tracks["duration_s"]), numbers(tracks["header_duration_s"])
    difference = np.nan_to_num(np.abs(seconds - header))
    is_wrong = difference > np.maximum(_HEADER_S, _HEADER_SHARE * seconds)
    is_wrong &= (tracks["decoding"] == "whole").to_numpy(bool)
    is_wrong &= numbers(tracks["n_streams"]) == 1  # headers are of the first stream
    rows = worst(tracks, is_wrong, difference)
    if len(rows):
        yield Finding(
            "header",
            "Durations in headers are wrong",
            "notice",
            len(rows),
            len(tracks),
            examples_of(
                rows,
                lambda row: (
                    f"{row.duration_s:.4g} s, and {row.header_duration_s:.4g} s in the header"
                ),
            ),
            "Nothing for the features: they are of all of the audio. Programs that believe the"
            " header cut these files or wait for more: write them anew, without encoding again.",
        )


def streams(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find files that are several recordings, one after the other."""
    n = numbers(tracks["n_streams"])
    rows = worst(tracks, n > 1, np.nan_to_num(n))
    if len(rows):
        yield Finding(
            "streams",
            "Several streams in one file",
            "notice",
            len(rows),
            len(tracks),
            examples_of(rows, lambda row: f"{row.n_streams:.0f} streams, {row.duration_s:.4g} s"),
            "Listen whether they belong together, as in joined files they often do not. Many"
            " programs play the first stream only.",
        )


def decoders(tracks: pd.DataFrame) -> Iterator[Finding]:
    """Find whole files for which one decoder was not enough."""
    counts = tracks["decoder"].value_counts()
    several = [name for name in counts.index if "," in name]
    is_found = tracks["decoder"].isin(several) & (tracks["decoding"] == "whole")
    rows = tracks[is_found.to_numpy(bool)]
    if len(rows):
        yield Finding(
            "decoders",
            "Files that one decoder could not read to the end",
            "notice",
            len(rows),
            len(tracks),
            [
                Example(str(row.path), f"decoded by {row.decoder}", text_or_none(row.label))
                for row in rows.head(20).itertuples(index=False)
            ],
            "Listen to one: everything was decoded, but other programs may stop in the middle.",
        )
